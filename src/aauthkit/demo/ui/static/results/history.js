// The person's runs, newest first: what was asked, what came of it, a way back to each, and two beside each other.

import { find, make, show, write } from "../dom.js";
import { day, money, STATUS, spoken } from "../words.js";
import { drawVersus } from "./versus.js";

const SHOWN = 8;

export class History {
  /** @param {import("../backend.js").Backend} backend */
  constructor(backend) {
    this.backend = backend;
    /** @type {any[]} */
    this.runs = [];
    /** @type {string[]} the runs to compare, the one chosen first first */
    this.chosen = [];
    this.current = "";
    this.all = false;
    find("history-more").addEventListener("click", () => { this.all = true; this.#draw(); });
    find("versus-close").addEventListener("click", () => { this.chosen = []; this.#draw(); this.#compare(); find("history-title").focus(); });
  }

  /** @param {string} id the run that is shown now; none when empty */
  follow(id) {
    this.current = id;
    this.refresh();
  }

  close() {
    this.runs = [];
    this.chosen = [];
    this.current = "";
    this.#draw();
    show("versus", false);
  }

  /** @returns {any} what is known of a run */
  run(/** @type {string} */ id) {
    return this.runs.find((run) => run.request_id === id);
  }

  async refresh() {
    const runs = await this.backend.all().catch(() => null);
    // What cannot be read now stays as it was.
    if (!Array.isArray(runs)) return;
    this.runs = runs;
    this.#draw();
  }

  #draw() {
    show("history", this.runs.length > 0);
    const shown = this.all ? this.runs : this.runs.slice(0, SHOWN);
    find("history-list").replaceChildren(...shown.map((run) => this.#item(run)));
    show("history-more", shown.length < this.runs.length);
    const completed = this.runs.filter((run) => run.status === "completed").length;
    write("history-hint", completed > 1 ? "Tick two finished runs to see them beside each other." : "");
  }

  #item(run) {
    const item = make("li", { "data-status": run.status });
    const link = make("a", { href: `#run=${run.request_id}` }, askedOf(run));
    if (run.request_id === this.current) link.setAttribute("aria-current", "true");
    const price = typeof run.total_cost === "number" ? [make("strong", {}, money(run.total_cost))] : [];
    const state = run.error?.code === "cancelled" ? "cancelled" : STATUS[run.status] ?? spoken(run.status);
    item.append(link, make("div", { class: "facts" }, make("span", { class: "status", "data-status": run.status }, state), ...price, make("span", { class: "soft small" }, day(run.started_at))));
    if (run.status === "completed") item.append(this.#choice(run));
    return item;
  }

  #choice(run) {
    const box = make("input", { type: "checkbox", checked: this.chosen.includes(run.request_id) });
    box.addEventListener("change", () => {
      const others = this.chosen.filter((id) => id !== run.request_id);
      this.chosen = box.checked ? [...others, run.request_id].slice(-2) : others;
      for (const other of find("history-list").querySelectorAll("input")) other.checked = this.chosen.includes(other.value);
      this.#compare();
    });
    box.value = run.request_id;
    return make("label", { class: "check" }, box, "Compare", make("span", { class: "hidden-text" }, ` ${askedOf(run)}, ${day(run.started_at)}`));
  }

  async #compare() {
    const chosen = this.chosen;
    show("versus", chosen.length === 2);
    if (chosen.length < 2) return;
    write("versus-problem", "");
    try {
      // The older one first, whichever was ticked first.
      const sides = await Promise.all(this.runs.filter((run) => chosen.includes(run.request_id)).reverse().map(async (run) => ({ run, results: await this.backend.results(run.request_id) })));
      if (chosen === this.chosen) drawVersus(sides);
    } catch (error) {
      write("versus-problem", `The two runs cannot be compared now: ${error.message}`);
    }
  }
}

/** @param {any} run */
export const askedOf = (run) => {
  const words = (run.asked?.custom_prompt || run.asked?.prompt || "").trim();
  if (words) return words.length > 90 ? `${words.slice(0, 90)}…` : words;
  return run.asked ? "The standard plan" : "A run of an older version";
};
