// The diagram of one run: lanes above, a list of steps below. Draws what changed and touches nothing else, so scroll position,
// focus and opened steps stay.

import { make } from "../dom.js";
import { documentsCaption } from "./captions.js";
import { draftSpoken } from "./glossary.js";
import { byId, keysOf } from "./panel.js";
import { lanesOf, laneName } from "./parties.js";
import { keepStop, rove } from "./roving.js";
import { rowsOf } from "./rows.js";
import { Step } from "./step.js";
import { seconds } from "./times.js";

/** @typedef {import("./arrows.js").Arrow} Arrow */
/** @typedef {import("./rows.js").Row} Row */
/** @typedef {import("./step.js").Scene} Scene */

export class Diagram {
  /** @param {HTMLElement} lanes @param {HTMLElement} list an ordered list */
  constructor(lanes, list) {
    this.lanesBar = lanes;
    this.list = list;
    /** @type {Map<string, Step | Documents>} */
    this.drawn = new Map();
    /** @type {string[]} */
    this.lanes = [];
    rove(list);
  }

  clear() {
    this.drawn.clear();
    this.lanes = [];
    this.list.replaceChildren();
    this.lanesBar.replaceChildren();
  }

  /** @param {Arrow[]} arrows in time order @param {import("./glossary.js").Draft} draft where the arrows do not tell it */
  draw(arrows, draft) {
    const rows = rowsOf(arrows);
    this.#drawLanes(lanesOf(arrows));
    const scene = { lanes: this.lanes, draft: draftSpoken(arrows) ?? draft, keys: keysOf(arrows), arrows: byId(arrows) };
    const before = this.drawn;
    this.drawn = new Map(rows.map((row) => [row.key, this.#rowOf(row, scene, before)]));
    for (const [key, row] of before) if (!this.drawn.has(key)) row.element.remove();
    arrange(this.list, [...this.drawn.values()].map((row) => row.element));
    keepStop(this.list);
  }

  /** The rows as replay and reader go through them. */
  get rows() {
    return [...this.drawn.values()];
  }

  /** @param {Row} row @param {Scene} scene @param {Map<string, Step | Documents>} before */
  #rowOf(row, scene, before) {
    const known = before.get(row.key);
    if (row.documents) {
      const documents = known instanceof Documents ? known : new Documents();
      documents.update(row.arrows, scene);
      return documents;
    }
    if (!(known instanceof Step)) return new Step(row.arrows[0], scene);
    known.update(row.arrows[0], scene);
    return known;
  }

  /** @param {string[]} lanes */
  #drawLanes(lanes) {
    if (lanes.join() === this.lanes.join()) return;
    this.lanes = lanes;
    this.lanesBar.replaceChildren(...lanes.map((lane) => make("span", { class: "lane" }, laneName(lane))));
    for (const element of [this.lanesBar, this.list]) element.style.setProperty("--lanes", String(lanes.length));
  }
}

// Documents fetched one after the other: one quiet line that opens to the steps it stands for.
export class Documents {
  constructor() {
    this.time = make("span", { class: "at" });
    this.caption = make("span", { class: "says" });
    this.button = make("button", { type: "button", class: "line quiet-line", "aria-expanded": "false", tabIndex: -1 }, this.time, this.caption);
    this.list = make("ol", { class: "steps inner", hidden: true });
    this.element = make("li", { class: "step documents", "data-tone": "plain" }, this.button, this.list);
    this.button.addEventListener("click", () => this.toggle());
    /** @type {Map<string, Step>} */
    this.drawn = new Map();
    /** @type {Arrow[]} */
    this.arrows = [];
  }

  /** @param {Arrow[]} arrows @param {Scene} scene */
  update(arrows, scene) {
    this.arrows = arrows;
    this.scene = scene;
    const [at, words] = [seconds(arrows[0].at), documentsCaption(arrows)];
    if (this.time.textContent !== at) this.time.textContent = at;
    if (this.caption.textContent !== words) this.caption.textContent = words;
    if (!this.list.hidden) this.#draw();
  }

  toggle() {
    this.list.hidden = !this.list.hidden;
    this.button.setAttribute("aria-expanded", String(!this.list.hidden));
    if (!this.list.hidden) this.#draw();
  }

  #draw() {
    const before = this.drawn;
    const scene = /** @type {Scene} */ (this.scene);
    this.drawn = new Map(this.arrows.map((arrow) => [arrow.id, before.get(arrow.id) ?? new Step(arrow, scene)]));
    for (const arrow of this.arrows) this.drawn.get(arrow.id)?.update(arrow, scene);
    for (const [id, step] of before) if (!this.drawn.has(id)) step.element.remove();
    arrange(this.list, [...this.drawn.values()].map((step) => step.element));
  }
}

// Puts the children in this order with as few moves as there are news.
/** @param {HTMLElement} parent @param {HTMLElement[]} children */
function arrange(parent, children) {
  let at = parent.firstElementChild;
  for (const child of children) {
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
  }
}
