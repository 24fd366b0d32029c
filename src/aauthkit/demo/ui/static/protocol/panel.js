// What one step says in full: the request, its signature, the answer, the check, and every token claim by claim.

import { make } from "../dom.js";
import { time } from "../words.js";
import { outcomeOf, tokenName } from "./arrows.js";
import { claimMeaning, componentMeaning, coveringRule, factMeaning, reasonWords, requirementMeaning, schemeWords, tokenMeaning } from "./glossary.js";
import { markOf } from "./marks.js";
import { laneName, partyBehind } from "./parties.js";
import { seconds, took } from "./times.js";

/** @typedef {import("./arrows.js").Arrow} Arrow */
/** @typedef {import("./step.js").Scene} Scene */
/** @typedef {import("./glossary.js").Link} Link */

// What a resource or an agent made long is shown to where it stops being readable.
const LONGEST = 400;
// Values that say which key or which token: the same one is found again by its mark.
const THUMBPRINTS = new Set(["jkt", "agent_jkt"]);
const NUMBERS = new Set(["jti", "presented_jti", "resource_token_jti"]);
const TIMES = new Set(["iat", "exp", "nbf"]);

/** @param {Arrow} arrow @param {Scene} scene */
export function panelOf(arrow, scene) {
  const panel = make("div", { class: "panel", role: "group", "aria-label": "Details of this step" });
  panel.append(exchange(arrow, scene));
  if (Object.keys(arrow.facts).length > 0) panel.append(checked(arrow));
  for (const token of arrow.tokens) panel.append(tokenOf(token, scene));
  return panel;
}

/** @param {Arrow} arrow @param {Scene} scene */
function exchange(arrow, { draft, arrows }) {
  const parent = arrows.get(arrow.parent ?? "");
  const outcome = outcomeOf(arrow);
  const rows = [
    ["From", laneName(arrow.source)],
    ["To", arrow.host ? `${laneName(arrow.target)} (${arrow.host})` : laneName(arrow.target)],
    ["Request", code(`${arrow.method} ${arrow.path}`.trim())],
    ["Signed", arrow.scheme ? [code(arrow.scheme), ` ${schemeWords(arrow.scheme)}`] : null],
    ["Signature covers", covered(arrow, draft)],
    ["Answer", arrow.kind === "check" ? null : arrow.status === null ? outcome.words : `${arrow.status}: ${outcome.words}`],
    ["It requires", arrow.requirement ? withLink([code(arrow.requirement), ` ${requirementMeaning(arrow.requirement, draft).words} `], requirementMeaning(arrow.requirement, draft).link) : null],
    ["Decision", arrow.kind === "check" || arrow.kind === "decision" ? `${arrow.decision}: ${outcome.words}` : null],
    ["Reason", arrow.reason ? [code(arrow.reason), ` ${reasonWords(arrow.reason)}`] : null],
    ["Sent for", parent ? [`${laneName(parent.source)} → ${laneName(parent.target)} at ${seconds(parent.at)}, `, code(`${parent.method} ${parent.path}`.trim())] : null],
    ["Time", `${seconds(arrow.at)} after the run began; it took ${took(arrow.duration)}`],
  ];
  return card(arrow.kind === "check" ? "The check" : "The exchange", [definitions(rows)]);
}

/** @param {Arrow} arrow @param {import("./glossary.js").Draft} draft */
function covered(arrow, draft) {
  if (arrow.components.length === 0) return null;
  const items = arrow.components.map((name) => {
    const { words, link } = componentMeaning(name);
    return make("li", {}, link ? anchor(link) : code(name), ` ${words}`);
  });
  return [make("ul", { class: "covered" }, ...items), "Change any of it and the signature breaks. ", anchor(coveringRule(draft))];
}

/** @param {Arrow} arrow */
function checked({ facts }) {
  const rows = Object.entries(facts).filter(([name]) => name !== "decision" && name !== "reason").map(([name, value]) => {
    const { name: title, words } = factMeaning(name, String(value));
    return [title, [...[valueOf(name, value)].flat(), words ? make("span", { class: "soft" }, ` ${words}`) : ""]];
  });
  return card("What was found", [definitions(rows)]);
}

/** @param {import("./arrows.js").Token} token @param {Scene} scene */
function tokenOf(token, { draft, keys }) {
  const { words, link } = tokenMeaning(token.typ, draft);
  const name = tokenName(token.typ);
  const where = token.direction === "request" ? `sent in ${token.where}` : `received in ${token.where}`;
  const head = make("tr", {}, ...["Claim", "What it says"].map((title) => make("th", { scope: "col" }, title)));
  const lasts = lifetime(token.claims);
  const rows = Object.entries(token.claims).map(([claim, value]) => {
    const meaning = claimMeaning(claim, token.typ, draft);
    return make("tr", {},
      make("th", { scope: "row" }, shortened(claim)),
      make("td", {},
        make("div", { class: "value" }, ...[valueOf(claim, value, keys)].flat(), claim === "exp" ? lasts : ""),
        make("div", { class: "means" }, ...withLink([`${meaning.words} `], meaning.link))));
  });
  const table = make("table", { class: "claims" }, make("caption", { class: "hidden-text" }, `Claims of the ${name}`), make("thead", {}, head), make("tbody", {}, ...rows));
  const told = make("p", { class: "soft small" }, ...withLink([`${words} `], link));
  return card([`${name.charAt(0).toUpperCase()}${name.slice(1)}`, make("span", { class: "soft small" }, ` ${where}`)], [told, table], token.typ);
}

/**
 * @param {string} name
 * @param {unknown} value
 * @param {Map<string, string>} [keys]
 * @returns {(Node | string) | (Node | string)[]}
 */
function valueOf(name, value, keys) {
  if (TIMES.has(name) && typeof value === "number") return moment(value);
  if (THUMBPRINTS.has(name) && typeof value === "string") return named(value, keys?.get(value) ?? "key");
  if (NUMBERS.has(name) && typeof value === "string") return named(value, "");
  if (name === "cnf") return confirmation(value, keys);
  if (name === "act") return actors(value);
  if (name === "scope" && typeof value === "string") return value.split(/\s+/).flatMap((each) => [code(shortened(each)), " "]);
  if (typeof value === "string") return [code(shortened(value)), ...party(value)];
  return code(shortened(JSON.stringify(value)));
}

/** @param {unknown} value @param {Map<string, string>} [keys] @returns {(Node | string)[]} */
function confirmation(value, keys) {
  const key = /** @type {any} */ (value);
  if (typeof key?.jkt !== "string") return [code(shortened(JSON.stringify(value)))];
  return [named(key.jkt, keys?.get(key.jkt) ?? "key"), ` ${shortened(String(key.jwk?.crv ?? key.jwk?.kty ?? ""))}`];
}

// act nests from the one who acts now to the one who began.
/** @param {unknown} value @returns {(Node | string)[]} */
function actors(value) {
  const names = [];
  for (let actor = /** @type {any} */ (value); actor && typeof actor === "object" && names.length < 10; actor = actor.act) names.push(code(shortened(String(actor.sub))));
  return names.flatMap((each, i) => (i === 0 ? [each] : [" asked by ", each]));
}

// Whose address it is.
/** @param {string} value */
function party(value) {
  const found = partyBehind(value, "");
  return found ? [make("span", { class: "soft" }, ` ${laneName(found)}`)] : [];
}

// A value nobody reads to its end: a mark, its beginning, and the whole of it to copy.
/** @param {string} value @param {string} label */
function named(value, label) {
  const button = make("button", { type: "button", class: "copy", title: value, "data-whole": shortened(value) },
    markOf(value), label ? make("span", { class: "key" }, label) : "", code(`${value.slice(0, 8)}…`), make("span", { class: "hidden-text" }, " copy the whole value"));
  button.addEventListener("click", () => copy(button, value));
  return button;
}

/** @param {HTMLElement} button @param {string} value */
async function copy(button, value) {
  try {
    await navigator.clipboard.writeText(value);
    button.dataset.whole = "copied";
  } catch {
    button.dataset.whole = value;
  }
}

/** @param {number} stamp unix seconds */
function moment(stamp) {
  const date = new Date(stamp * 1000);
  if (Number.isNaN(date.getTime())) return code(String(stamp));
  const iso = date.toISOString();
  return make("time", { dateTime: iso, title: `${iso} (${stamp})` }, time(iso), make("span", { class: "soft" }, ` ${date.toLocaleDateString()}`));
}

// How long a token is good for, from when it was issued.
/** @param {Record<string, unknown>} claims */
function lifetime({ iat, exp }) {
  if (typeof iat !== "number" || typeof exp !== "number" || exp <= iat) return "";
  const minutes = Math.round((exp - iat) / 60);
  const words = minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
  return make("span", { class: "soft" }, ` · ${words} in all`);
}

// Pieces.

/** @param {string | (Node | string)[]} title @param {(Node | string)[]} content @param {string | null} [typ] */
const card = (title, content, typ) => make("section", { class: "piece", "data-typ": typ ?? "" }, make("h3", {}, ...[title].flat()), ...content);

/** @param {any[][]} rows */
function definitions(rows) {
  const shown = rows.filter(([, value]) => value !== null && value !== "");
  return make("dl", { class: "facts" }, ...shown.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, ...[value].flat())]));
}

/** @param {string} text */
const code = (text) => make("code", {}, text);
/** @param {string} text */
const shortened = (text) => (text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);
/** @param {Link} link */
const anchor = (link) => make("a", { href: link.href, target: "_blank", rel: "noopener noreferrer", class: "section", title: link.title ?? "" }, link.label);
/** @param {(Node | string)[]} content @param {Link | null} link */
const withLink = (content, link) => (link ? [...content, anchor(link)] : content);

/** @param {Arrow[]} arrows */
export const byId = (arrows) => new Map(arrows.map((arrow) => [arrow.id, arrow]));

/**
 * Keys by the name they go by in a run: "key A" is the first one that was seen.
 * @param {Arrow[]} arrows
 * @returns {Map<string, string>}
 */
export function keysOf(arrows) {
  /** @type {Map<string, string>} */
  const keys = new Map();
  for (const { tokens } of arrows) {
    for (const { claims } of tokens) {
      for (const value of [/** @type {any} */ (claims.cnf)?.jkt, claims.agent_jkt]) {
        if (typeof value === "string" && !keys.has(value)) keys.set(value, `key ${letters(keys.size)}`);
      }
    }
  }
  return keys;
}

// 0 → A, 25 → Z, 26 → AA
/** @param {number} index @returns {string} */
const letters = (index) => (index < 26 ? "" : letters(Math.floor(index / 26) - 1)) + String.fromCharCode(65 + (index % 26));
