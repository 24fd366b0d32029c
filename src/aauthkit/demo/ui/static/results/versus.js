// Two finished runs beside each other: what was asked, what it costs, when it comes, what is bought, and which rules bound.

import { find, make } from "../dom.js";
import { day, money } from "../words.js";
import { formOf } from "./link.js";

/** @param {{run: any, results: any}[]} sides the older first */
export function drawVersus(sides) {
  const head = make("tr", {}, make("td"), ...sides.map((side, place) => make("th", { scope: "col" }, titleOf(side, place))), make("th", { scope: "col" }, "Difference"));
  const rows = [
    words("Asked", sides, ({ run }) => run.asked?.custom_prompt || run.asked?.prompt || "the standard plan"),
    words("Constraints", sides, ({ run }) => constraintsOf(run)),
    amounts("Total cost", sides, ({ results }) => results.summary.total_cost, money),
    amounts("Saved against refilling product by product", sides, ({ results }) => results.summary.cost_savings, money),
    words("Delivery", sides, ({ results }) => results.summary.expected_delivery),
    ...itemsOf(sides).map((item) => amounts(item, sides, ({ results }) => unitsOf(results, item), String)),
    ...rulesOf(sides).map((rule) => amounts(`Rule: ${rule}`, sides, ({ results }) => costOf(results, rule), money)),
  ];
  const labels = [...sides.map(titleOf), "Difference"];
  const body = rows.map(([name, ...cells]) => {
    for (const [place, cell] of cells.entries()) cell.dataset.label = labels[place];
    return make("tr", {}, make("th", { scope: "row" }, name), ...cells);
  });
  find("versus-table").replaceChildren(
    make("table", { class: "stacked" }, make("caption", { class: "hidden-text" }, "Two runs beside each other"), make("thead", {}, head), make("tbody", {}, ...body)));
}

const titleOf = ({ run }, place) => `${place === 0 ? "Earlier" : "Later"}: ${day(run.started_at)}`;

function words(name, sides, value) {
  const [one, other] = sides.map((side) => String(value(side)));
  return [name, make("td", {}, one), make("td", {}, other), make("td", { class: "soft" }, one === other ? "the same" : "")];
}

// Undefined is a rule that did not bind, which cost nothing.
function amounts(name, sides, value, shown) {
  const [one, other] = sides.map((side) => Number(value(side) ?? 0));
  const change = other - one;
  const difference = change === 0 ? "the same" : `${change > 0 ? "+" : "−"}${shown(Math.abs(change))}`;
  return [name, ...[one, other].map((amount) => make("td", { class: "number" }, shown(amount))), make("td", { class: change === 0 ? "number soft" : "number" }, difference)];
}

function constraintsOf(run) {
  const form = formOf(run.asked);
  if (form === null) return run.asked ? JSON.stringify(run.asked.constraints ?? {}) : "not known";
  const said = [form.budget && `${money(Number(form.budget))} at most`, form.delivery && `within ${form.delivery}`, form.quality.replaceAll("_", " "), form.market && `market analysis for ${form.months} months`];
  return said.filter(Boolean).join(", ") || "none";
}

const itemsOf = (sides) => [...new Set(sides.flatMap(({ results }) => results.recommendations.map((row) => row.item)))].sort();
const unitsOf = (results, item) => results.recommendations.filter((row) => row.item === item).reduce((sum, row) => sum + row.quantity, 0);
const rulesOf = (sides) => [...new Set(sides.flatMap(({ results }) => (results.figures?.binding_rules ?? []).map((bound) => bound.rule)))];
const costOf = (results, rule) => results.figures?.binding_rules.find((bound) => bound.rule === rule)?.cost;
