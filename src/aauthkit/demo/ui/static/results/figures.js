// What a plan is measured by: its price beside the budget and the naive purchase, the rules that bound, stock to come, demand.
// Every number here is the agents'; this module computes sums of theirs and nothing else.

import { find, make, show } from "../dom.js";
import { money } from "../words.js";
import { bars, drawFigure, drawing, lines, table } from "./chart.js";

/** @param {any} results as the backend gives them */
export function drawFigures(results) {
  const figures = results.figures;
  show("cost-card", Boolean(figures));
  show("rules-card", Boolean(figures));
  show("stock-card", Boolean(figures) && figures.stock_outlook.length > 0);
  if (figures) {
    drawCost(results, figures);
    drawSuppliers(results.recommendations ?? []);
    drawRules(figures);
    if (figures.stock_outlook.length > 0) drawStock(figures.stock_outlook);
  }
  drawDemand(results.market_analysis?.data);
}

function drawCost(results, figures) {
  const total = results.summary.total_cost;
  const rows = [["This plan", total, "plan"], ["Refilling product by product", figures.naive_plan.cost, "other"], [`Budget (${figures.quarter})`, figures.budget, "limit"]];
  find("cost-words").textContent = costWords(total, figures);
  drawFigure(find("cost-chart"), {
    title: "Cost beside the budget",
    drawings: [drawing("Cost beside the budget", rows.map(([name, amount]) => `${name}: ${money(amount)}.`).join(" "),
      bars(rows.map(([label, amount, mark]) => ({ label, value: money(amount), parts: [{ amount, mark }] }))))],
    columns: ["What", "US$"],
    rows: rows.map(([name, amount]) => [name, money(amount)]),
  });
}

function costWords(total, { budget, naive_plan, missing_units }) {
  const left = budget - total;
  const within = left >= 0 ? `${money(left)} of the budget are left.` : `The budget is passed by ${money(-left)}.`;
  const breaks = naive_plan.breaks.length > 0 ? ` and would break the ${naive_plan.breaks.join(" and the ")}` : "";
  // A plan that buys less is not cheaper.
  if (missing_units > 0) return `${within} ${missing_units} laptops that are needed stay unbought, so the prices below do not buy the same.`;
  const saved = naive_plan.cost - total;
  const against = saved > 0 ? `${money(saved)} more` : saved < 0 ? `${money(-saved)} less` : "the same";
  return `${within} Refilling each product at its own maker would cost ${against}${breaks}.`;
}

function drawSuppliers(recommendations) {
  const totals = new Map();
  for (const { supplier, total } of recommendations) totals.set(supplier, (totals.get(supplier) ?? 0) + total);
  const rows = [...totals].sort(([, one], [, other]) => other - one);
  show("suppliers-chart", rows.length > 0);
  drawFigure(find("suppliers-chart"), {
    title: "Cost by supplier",
    drawings: [drawing("Cost by supplier", rows.map(([name, amount]) => `${name}: ${money(amount)}.`).join(" "),
      bars(rows.map(([label, amount]) => ({ label, value: money(amount), parts: [{ amount, mark: "plan" }] }))))],
    columns: ["Supplier", "US$"],
    rows: rows.map(([name, amount]) => [name, money(amount)]),
  });
}

function drawRules({ binding_rules, ways_out, missing_units }) {
  const words = missing_units > 0
    ? `${missing_units} laptops that are needed cannot be bought within the rules.`
    : binding_rules.length > 0 ? "Each rule was taken away in turn and the plan solved again. The difference is what the rule costs." : "No rule made this plan dearer.";
  find("rules-words").textContent = words;
  const rows = binding_rules.map((bound) => [capital(bound.rule), money(bound.cost), String(bound.units), `${capital(bound.explanation)}.`]);
  find("rules").replaceChildren(...(rows.length > 0 ? [rulesTable(rows)] : []));
  show("rules", rows.length > 0);
  show("ways-out", ways_out.length > 0);
  find("ways-out-list").replaceChildren(...ways_out.map((way) => make("li", {}, `${capital(way)}.`)));
}

function rulesTable(rows) {
  const made = table("Rules that bound", ["Rule", "US$", "Laptops", "Without it"], rows);
  made.className = "stacked";
  // The last column is a sentence.
  for (const cell of made.querySelectorAll(":is(th, td):last-child")) cell.className = "words";
  return made;
}

function drawStock(families) {
  const months = families[0].with_plan.length - 1;
  find("stock-words").textContent = `How many laptops stand in stock at the end of each month, for ${months} ${months === 1 ? "month" : "months"}. Laptops of one family stand in for each other.`;
  drawFigure(find("stock-chart"), {
    title: "Stock against target",
    drawings: families.map((family) => make("div", {}, make("h4", {}, capital(family.family)),
      drawing(`Stock of ${family.family} laptops`, stockWords(family), lines([
        { mark: "limit", values: family.with_plan.map(() => family.target) },
        { mark: "other", values: family.without_plan },
        { mark: "plan", values: family.with_plan },
      ])), make("p", { class: "soft small" }, family.products.join(", ")))),
    keys: [["plan", "with this plan"], ["other", "without it"], ["limit", "target"]],
    columns: ["Family", ...families[0].with_plan.map((_, month) => (month === 0 ? "Now" : `${month} mo`)), "Target"],
    rows: families.flatMap((family) => [
      [`${capital(family.family)}, with this plan`, ...family.with_plan.map(String), String(family.target)],
      [`${capital(family.family)}, without it`, ...family.without_plan.map(String), String(family.target)],
    ]),
  });
}

const stockWords = (family) =>
  `Now ${family.with_plan[0]}; at the end ${family.with_plan.at(-1)} with this plan and ${family.without_plan.at(-1)} without it. The target is ${family.target}.`;

// The market analysis counts laptops by department and model.
function drawDemand(data) {
  const departments = Array.isArray(data?.demand) ? data.demand : [];
  show("demand-chart", departments.length > 0);
  if (departments.length === 0) return;
  const models = [...new Set(departments.flatMap((each) => Object.keys(each.units)))];
  const total = (each) => Object.values(each.units).reduce((sum, units) => sum + Number(units), 0);
  const mark = (model) => `series-${Math.min(3, models.indexOf(model) + 1)}`;
  drawFigure(find("demand-chart"), {
    title: `Demand by department, ${data.months} months`,
    drawings: [drawing("Demand by department", departments.map((each) => `${capital(each.department)}: ${total(each)} laptops for ${each.hires} hires.`).join(" "),
      bars(departments.map((each) => ({ label: capital(each.department), value: String(total(each)), parts: models.map((model) => ({ amount: Number(each.units[model] ?? 0), mark: mark(model) })) }))))],
    keys: models.map((model) => [mark(model), model]),
    columns: ["Department", "Hires", ...models, "Laptops"],
    rows: departments.map((each) => [capital(each.department), String(each.hires), ...models.map((model) => String(each.units[model] ?? 0)), String(total(each))]),
  });
}

const capital = (/** @type {string} */ words) => words.charAt(0).toUpperCase() + words.slice(1);
