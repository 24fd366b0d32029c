// What a run's trace is made of, and what can be told from one arrow alone: which kind of step it is and how it ended.
// Pure: no page, no network. An arrow comes from other parties, so nothing in it is trusted to have a shape.

/**
 * @typedef {{direction: string, where: string, typ: string | null, claims: Record<string, unknown>}} Token
 * @typedef {object} Arrow
 * @property {string} id
 * @property {string} source
 * @property {string} target
 * @property {string | null} [host] the name the request was sent to
 * @property {string | null} [parent] the arrow this one was sent for
 * @property {number} at seconds since the run began
 * @property {number} duration seconds
 * @property {string} method
 * @property {string} path
 * @property {number | null} status
 * @property {string} kind request, forwarded, check or decision
 * @property {string | null} scheme
 * @property {string[]} components
 * @property {string | null} requirement
 * @property {string | null} decision
 * @property {string | null} reason
 * @property {Token[]} tokens
 * @property {Record<string, unknown>} facts
 *
 * @typedef {"document" | "check" | "forwarded" | "decision" | "person-token" | "exchange" | "poll" | "enrolment" | "call"} Act
 * @typedef {"good" | "ask" | "bad" | "plain"} Tone how an outcome is to be taken
 * @typedef {{tone: Tone, mark: string, words: string}} Outcome
 */

/**
 * Which kind of step this is.
 * @param {Arrow} arrow
 * @returns {Act}
 */
export function actOf(arrow) {
  if (isDocument(arrow)) return "document";
  if (arrow.kind === "check" || arrow.kind === "forwarded" || arrow.kind === "decision") return arrow.kind;
  if (carries(arrow, "request", "resource_token") || /^\/token$/.test(arrow.path)) return "exchange";
  if (arrow.target !== "person") return arrow.method === "GET" && /\/pending\//.test(arrow.path) ? "poll" : "call";
  if (/^\/(register|refresh)(\/|$)/.test(arrow.path)) return "enrolment";
  if (/^\/pending\//.test(arrow.path)) return "poll";
  if (carries(arrow, "response", "person_token") || /^\/person$/.test(arrow.path)) return "person-token";
  return "call";
}

/** @param {Arrow} arrow */
export const isDocument = (arrow) => arrow.path.startsWith("/.well-known/");

/**
 * The first token of the exchange that stood there, such as "auth_token" of the response.
 * @param {Arrow} arrow
 * @param {string} direction
 * @param {string} where
 * @returns {Token | undefined}
 */
export const tokenAt = (arrow, direction, where) =>
  arrow.tokens.find((token) => token.direction === direction && token.where === where);

/** @param {Arrow} arrow @param {string} direction @param {string} where */
const carries = (arrow, direction, where) => tokenAt(arrow, direction, where) !== undefined;

const CHECKED = {
  allowed: ["good", "✓", "allowed"],
  challenged: ["ask", "?", "more is needed"],
  denied: ["bad", "✕", "denied"],
  error: ["bad", "!", "could not check"],
};
const DECIDED = {
  arrived: ["plain", "·", "looks at it"],
  approved: ["good", "✓", "allowed"],
  denied: ["bad", "✕", "refused"],
  abandoned: ["bad", "✕", "closed"],
};
const REQUIRED = {
  "agent-token": "agent token needed",
  "person-token": "person token needed",
  "auth-token": "auth token needed",
  interaction: "a person must decide",
  approval: "a person must approve",
  clarification: "a question to the agent",
  claims: "claims needed",
};
const ENDED = {
  401: "not accepted", 403: "denied", 404: "not there", 408: "ran out", 410: "over", 413: "too large", 429: "too often",
};

/**
 * How it ended, in a few words and with a mark that needs no colour.
 * @param {Arrow} arrow
 * @returns {Outcome}
 */
export function outcomeOf(arrow) {
  if (arrow.kind === "check") return named(CHECKED, arrow.decision);
  if (arrow.kind === "decision") return named(DECIDED, arrow.decision);
  const { status, requirement } = arrow;
  if (status === null || status === undefined) return { tone: "bad", mark: "!", words: "no answer" };
  if (arrow.reason) return { tone: "bad", mark: "✕", words: "signature refused" };
  if (requirement) return { tone: "ask", mark: "?", words: lookUp(REQUIRED, requirement) ?? requirement };
  if (status === 202) return { tone: "ask", mark: "…", words: "not yet" };
  if (status < 300) return { tone: "good", mark: "✓", words: received(arrow) };
  if (status < 400) return { tone: "plain", mark: "→", words: "elsewhere" };
  return { tone: "bad", mark: "✕", words: lookUp(ENDED, status) ?? (status < 500 ? "refused" : "failed") };
}

/** @param {Record<string, string[]>} table @param {string | null} name @returns {Outcome} */
function named(table, name) {
  const [tone, mark, words] = lookUp(table, name) ?? ["plain", "·", name ?? "unknown"];
  return { tone: /** @type {Tone} */ (tone), mark, words };
}

// "the auth token", "a person token": what the caller has now that it had not before.
/** @param {Arrow} arrow */
function received(arrow) {
  const got = arrow.tokens.filter((token) => token.direction === "response").map((token) => tokenName(token.typ));
  return got.length > 0 ? `here is the ${got.join(" and the ")}` : "answered";
}

const TOKENS = {
  "aa-agent+jwt": "agent token",
  "aa-person+jwt": "person token",
  "aa-resource+jwt": "resource token",
  "aa-auth+jwt": "auth token",
};
/** @param {string | null} typ */
export const tokenName = (typ) => lookUp(TOKENS, typ) ?? "token";

/**
 * Own members only: a name that comes from elsewhere may be "constructor".
 * @template T
 * @param {Record<string, T>} table
 * @param {unknown} name
 * @returns {T | undefined}
 */
export const lookUp = (table, name) => (Object.hasOwn(table, String(name)) ? table[String(name)] : undefined);

/**
 * Arrows as they came, made safe to read: a missing member becomes an empty one.
 * @param {unknown} given
 * @returns {Arrow[]}
 */
export function readArrows(given) {
  if (!Array.isArray(given)) return [];
  return given.filter((each) => each && typeof each === "object" && typeof each.id === "string").map((each) => ({
    id: each.id,
    source: text(each.source) || "unknown",
    target: text(each.target) || "unknown",
    host: text(each.host) || null,
    parent: text(each.parent) || null,
    at: number(each.at),
    duration: Math.max(0, number(each.duration)),
    method: text(each.method),
    path: text(each.path),
    status: Number.isInteger(each.status) ? each.status : null,
    kind: text(each.kind),
    scheme: text(each.scheme) || null,
    components: list(each.components).map(text),
    requirement: text(each.requirement) || null,
    decision: text(each.decision) || null,
    reason: text(each.reason) || null,
    tokens: list(each.tokens).filter((token) => token && typeof token === "object").map((token) => ({
      direction: text(token.direction),
      where: text(token.where),
      typ: text(token.typ) || null,
      claims: members(token.claims),
    })),
    facts: members(each.facts),
  }));
}

/** @param {unknown} value */
const text = (value) => (typeof value === "string" ? value : "");
/** @param {unknown} value */
const number = (value) => (typeof value === "number" && Number.isFinite(value) ? value : 0);
/** @param {unknown} value @returns {any[]} */
const list = (value) => (Array.isArray(value) ? value : []);
/** @param {unknown} value @returns {Record<string, unknown>} */
const members = (value) => (value && typeof value === "object" && !Array.isArray(value) ? /** @type {any} */ (value) : {});
