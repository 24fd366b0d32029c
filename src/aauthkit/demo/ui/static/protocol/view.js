// The protocol view: follows a run's trace and hands it to the diagram, the replay and the comparison. The only module here
// that the page itself knows.

import { find, make, show, write } from "../dom.js";
import { Comparison } from "./compare.js";
import { Diagram } from "./diagram.js";
import { Replay } from "./replay.js";
import { took } from "./times.js";
import { Trace } from "./trace.js";
import { drawWay } from "./way.js";

export class ProtocolView {
  /** @param {import("../backend.js").Backend} backend @param {{mode?: string, draft?: string}} config */
  constructor(backend, config) {
    this.backend = backend;
    this.config = config;
    this.diagram = new Diagram(find("protocol-lanes"), find("protocol-steps"));
    const button = (/** @type {string} */ id) => /** @type {HTMLButtonElement} */ (find(id));
    this.replay = new Replay(this.diagram, {
      bar: find("replay"), first: button("replay-first"), back: button("replay-back"), play: button("replay-play"),
      next: button("replay-next"), last: button("replay-last"), leave: button("replay-leave"), place: find("replay-place"), caption: find("replay-caption"),
    });
    this.comparison = new Comparison(backend, (comparing) => this.#showDiagram(!comparing));
    drawWay(config);
    find("to-protocol").addEventListener("click", () => {
      find("protocol").scrollIntoView();
      find("protocol-title").focus({ preventScroll: true });
    });
    /** @type {Trace | null} */
    this.trace = null;
    /** @type {import("./arrows.js").Arrow[]} */
    this.arrows = [];
  }

  /** @param {string} id the run whose trace is shown from now on */
  follow(id) {
    this.close();
    show("protocol", true);
    this.trace = new Trace(this.backend, id, {
      arrows: (arrows) => this.#draw(arrows),
      problem: (words) => { write("protocol-problem", words); show("protocol-problem", words !== ""); },
      finished: () => this.#say(),
    });
    this.comparison.follow(id);
    this.#say();
    this.trace.follow();
  }

  /** The run came to its end; the last of its trace is still fetched. */
  end() {
    this.trace?.end();
    this.comparison.refresh();
    this.#say();
  }

  close() {
    this.trace?.stop();
    this.trace = null;
    this.arrows = [];
    this.replay.leave();
    this.diagram.clear();
    this.comparison.close();
    show("protocol-problem", false);
    show("protocol", false);
  }

  /** @param {import("./arrows.js").Arrow[]} arrows */
  #draw(arrows) {
    this.arrows = arrows;
    this.diagram.draw(arrows, this.config.draft === "11" ? "11" : "01");
    this.replay.drawn();
    this.comparison.drawn(arrows);
    this.#say();
  }

  #say() {
    const ended = Math.max(0, ...this.arrows.map((arrow) => arrow.at + arrow.duration));
    const counted = this.arrows.length === 0 ? "nothing sent yet" : `${this.arrows.length} exchanges in ${took(ended)}`;
    const alive = this.trace?.alive ?? false;
    write("protocol-state", alive ? `live · ${counted}` : counted);
    find("protocol-state").dataset.alive = String(alive);
  }

  /** @param {boolean} visible */
  #showDiagram(visible) {
    if (!visible) this.replay.leave();
    for (const id of ["protocol-lanes", "protocol-steps", "replay"]) show(id, visible);
  }
}
