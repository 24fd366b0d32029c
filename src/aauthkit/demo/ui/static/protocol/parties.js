// Who takes part: the name of each lane, how a sentence speaks of it, and the order of the lanes. Pure.

import { lookUp } from "./arrows.js";

/** @typedef {import("./arrows.js").Arrow} Arrow */

// In the order of the lanes. The key is what the party calls itself in its spans.
/** @type {Record<string, [string, string, string]>} lane, the name inside a sentence, the lane where there is little room */
const PARTIES = {
  you: ["You", "you", "You"],
  backend: ["Backend", "the backend", "Backend"],
  gateway: ["Gateway", "the gateway", "Gateway"],
  authz: ["Authorization service", "the authorization service", "Authz"],
  "supply-chain": ["Supply-chain agent", "the supply-chain agent", "Supply"],
  "market-analysis": ["Market-analysis agent", "the market-analysis agent", "Market"],
  tools: ["Tools", "the tool server", "Tools"],
  person: ["Person server", "the person server", "Person"],
  idp: ["Identity provider", "the identity provider", "Identity"],
};
const ORDER = Object.keys(PARTIES);

// What stands behind a name: of a host, and of a resource as the authorization service calls it.
/** @type {Record<string, string>} */
const BEHIND = {
  "backend.localhost": "backend",
  "supply-chain-agent.localhost": "supply-chain",
  "market-analysis-agent.localhost": "market-analysis",
  "tools.localhost": "tools",
  "supply-chain-agent": "supply-chain",
  "market-analysis-agent": "market-analysis",
  tools: "tools",
  "127.0.0.1:8765": "person",
  "localhost:8765": "person",
  "localhost:8080": "idp",
};

/** @param {string} party */
export const laneName = (party) => lookUp(PARTIES, party)?.[0] ?? party;

/** @param {string} party where there is little room */
export const shortName = (party) => lookUp(PARTIES, party)?.[2] ?? party;

/** @param {string} party how a sentence speaks of it */
export const nameOf = (party) => lookUp(PARTIES, party)?.[1] ?? party;

/** @param {string} name @param {string} [otherwise] the party behind the name of a host or a resource */
export function partyBehind(name, otherwise = name) {
  const host = name.replace(/^https?:\/\//, "");
  return lookUp(BEHIND, host) ?? lookUp(BEHIND, host.replace(/:\d+$/, "")) ?? otherwise;
}

/**
 * The lanes of these arrows: the known ones in their order, then whoever else took part.
 * @param {Arrow[]} arrows
 * @returns {string[]}
 */
export function lanesOf(arrows) {
  const found = new Set(arrows.flatMap((arrow) => [arrow.source, arrow.target]));
  const strangers = [...found].filter((party) => !ORDER.includes(party)).sort();
  return [...ORDER.filter((party) => found.has(party)), ...strangers];
}
