// Two runs of one person beside each other: steps they share stand in pairs, what only one of them has stands alone.
// Documents fetched on the way are left out; they differ by what was remembered, and hide what matters.

import { find, make, show, write } from "../dom.js";
import { spoken, STATUS, time } from "../words.js";
import { isDocument, readArrows } from "./arrows.js";
import { draftSpoken } from "./glossary.js";
import { byId, keysOf } from "./panel.js";
import { lanesOf, shortName } from "./parties.js";
import { keepStop, rove } from "./roving.js";
import { carried, ending, paired } from "./rows.js";
import { Step } from "./step.js";

/** @typedef {import("./arrows.js").Arrow} Arrow */

export class Comparison {
  /**
   * @param {import("../backend.js").Backend} backend
   * @param {(comparing: boolean) => void} told whether two runs are shown, and not one
   */
  constructor(backend, told) {
    this.backend = backend;
    this.told = told;
    this.choice = /** @type {HTMLSelectElement} */ (find("compare-with"));
    rove(find("compared-steps"));
    this.choice.addEventListener("change", () => this.#choose());
    /** @type {Arrow[]} */
    this.mine = [];
    /** @type {Arrow[] | null} */
    this.other = null;
    this.id = "";
  }

  /** @param {string} id the run that others are compared with */
  follow(id) {
    this.id = id;
    this.refresh();
  }

  close() {
    this.id = "";
    this.mine = [];
    this.#leave();
    show("compare", false);
  }

  /** Fills in the person's other runs. */
  async refresh() {
    const id = this.id;
    const runs = await this.backend.all().catch(() => []);
    if (id !== this.id || !Array.isArray(runs)) return;
    const others = runs.filter((run) => run.request_id !== id);
    const chosen = this.choice.value;
    this.choice.replaceChildren(make("option", { value: "" }, "no other run"), ...others.map((run) => make("option", { value: run.request_id }, titleOf(run))));
    this.choice.value = others.some((run) => run.request_id === chosen) ? chosen : "";
    show("compare", others.length > 0);
  }

  /** @param {Arrow[]} arrows the run's own, drawn anew */
  drawn(arrows) {
    this.mine = arrows;
    if (this.other) this.#draw();
  }

  async #choose() {
    const chosen = this.choice.value;
    if (!chosen) return this.#leave();
    write("compare-summary", "Reading the other run…");
    const answer = await this.backend.trace(chosen).catch(() => null);
    if (chosen !== this.choice.value) return;
    if (answer === null) {
      this.#leave();
      write("compare-summary", "The trace of that run is not kept any more.");
      return;
    }
    this.other = readArrows(answer.arrows);
    this.told(true);
    this.#draw();
  }

  #leave() {
    this.other = null;
    this.choice.value = "";
    write("compare-summary", "");
    show("compared", false);
    find("compared-steps").replaceChildren();
    this.told(false);
  }

  #draw() {
    const [mine, other] = [this.mine, this.other ?? []].map((arrows) => arrows.filter((arrow) => !isDocument(arrow)));
    const lanes = lanesOf([...mine, ...other]);
    const pairs = paired(mine, other);
    const scenes = [this.mine, this.other ?? []].map((arrows) => ({ lanes, draft: draftSpoken(arrows) ?? "01", keys: keysOf(arrows), arrows: byId(arrows) }));
    const list = find("compared-steps");
    list.style.setProperty("--lanes", String(lanes.length));
    list.replaceChildren(...pairs.map((pair) => rowOf(pair, scenes)));
    keepStop(list);
    for (const id of ["compared-mine", "compared-other"]) {
      find(id).replaceChildren(...lanes.map((lane) => make("span", { class: "lane" }, shortName(lane))));
      find(id).style.setProperty("--lanes", String(lanes.length));
    }
    const counts = { same: 0, ended: 0, tokens: 0, mine: 0, other: 0 };
    for (const pair of pairs) counts[differenceOf(pair)] += 1;
    const counted = Object.entries(counts).filter(([, many]) => many > 0).map(([what, many]) => `${many} ${COUNTED[what]}`);
    write("compare-summary", `This run: ${mine.length} steps. The other: ${other.length}. ${counted.join(", ")}.`);
    show("compared", true);
  }
}

/** @param {[Arrow | null, Arrow | null]} pair @returns {"same" | "ended" | "tokens" | "mine" | "other"} */
function differenceOf([mine, other]) {
  if (!other) return "mine";
  if (!mine) return "other";
  if (ending(mine) !== ending(other)) return "ended";
  return carried(mine) === carried(other) ? "same" : "tokens";
}

/** @type {Record<string, string>} */
const COUNTED = { same: "are the same", ended: "ended differently", tokens: "went with other tokens", mine: "are only in this run", other: "only in the other" };

// What only one run has is beside a place that says so.
const DIFFERENCES = { same: "", ended: "≠ ended differently", tokens: "≠ with other tokens", mine: "", other: "" };

/** @param {[Arrow | null, Arrow | null]} pair @param {import("./step.js").Scene[]} scenes */
function rowOf(pair, scenes) {
  const difference = differenceOf(pair);
  const sides = pair.map((arrow, side) => (arrow ? new Step(arrow, scenes[side], "div").element : make("div", { class: "absent" }, side === 0 ? "not in this run" : "not in the other run")));
  const row = make("li", { class: "pair", "data-difference": difference });
  if (DIFFERENCES[difference]) row.append(make("p", { class: "difference" }, DIFFERENCES[difference]));
  row.append(make("div", { class: "sides" }, ...sides));
  return row;
}

// How a person knows a run again.
/** @param {any} run */
function titleOf(run) {
  const way = [run.mode, run.draft ? `draft ${run.draft}` : ""].filter(Boolean).join(", ");
  const began = run.started_at ?? run.activities?.[0]?.timestamp;
  const when = time(began) ? `${new Date(began).toLocaleDateString()} ${time(began)}` : String(run.request_id).slice(0, 8);
  return [when, STATUS[run.status] ?? spoken(String(run.status)), way].filter(Boolean).join(" · ");
}
