// What every name on the wire means, in a sentence, and where it is defined: claims, tokens, covered components, schemes,
// requirements and reasons, for both drafts. Pure; the section numbers are those of the published drafts 01 and 11.

import { lookUp } from "./arrows.js";

/** @typedef {"01" | "11"} Draft */
/** @typedef {{href: string, label: string, title?: string}} Link */

const DRAFT = "https://datatracker.ietf.org/doc/html/draft-hardt-oauth-aauth-protocol-";
const KEYS = "https://datatracker.ietf.org/doc/html/draft-hardt-httpbis-signature-key";
const SIGNATURES = "https://www.rfc-editor.org/rfc/rfc9421.html";

/** @param {Draft} draft @param {string} number @returns {Link} */
export function section(draft, number) {
  const anchor = /^[A-Z]/.test(number) ? `appendix-${number}` : `section-${number}`;
  return { href: `${DRAFT}${draft}#${anchor}`, label: `§${number}`, title: `AAuth draft ${draft}, section ${number}` };
}

// Where each token's structure is defined, and what it is for.
/** @type {Record<string, {words: string} & Partial<Record<Draft, string>>>} */
const TOKENS = {
  "aa-agent+jwt": { "01": "5.2.2", 11: "5.3.1", words: "Who the agent is: its provider vouches for its name and its key." },
  "aa-person+jwt": { 11: "7.1.2", words: "Whom the agent acts for, said to one resource. It permits nothing by itself." },
  "aa-resource+jwt": { "01": "6.6.1", 11: "6.7.1", words: "What a resource wants authorized, signed by the resource, for this key only." },
  "aa-auth+jwt": { "01": "9.4.1", 11: "9.4.1", words: "What the agent may do at one resource, for how long, and for whom." },
};

/** @param {string | null} typ @param {Draft} draft @returns {{words: string, link: Link | null}} */
export function tokenMeaning(typ, draft) {
  const found = lookUp(TOKENS, typ);
  const number = found?.[draft];
  return { words: found?.words ?? "A signed statement of a type this page does not know.", link: number ? section(draft, number) : null };
}

// A claim: its meaning for any token, or for one type; then the section of each draft, for any token or for one type.
// What is missing for a draft is not defined there.
/**
 * @typedef {Record<string, string>} ByType "*" and types
 * @typedef {{words: ByType, sections: Partial<Record<Draft, ByType>>}} Claim
 */
const STRUCTURE = {
  "01": { "aa-agent+jwt": "5.2.2", "aa-resource+jwt": "6.6.1", "aa-auth+jwt": "9.4.1" },
  11: { "aa-agent+jwt": "5.3.1", "aa-person+jwt": "7.1.2", "aa-resource+jwt": "6.7.1", "aa-auth+jwt": "9.4.1" },
};
const COMMON = { "01": STRUCTURE["01"], 11: { "*": "11.5.1" } };
const OWN = { "01": STRUCTURE["01"], 11: STRUCTURE[11] };

/** @type {Record<string, Claim>} */
const CLAIMS = {
  iss: {
    words: {
      "*": "Who issued it; its public keys are found from here.",
      "aa-agent+jwt": "The agent provider that vouches for the agent.",
      "aa-person+jwt": "The person server that speaks for the person.",
      "aa-resource+jwt": "The resource that wants something authorized.",
      "aa-auth+jwt": "The person server (or access server) that gave the permission.",
    },
    sections: COMMON,
  },
  dwk: { words: { "*": "Name of the issuer's well-known document, which leads to the key that verifies this token." }, sections: COMMON },
  sub: {
    words: {
      "*": "Whom or what it is about.",
      "aa-agent+jwt": "The agent's identifier. It stays when the key changes.",
      "aa-person+jwt": "The person, by an identifier made for this resource alone: two resources cannot compare notes.",
      "aa-resource+jwt": "The person, by the identifier the resource was shown.",
      "aa-auth+jwt": "The person who stands behind this, by an identifier made for this resource alone.",
    },
    sections: OWN,
  },
  aud: {
    words: {
      "*": "Whom it is for; anybody else must refuse it.",
      "aa-person+jwt": "The one resource it may be shown to.",
      "aa-resource+jwt": "The person server (or access server) it may be taken to.",
      "aa-auth+jwt": "The one resource it opens.",
    },
    sections: OWN,
  },
  jti: { words: { "*": "This token's own number: for audit and revocation." }, sections: COMMON },
  iat: { words: { "*": "When it was issued." }, sections: COMMON },
  exp: {
    words: {
      "*": "When it ends. After that it is worth nothing.",
      "aa-agent+jwt": "When it ends: at most a day after it was issued.",
      "aa-person+jwt": "When it ends: at most an hour after it was issued.",
      "aa-resource+jwt": "When it ends: a few minutes are enough to take it to the person server.",
      "aa-auth+jwt": "When it ends: at most an hour after it was issued.",
    },
    sections: { "01": STRUCTURE["01"], 11: STRUCTURE[11] },
  },
  cnf: { words: { "*": "The key it is bound to. Whoever steals the token has not got the key, so it is useless to them." }, sections: COMMON },
  ps: {
    words: {
      "*": "The person server.",
      "aa-agent+jwt": "The agent's person server: where a resource may send it for a decision.",
      "aa-resource+jwt": "The person server whose word about the person the resource took.",
      "aa-auth+jwt": "The person server that represents the person; later hops ask there too.",
    },
    sections: { "01": { "aa-agent+jwt": "5.2.2" }, 11: OWN[11] },
  },
  parent_agent: { words: { "*": "This is a sub-agent; its parent asks for permission on its behalf." }, sections: { 11: { "*": "10.2" } } },
  agent: {
    words: {
      "*": "The agent's identifier.",
      "aa-resource+jwt": "The agent that sent the request.",
      "aa-auth+jwt": "The agent that may use this.",
    },
    sections: { "01": { "aa-resource+jwt": "6.6.1", "aa-auth+jwt": "9.4.1" } },
  },
  agent_jkt: { words: { "*": "Thumbprint of the key that signed the request: nobody else can redeem this." }, sections: { "01": { "*": "6.6.1" }, 11: { "*": "6.7.1" } } },
  presented_jti: { words: { "*": "The number of the token that was shown when this was asked for." }, sections: { 11: { "*": "6.7.1" } } },
  scope: {
    words: { "*": "What it is about, in words the resource defines.", "aa-resource+jwt": "What the resource wants authorized.", "aa-auth+jwt": "What is permitted, and nothing else." },
    sections: { "01": { "aa-resource+jwt": "6.6.1", "aa-auth+jwt": "9.4.1" }, 11: { "aa-resource+jwt": "6.7.1", "aa-auth+jwt": "9.4.1" } },
  },
  act: { words: { "*": "Who acts, and on whose request: the chain of calls, the current one first." }, sections: { "01": { "*": "9.4.1" } } },
  account: { words: { "*": "Which of the person's accounts at the resource." }, sections: { 11: { "*": "11.11" } } },
  tenant: { words: { "*": "The organization the person belongs to." }, sections: { "01": { "*": "9.4.1" }, 11: OWN[11] } },
  mission_s256: { words: { "*": "The approved mission this belongs to, by its hash." }, sections: { 11: { "*": "8.2.1" } } },
  mission: { words: { "*": "The approved mission this belongs to." }, sections: { "01": { "*": "8.2" } } },
  login_hint: { words: { "*": "A hint about which person is meant." }, sections: { 11: { "*": "6.7.1" } } },
  interaction: { words: { "*": "A page of the resource the person has to visit first." }, sections: { 11: { "*": "7.2.3" } } },
};

/**
 * What a claim of a token says, and the section that defines it.
 * @param {string} name
 * @param {string | null} typ
 * @param {Draft} draft
 * @returns {{words: string, link: Link | null}}
 */
export function claimMeaning(name, typ, draft) {
  const found = lookUp(CLAIMS, name);
  if (!found) return { words: "Not defined by the draft; whoever does not know it ignores it.", link: null };
  const number = byType(found.sections[draft], typ);
  return { words: byType(found.words, typ) ?? "", link: number ? section(draft, number) : null };
}

/** @param {ByType | undefined} table @param {string | null} typ */
const byType = (table, typ) => (table ? lookUp(table, typ) ?? table["*"] : undefined);

/** @type {Record<string, [string, string]>} */
const COMPONENTS = {
  "@method": ["what is done (GET, POST)", `${SIGNATURES}#section-2.2.1`],
  "@authority": ["the host it is meant for", `${SIGNATURES}#section-2.2.3`],
  "@path": ["the path it is meant for", `${SIGNATURES}#section-2.2.6`],
  "@query": ["the query of the address", `${SIGNATURES}#section-2.2.7`],
  "@target-uri": ["the whole address", `${SIGNATURES}#section-2.2.2`],
  "signature-key": ["the key, with the token that vouches for it", KEYS],
  "content-type": ["how the body is to be read", `${SIGNATURES}#section-2.1`],
  "content-digest": ["a hash of the body, so that not a byte of it can change", "https://www.rfc-editor.org/rfc/rfc9530.html#section-2"],
  authorization: ["a session token of the resource", `${SIGNATURES}#section-2.1`],
  "aauth-capabilities": ["what the agent can do when it is asked something", `${SIGNATURES}#section-2.1`],
};
/** @param {string} name @returns {{words: string, link: Link | null}} */
export function componentMeaning(name) {
  const found = lookUp(COMPONENTS, name);
  return found ? { words: found[0], link: { href: found[1], label: name } } : { words: "a header of the request", link: { href: `${SIGNATURES}#section-2.1`, label: name } };
}

/** @param {Draft} draft */
export const coveringRule = (draft) => section(draft, draft === "01" ? "12.7.3.1" : "11.3.3");

/** @type {Record<string, string>} */
const SCHEMES = {
  jwt: "the key is in the token that is shown",
  jwks_uri: "the key is published by the sender and fetched from there",
  "jkt-jwt": "a lasting key vouches for a short-lived one",
  hwk: "the bare key, known to nobody",
  jkt: "the thumbprint of a key that is known",
};
/** @param {string} scheme */
export const schemeWords = (scheme) => lookUp(SCHEMES, scheme) ?? "a way of naming the key";

/** @type {Record<string, {words: string} & Record<Draft, string>>} */
const REQUIREMENTS = {
  "agent-token": { words: "Come back with an agent token: say who you are.", "01": "12.3.2", 11: "6.1" },
  "person-token": { words: "Come back with a person token: say whom you act for.", "01": "12.3.2", 11: "6.4" },
  "auth-token": { words: "Take the resource token to your person server and come back with an auth token.", "01": "6.5", 11: "6.5" },
  interaction: { words: "A person has to do something first. They are told where; ask again meanwhile.", "01": "12.3.3", 11: "11.6.3" },
  approval: { words: "Somebody has to approve this first. Ask again meanwhile.", "01": "12.3.4", 11: "11.6.4" },
  clarification: { words: "The person asks the agent something before they decide.", "01": "7.3.1", 11: "7.5.1" },
  claims: { words: "More must be known about the person.", "01": "9.2", 11: "9.2" },
};
/** @param {string} requirement @param {Draft} draft @returns {{words: string, link: Link | null}} */
export function requirementMeaning(requirement, draft) {
  const found = lookUp(REQUIREMENTS, requirement);
  return found ? { words: found.words, link: section(draft, found[draft]) } : { words: "The answer asks for something this page does not know.", link: null };
}

// Codes of refusals, as they continue "because …".
/** @type {Record<string, string>} */
const REASONS = {
  insufficient_scope: "that is not enough here",
  person_token_required: "nothing says yet whom the agent acts for",
  invalid_signature: "the signature does not fit the request, or it is too old",
  invalid_input: "the signature does not cover what it has to",
  invalid_request: "headers of the signature are missing or cannot be read",
  invalid_key: "the key cannot be read",
  unknown_key: "nobody published that key",
  invalid_jwt: "the token is not good for this",
  expired_jwt: "the token has ended",
  revoked_jwt: "the token was revoked",
  unsupported_algorithm: "the algorithm is not taken here",
  unsupported_scheme: "this way of naming a key is not taken here",
  issuer_missing: "the issuer does not say who it is",
  issuer_mismatch: "the issuer's description names somebody else",
  clock_skew: "the token is from the future",
  untrusted_issuer: "its issuer is not trusted here",
  authorization_denied: "the policy of the resource does not allow it",
  agent_revoked: "the permission of the agent was taken back",
  revoked: "the permission was taken back",
  denied: "the person said no",
  temporarily_unavailable: "something it needs does not answer",
  not_found: "there is no such resource",
};
/** @param {string} reason a code, or the value of Signature-Error */
export function reasonWords(reason) {
  const code = /error="?([a-z_]+)/.exec(reason)?.[1] ?? reason;
  return lookUp(REASONS, code) ?? code.replaceAll("_", " ");
}

/** @type {Record<string, string>} */
const LEVELS = {
  pseudonymous: "a key that nobody vouches for",
  identified: "an agent that somebody vouches for",
  authorized: "an agent with a permission",
};
/** @type {Record<string, [string, ((value: string) => string)?]>} */
const FACTS = {
  resource: ["Resource"],
  level: ["Level", (value) => lookUp(LEVELS, value) ?? ""],
  scheme: ["Key by", schemeWords],
  typ: ["Shown"],
  agent: ["Agent"],
  agent_server: ["Vouched for by"],
  sub: ["Subject"],
  scope: ["Scope"],
  jti: ["Token number"],
  resource_token_jti: ["Resource token it gave"],
  rule: ["Rule that applied"],
  detail: ["Detail"],
};
/** What a fact of a check is called, and what its value means. @param {string} name @param {string} value */
export function factMeaning(name, value) {
  const found = lookUp(FACTS, name);
  return { name: found?.[0] ?? name, words: found?.[1]?.(value) ?? "" };
}

/**
 * Which draft these exchanges speak, by what only one of them has; null while nothing tells.
 * @param {import("./arrows.js").Arrow[]} arrows
 * @returns {Draft | null}
 */
export function draftSpoken(arrows) {
  for (const arrow of arrows) {
    if (arrow.requirement === "person-token") return "11";
    for (const { typ, claims } of arrow.tokens) {
      if (typ === "aa-person+jwt" || "presented_jti" in claims) return "11";
      if (typ !== "aa-agent+jwt" && ("agent" in claims || "act" in claims)) return "01";
    }
  }
  return null;
}
