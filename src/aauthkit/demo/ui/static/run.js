// Follows one run until it ends: asks about once a second, goes on through outages, and tells a listener what it sees.

import { BackendError } from "./backend.js";

const INTERVAL_MS = 1000;
// While nobody answers, asking more slowly is kinder; the person sees that it is being tried.
const INTERVAL_AWAY_MS = 3000;

// listener: progress(progress), completed(results), away(message | null), lost(error)
export class Run {
  constructor(backend, id, listener) {
    this.backend = backend;
    this.id = id;
    this.listener = listener;
    this.stopped = false;
  }

  stop() {
    this.stopped = true;
  }

  async follow() {
    while (!this.stopped) {
      let wait = INTERVAL_MS;
      try {
        if (await this.#step()) return;
        this.#tell("away", null);
      } catch (error) {
        if (!isPassing(error)) return this.#tell("lost", error);
        this.#tell("away", `${error.message} Trying again…`);
        wait = Math.max(INTERVAL_AWAY_MS, error.retryAfter * 1000);
      }
      await new Promise((resolve) => { setTimeout(resolve, wait); });
    }
  }

  // True once there is nothing left to ask.
  async #step() {
    const progress = await this.backend.progress(this.id);
    if (progress.status !== "completed") {
      this.#tell("progress", progress);
      return progress.status === "failed";
    }
    const results = await this.backend.results(this.id);
    this.#tell("progress", progress);
    this.#tell("completed", results);
    return true;
  }

  #tell(what, value) {
    if (!this.stopped) this.listener[what](value);
  }
}

const isPassing = (error) => error instanceof BackendError && (error.kind === "unreachable" || error.kind === "busy");
