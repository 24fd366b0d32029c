// One step of a diagram: the arrow between its lanes, the sentence, the outcome; and its panel, made when it is opened.

import { make } from "../dom.js";
import { actOf, outcomeOf, tokenName } from "./arrows.js";
import { captionOf } from "./captions.js";
import { laneName } from "./parties.js";
import { panelOf } from "./panel.js";
import { seconds, took } from "./times.js";

/** @typedef {import("./arrows.js").Arrow} Arrow */
/** @typedef {{lanes: string[], draft: import("./glossary.js").Draft, keys: Map<string, string>, arrows: Map<string, Arrow>}} Scene what all steps of a diagram share */

export class Step {
  /** @param {Arrow} arrow @param {Scene} scene @param {string} [tag] */
  constructor(arrow, scene, tag = "li") {
    this.parts = {
      time: make("span", { class: "at" }),
      way: make("span", { class: "way" }),
      caption: make("span", { class: "says" }),
      shaft: make("span", { class: "shaft", "aria-hidden": "true" }),
      meta: make("span", { class: "meta" }),
    };
    this.button = make("button", { type: "button", class: "line", "aria-expanded": "false", tabIndex: -1 }, ...Object.values(this.parts));
    this.element = make(tag, { class: "step" }, this.button);
    this.button.addEventListener("click", () => this.toggle());
    /** @type {HTMLElement | null} */
    this.panel = null;
    this.drawn = "";
    this.update(arrow, scene);
  }

  /** Draws only what is not drawn yet. @param {Arrow} arrow @param {Scene} scene */
  update(arrow, scene) {
    this.#place(arrow, scene.lanes);
    this.scene = scene;
    const now = JSON.stringify(arrow);
    if (now === this.drawn) return;
    this.drawn = now;
    this.arrow = arrow;
    const outcome = outcomeOf(arrow);
    this.element.dataset.act = actOf(arrow);
    this.element.dataset.tone = outcome.tone;
    this.element.dataset.id = arrow.id;
    this.parts.time.textContent = seconds(arrow.at);
    this.parts.way.replaceChildren(laneName(arrow.source), make("span", { "aria-hidden": "true" }, " → "), make("span", { class: "hidden-text" }, " to "), laneName(arrow.target));
    this.parts.caption.textContent = captionOf(arrow);
    this.parts.meta.replaceChildren(...metaOf(arrow, outcome));
    if (this.panel) this.#show();
  }

  get opened() {
    return this.panel !== null;
  }

  toggle() {
    if (this.panel) {
      this.panel.remove();
      this.panel = null;
    } else {
      this.#show();
    }
    this.button.setAttribute("aria-expanded", String(this.panel !== null));
  }

  #show() {
    const panel = panelOf(/** @type {Arrow} */ (this.arrow), /** @type {Scene} */ (this.scene));
    if (this.panel) this.panel.replaceWith(panel);
    else this.button.after(panel);
    this.panel = panel;
  }

  /** @param {Arrow} arrow @param {string[]} lanes */
  #place(arrow, lanes) {
    const [from, to] = [lanes.indexOf(arrow.source), lanes.indexOf(arrow.target)];
    const place = `${from} ${to} ${lanes.length}`;
    if (place === this.place) return;
    this.place = place;
    const [left, right] = [Math.min(from, to), Math.max(from, to)];
    const { style } = this.button;
    style.setProperty("--left", String(left));
    style.setProperty("--right", String(right));
    this.button.dataset.heads = from <= to ? "right" : "left";
    // Words begin at the arrow's left end, or end at its right one, where there is more room.
    this.button.dataset.side = left < lanes.length / 2 ? "left" : "right";
  }
}

/** @param {Arrow} arrow @param {import("./arrows.js").Outcome} outcome */
function metaOf(arrow, outcome) {
  const parts = [];
  const request = `${arrow.method} ${arrow.path}`.trim();
  if (request && arrow.kind !== "check") parts.push(make("span", { class: "request", title: request }, request));
  // A person's page answers with another page: what counts is what they did.
  const status = arrow.status === null || arrow.kind === "decision" ? "" : `${arrow.status} `;
  parts.push(make("span", { class: "outcome" }, make("span", { class: "sign", "aria-hidden": "true" }, outcome.mark), ` ${status}${outcome.words}`));
  for (const token of arrow.tokens) parts.push(tokenChip(token));
  parts.push(make("span", { class: "took" }, took(arrow.duration)));
  return parts.flatMap((part) => [part, " "]);
}

/** @param {import("./arrows.js").Token} token */
function tokenChip(token) {
  const sent = token.direction === "request";
  return make("span", { class: "token", "data-typ": token.typ ?? "" },
    make("span", { "aria-hidden": "true" }, sent ? "↗ " : "↙ "), make("span", { class: "hidden-text" }, sent ? "sent: " : "received: "), tokenName(token.typ));
}
