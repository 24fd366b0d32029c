// A request as a link: everything the form says in the address's fragment, which no server is sent. Opening it fills the form
// and starts nothing.

/** @typedef {{prompt: string, budget: string, delivery: string, quality: string, market: boolean, months: string}} Form */

const START = "#plan?";
const LONGEST = { prompt: 4000, budget: 20, delivery: 40, quality: 40, months: 2 };
const NAMES = /** @type {(keyof typeof LONGEST)[]} */ (Object.keys(LONGEST));

/** @param {Form} form */
export function fragmentOf(form) {
  const said = new URLSearchParams();
  for (const name of NAMES) if (form[name] && (name !== "months" || form.market)) said.set(name, form[name]);
  return START + said;
}

/** @param {string} fragment @returns {Form | null} null when it holds no request */
export function formIn(fragment) {
  if (!fragment.startsWith(START)) return null;
  const said = new URLSearchParams(fragment.slice(START.length));
  const text = (/** @type {keyof typeof LONGEST} */ name) => (said.get(name) ?? "").slice(0, LONGEST[name]);
  return { prompt: text("prompt"), budget: text("budget"), delivery: text("delivery"), quality: text("quality"), market: said.has("months"), months: text("months") || "6" };
}

const CONSTRAINTS = { budget_limit: "budget", delivery_time: "delivery", quality_requirement: "quality" };
const KNOWN = new Set(["optimization_type", "custom_prompt", "prompt", "constraints", "include_market_analysis", "months"]);

/**
 * What was asked of a run, as the form would say it; null where the form cannot: a program asked for more.
 * @param {any} asked @returns {Form | null}
 */
export function formOf(asked) {
  if (!asked || Object.entries(asked).some(([name, value]) => value !== null && !KNOWN.has(name))) return null;
  const constraints = asked.constraints ?? {};
  if (Array.isArray(constraints) || Object.keys(constraints).some((name) => !(name in CONSTRAINTS))) return null;
  const chosen = Object.fromEntries(Object.entries(CONSTRAINTS).map(([name, field]) => [field, String(constraints[name] ?? "")]));
  return { prompt: asked.custom_prompt || asked.prompt || "", ...chosen, market: asked.include_market_analysis === true, months: String(asked.months ?? 6) };
}
