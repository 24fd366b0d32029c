// Follows the trace of one run: asks about once a second while the run is alive, and a little longer, since each part tells
// what it did a moment late. Tells a listener what is new; an answer that says the same tells nothing.

import { BackendError } from "../backend.js";
import { readArrows } from "./arrows.js";

const INTERVAL_MS = 1000;
const INTERVAL_AWAY_MS = 3000;
// Every part sends its spans twice a second; one that is slow is heard all the same.
const QUIET_MS = 4000;

export class Trace {
  /**
   * @param {import("../backend.js").Backend} backend
   * @param {string} id
   * @param {{arrows: (arrows: import("./arrows.js").Arrow[]) => void, problem: (words: string) => void, finished: () => void}} listener
   */
  constructor(backend, id, listener) {
    this.backend = backend;
    this.id = id;
    this.listener = listener;
    this.alive = true;
    this.stopped = false;
  }

  stop() {
    this.stopped = true;
  }

  /** The run is over; what is still on its way is waited for. */
  end() {
    this.alive = false;
  }

  async follow() {
    let last = "";
    let heard = performance.now();
    while (!this.stopped) {
      let wait = INTERVAL_MS;
      try {
        const now = await this.backend.trace(this.id);
        if (this.stopped) return;
        const said = JSON.stringify(now.arrows);
        if (said !== last) this.listener.arrows(readArrows(now.arrows));
        if (said !== last || this.alive) heard = performance.now();
        last = said;
        this.listener.problem("");
      } catch (error) {
        if (this.stopped || !this.#passing(error)) return;
        wait = INTERVAL_AWAY_MS;
      }
      if (!this.alive && performance.now() - heard > QUIET_MS) break;
      await new Promise((resolve) => { setTimeout(resolve, wait); });
    }
    if (!this.stopped) this.listener.finished();
  }

  // Whether to go on asking.
  /** @param {unknown} error */
  #passing(error) {
    const kind = error instanceof BackendError ? error.kind : "refused";
    const gone = kind === "missing";
    this.listener.problem(gone ? "The trace of this run is not kept (any more)." : "The trace of this run cannot be read at the moment.");
    return kind === "unreachable" || kind === "busy";
  }
}
