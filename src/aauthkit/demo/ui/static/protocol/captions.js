// A plain sentence for each step, made from its arrow alone. Pure: what the arrow does not say, the sentence does not either.

import { actOf, outcomeOf, tokenAt, tokenName } from "./arrows.js";
import { nameOf, partyBehind } from "./parties.js";
import { reasonWords } from "./glossary.js";

/** @typedef {import("./arrows.js").Arrow} Arrow */

/** @param {Arrow} arrow */
export const captionOf = (arrow) => capital(SENTENCES[actOf(arrow)](arrow));

/** @type {Record<import("./arrows.js").Act, (arrow: Arrow) => string>} */
const SENTENCES = { document, check, forwarded, decision, "person-token": personToken, exchange, poll, enrolment, call };

/** @param {Arrow} arrow */
function call(arrow) {
  const asked = `${nameOf(arrow.source)} sends ${nameOf(partyBehind(arrow.host ?? "", arrow.target))} ${requestWords(arrow)}`;
  const wanted = answerWords(arrow);
  return wanted ? `${asked}. ${capital(nameOf(arrow.target))} answers: ${wanted}.` : `${asked}${ending(arrow, "and gets its answer")}`;
}

/** @param {Arrow} arrow */
function requestWords(arrow) {
  const shown = tokenAt(arrow, "request", "Signature-Key");
  if (shown) return `a signed request with its ${tokenName(shown.typ)}`;
  return arrow.scheme ? "a signed request" : "a request";
}

// What an answer asks for, as the one who answers would say it; empty where it asks for nothing.
/** @param {Arrow} arrow */
function answerWords(arrow) {
  if (arrow.reason) return `the signature is refused, since ${reasonWords(arrow.reason)}`;
  switch (arrow.requirement) {
    case "auth-token": return `show me an auth token${scopes(tokenAt(arrow, "response", "AAuth-Requirement"))}; this resource token says what for`;
    case "person-token": return "show me first which person you act for";
    case "agent-token": return "show me an agent token, so that I know who you are";
    case "interaction": return DECIDE;
    default: return "";
  }
}

const DECIDE = "a person has to decide first, ask again later";

/** @param {Arrow} arrow */
function personToken(arrow) {
  const given = tokenAt(arrow, "response", "person_token");
  const where = given && typeof given.claims.aud === "string" ? ` at ${nameOf(partyBehind(given.claims.aud))}` : "";
  const chained = tokenAt(arrow, "request", "upstream_token");
  const asks = chained ? `shows ${nameOf(arrow.target)} the token of whoever called it and asks` : `asks ${nameOf(arrow.target)}`;
  const asked = `${nameOf(arrow.source)} ${asks} for a person token`;
  return given ? `${asked}. It gets one: whom it acts for${where}, and no permission yet.` : `${asked}${ending(arrow, "and is answered")}`;
}

/** @param {Arrow} arrow */
function exchange(arrow) {
  const wanted = tokenAt(arrow, "request", "resource_token");
  const given = tokenAt(arrow, "response", "auth_token");
  const upstream = tokenAt(arrow, "request", "upstream_token") ? " and the token of whoever called it" : "";
  const asked = `${nameOf(arrow.source)} takes the resource token${upstream} to ${nameOf(arrow.target)} and asks for an auth token${given ? "" : scopes(wanted)}`;
  if (given) return `${asked}. It gets one${scopes(given)}.`;
  if (arrow.status === 202) return `${asked}. The answer: ${DECIDE}.`;
  return `${asked}${ending(arrow, "and is answered")}`;
}

/** @param {Arrow} arrow */
function poll(arrow) {
  const given = arrow.tokens.find((token) => token.direction === "response");
  const asked = `${nameOf(arrow.source)} asks ${nameOf(arrow.target)} whether it is decided`;
  if (given) return `${asked}. It is: here is the ${tokenName(given.typ)}${scopes(given)}.`;
  if (arrow.status === 202) return `${asked}. Not yet.`;
  return `${asked}${ending(arrow, "and gets its answer")}`;
}

/** @param {Arrow} arrow */
function enrolment(arrow) {
  const asked = `${nameOf(arrow.source)} proves its key to ${nameOf(arrow.target)} and asks for an agent token`;
  return `${asked}${ending(arrow, "and gets one")}`;
}

/** @param {Arrow} arrow */
function check(arrow) {
  const { facts } = arrow;
  const asked = `${nameOf(arrow.source)} asks ${nameOf(arrow.target)}: may this go to ${nameOf(partyBehind(String(facts.resource ?? ""), "its resource"))}`;
  const shown = typeof facts.typ === "string" ? `signature and ${tokenName(facts.typ)} are good` : "";
  const why = arrow.reason ? reasonWords(arrow.reason) : "";
  if (arrow.decision === "allowed") return `${asked}? Yes${shown ? `: ${shown}` : ""}.`;
  if (arrow.decision === "challenged") return `${asked}? Not yet${shown ? `: ${shown}` : ""}${why ? `, but ${why}` : ""}.`;
  if (arrow.decision === "denied") return `${asked}? No${why ? `: ${why}` : ""}.`;
  return `${asked}? It cannot tell${why ? `: ${why}` : ""}.`;
}

/** @param {Arrow} arrow */
function forwarded(arrow) {
  return `${nameOf(arrow.source)} passes the request on to ${nameOf(arrow.target)}${ending(arrow, "and the answer back")}`;
}

/** @param {Arrow} arrow */
function decision(arrow) {
  const words = {
    arrived: "you open the request at",
    approved: "you allow it at",
    denied: "you refuse it at",
    abandoned: "you close it without deciding at",
  }[arrow.decision ?? ""] ?? "you answer at";
  return `${words} ${nameOf(arrow.target)}.`;
}

/** @param {Arrow} arrow */
function document(arrow) {
  const what = /jwks/.test(arrow.path) ? "public keys" : "description";
  if (arrow.kind === "check") return check(arrow);
  if (arrow.kind === "forwarded") return `${nameOf(arrow.source)} passes the question for the ${what} on to ${nameOf(arrow.target)}.`;
  return `${nameOf(arrow.source)} reads the ${what} of ${nameOf(partyBehind(arrow.host ?? "", arrow.target))}${ending(arrow, "")}`;
}

/**
 * One sentence for documents that were fetched one after the other.
 * @param {Arrow[]} arrows
 */
export function documentsCaption(arrows) {
  const fetched = arrows.filter((arrow) => arrow.kind === "request");
  const readers = [...new Set(fetched.map((arrow) => nameOf(arrow.source)))];
  if (fetched.length === 0) return "Public documents are passed on.";
  const many = fetched.length === 1 ? "one public document" : `${fetched.length} public documents`;
  return capital(`${joined(readers)} ${readers.length === 1 ? "reads" : "read"} ${many}: who is who, and with which keys they sign.`);
}

/** @param {Arrow} arrow @param {string} good what happened when it went well */
function ending(arrow, good) {
  const { tone, words } = outcomeOf(arrow);
  if (tone === "good") return good ? ` ${good}.` : ".";
  return `: ${words}.`;
}

// " for a:read and a:write": what a token is about.
/** @param {import("./arrows.js").Token | undefined} token */
function scopes(token) {
  const scope = token?.claims.scope;
  return typeof scope === "string" && scope ? ` for ${joined(scope.split(/\s+/))}` : "";
}

/** @param {string[]} words */
const joined = (words) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`);
/** @param {string} sentence */
const capital = (sentence) => sentence.charAt(0).toUpperCase() + sentence.slice(1);
