// Draws a run: progress, the request for approval, failures and results. Takes data, asks nothing, keeps nothing.

import { find, make, show, write } from "./dom.js";
import { countDown } from "./results/countdown.js";
import { drawCrew } from "./results/crew.js";
import { drawFigures } from "./results/figures.js";
import { showReport, webAddress } from "./report.js";
import { failureWords, money, percent, spoken, STATUS, time } from "./words.js";

const SECTIONS = ["idle", "progress", "consent", "failure", "results", "connection"];

export function clear() {
  for (const id of SECTIONS) show(id, id === "idle");
  find("activities").replaceChildren();
  countDown(null);
}

// `servers` names the person server, and the agent that may pass the person on to it.
export function drawProgress(progress, servers) {
  show("idle", false);
  show("progress", true);
  write("status", STATUS[progress.status] ?? spoken(progress.status));
  find("status").dataset.status = progress.status;
  find("bar").value = Math.min(100, Math.max(0, Number(progress.progress_percentage) || 0));
  write("step", progress.current_step ?? "");
  drawActivities(progress.activities ?? []);
  drawCrew(progress);
  show("cancel", !["completed", "failed"].includes(progress.status));
  drawConsent(progress, servers);
  if (progress.status === "failed") drawFailure(failureWords(progress.error, progress.current_step));
}

export function drawFailure({ title, text, next = "", code }) {
  show("idle", false);
  endConsent();
  write("failure-next", next);
  write("failure-title", title);
  write("failure-text", text);
  write("failure-code", code ? `Code: ${code}` : "");
  show("failure", true);
}

export function drawConnection(message) {
  write("connection", message ?? "");
  show("connection", Boolean(message));
}

function drawConsent(progress, servers) {
  const address = webAddress(progress.interaction_url);
  const wanted = ["interaction_required", "approval_pending"].includes(progress.status) && address !== null;
  if (wanted) {
    find("consent-link").href = address.href;
    write("consent-code", progress.interaction_code ?? "");
    const passedOn = sameServer(address, servers.supply_chain);
    write("consent-host", `Opens ${address.host} in a new tab${passedOn ? ", which passes you on to the person server" : ""}. Nothing happens until you decide there; then you come back to this run, and this page goes on by itself.`);
    show("consent-warning", !passedOn && !sameServer(address, servers.person_server));
  }
  countDown(wanted ? progress.interaction_expires_at : null);
  // Shown last, so that it is announced with its content.
  show("consent", wanted);
}

function endConsent() {
  countDown(null);
  show("consent", false);
}

// The two names of this machine are one server.
function sameServer(address, server) {
  const plain = (url) => `${url.protocol}//${url.host.replace("127.0.0.1", "localhost")}`;
  const expected = webAddress(server);
  return expected !== null && plain(expected) === plain(address);
}

function drawActivities(activities) {
  show("no-activities", activities.length === 0);
  const list = find("activities");
  const known = new Map([...list.children].map((item) => [item.dataset.key, item]));
  const items = activities.map((activity) => {
    const key = `${activity.id}/${activity.status}`;
    return known.get(key) ?? activityItem(activity, key);
  });
  // Untouched when nothing changed, so that an opened detail stays open and focus stays where it is.
  if (items.length !== list.children.length || items.some((item, i) => item !== list.children[i])) list.replaceChildren(...items);
}

function activityItem(activity, key) {
  const item = make("li", { "data-key": key, "data-status": activity.status });
  item.append(
    make("div", { class: "what" }, make("strong", {}, spoken(activity.action)), make("span", { class: "soft small" }, time(activity.timestamp))),
    make("div", { class: "soft small" }, `${activity.agent} · ${activity.status}`),
  );
  if (activity.details) item.append(make("p", { class: "details" }, shortened(activity.details)));
  const chain = delegation(activity.delegation);
  if (chain) item.append(chain);
  return item;
}

const shortened = (text) => (text.length > 280 ? `${text.slice(0, 280)}…` : text);

function delegation(claims) {
  if (!claims?.scope && !claims?.act) return null;
  const rows = [["for", claims.sub], ["at", claims.aud], ["scope", claims.scope], ["acting", chainOf(claims.act)]];
  const list = make("dl", {});
  for (const [name, value] of rows) if (value) list.append(make("dt", {}, name), make("dd", {}, String(value)));
  return make("details", { class: "delegation" }, make("summary", {}, "Authorization"), list);
}

// act nests from the current actor to the first one.
function chainOf(act) {
  const names = [];
  for (let actor = act; actor && typeof actor === "object" && names.length < 10; actor = actor.act) names.push(String(actor.sub));
  return names.join(" ← ");
}

export function drawResults(results) {
  drawSummary(results.summary ?? {});
  drawRecommendations(results.recommendations ?? []);
  drawReasoning(results.reasoning ?? []);
  drawReport("market-card", "market-analysis", results.market_analysis);
  drawReport("report-card", "report", { html: results.report_html, markdown: results.report_markdown });
  write("completed", time(results.completed_at) ? `completed ${time(results.completed_at)}` : "");
  drawFigures(results);
  endConsent();
  show("results", true);
}

function drawSummary(summary) {
  const rows = [
    ["Total cost", money(summary.total_cost ?? 0)],
    ["Expected delivery", summary.expected_delivery || "–"],
    ["Savings", money(summary.cost_savings ?? 0)],
    ["Efficiency", percent(summary.efficiency ?? 0)],
  ];
  find("summary").replaceChildren(...rows.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

const COLUMNS = [
  ["Item", (row) => row.item, ""],
  ["Quantity", (row) => Number(row.quantity).toLocaleString("en-US"), "number"],
  ["Unit price", (row) => money(row.unit_price), "number"],
  ["Supplier", (row) => row.supplier, ""],
  ["Tier", (row) => row.tier ?? "–", "number"],
  ["Lead time", (row) => row.lead_time, ""],
  ["Total", (row) => money(row.total), "number"],
];

function drawRecommendations(rows) {
  const target = find("recommendations");
  if (rows.length === 0) {
    target.replaceChildren(make("p", { class: "soft" }, "Nothing needs to be bought."));
    return;
  }
  const head = make("tr", {}, ...COLUMNS.map(([name, , kind]) => make("th", { scope: "col", class: kind }, name)));
  const body = rows.map((row) =>
    make("tr", {}, ...COLUMNS.map(([name, value, kind]) => make("td", { class: kind, "data-label": name }, String(value(row))))));
  target.replaceChildren(
    make("table", { class: "cards" },
      make("caption", { class: "hidden-text" }, "Recommended purchases"), make("thead", {}, head), make("tbody", {}, ...body)));
}

function drawReasoning(reasons) {
  show("reasoning-card", reasons.length > 0);
  find("reasoning").replaceChildren(...reasons.map((reason) =>
    make("li", {}, make("strong", {}, reason.decision), make("p", {}, reason.rationale), make("p", { class: "soft small" }, reason.agent))));
}

function drawReport(card, target, report) {
  const words = typeof report === "string" ? { markdown: report } : report;
  const present = Boolean(words?.html || words?.markdown);
  if (present) showReport(find(target), words);
  show(card, present);
}
