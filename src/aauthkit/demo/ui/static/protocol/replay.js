// Goes through a diagram step by step: what comes later is faint, the current step is in view, its sentence is read out.

const BETWEEN_MS = 2200;

/** @typedef {import("./diagram.js").Diagram} Diagram */

export class Replay {
  /**
   * @param {Diagram} diagram
   * @param {{bar: HTMLElement, first: HTMLButtonElement, back: HTMLButtonElement, play: HTMLButtonElement, next: HTMLButtonElement, last: HTMLButtonElement, leave: HTMLButtonElement, place: HTMLElement, caption: HTMLElement}} parts
   */
  constructor(diagram, parts) {
    this.diagram = diagram;
    this.parts = parts;
    /** @type {HTMLElement | null} the row it stands at; rows come and go while a run is alive, so not its number */
    this.at = null;
    this.timer = 0;
    const { first, back, play, next, last, leave } = parts;
    first.addEventListener("click", () => this.#go(0));
    back.addEventListener("click", () => this.#step(-1));
    next.addEventListener("click", () => this.#step(1));
    last.addEventListener("click", () => this.#go(this.diagram.rows.length - 1));
    play.addEventListener("click", () => (this.timer ? this.pause() : this.#play()));
    leave.addEventListener("click", () => { this.leave(); play.focus(); });
    parts.bar.addEventListener("keydown", (event) => this.#key(event));
    diagram.list.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Ends it: everything is as bright as before. */
  leave() {
    this.pause();
    this.at = null;
    this.drawn();
  }

  pause() {
    clearInterval(this.timer);
    this.timer = 0;
    this.#label();
  }

  /** To be called after the diagram was drawn anew. */
  drawn() {
    const rows = this.diagram.rows.map((row) => row.element);
    const at = this.at === null ? -1 : rows.indexOf(this.at);
    if (at < 0) this.at = null;
    this.diagram.list.classList.toggle("replaying", at >= 0);
    rows.forEach((row, i) => {
      mark(row, "later", at >= 0 && i > at);
      mark(row, "now", i === at);
      if (i === at) row.setAttribute("aria-current", "step");
      else if (row.hasAttribute("aria-current")) row.removeAttribute("aria-current");
    });
    const { place, first, back, next, last, play, leave, caption } = this.parts;
    const words = at < 0 ? `${rows.length} steps` : `Step ${at + 1} of ${rows.length}`;
    if (place.textContent !== words) place.textContent = words;
    first.disabled = back.disabled = at <= 0;
    next.disabled = last.disabled = rows.length === 0 || at === rows.length - 1;
    play.disabled = rows.length === 0;
    leave.hidden = at < 0;
    const says = at < 0 ? "" : rows[at].querySelector(".says")?.textContent ?? "";
    if (caption.textContent !== says) caption.textContent = says;
    caption.hidden = at < 0;
  }

  get #place() {
    return this.diagram.rows.findIndex((row) => row.element === this.at);
  }

  /** @param {number} by */
  #step(by) {
    this.#go(Math.min(Math.max(this.#place + by, 0), this.diagram.rows.length - 1));
  }

  /** @param {number} place */
  #go(place) {
    const row = this.diagram.rows[place];
    if (!row) return;
    this.at = row.element;
    this.drawn();
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    row.element.scrollIntoView({ block: "center", behavior: calm ? "instant" : "smooth" });
  }

  #play() {
    this.#go(this.#place === this.diagram.rows.length - 1 ? 0 : this.#place + 1);
    this.timer = setInterval(() => {
      if (this.#place >= this.diagram.rows.length - 1) this.pause();
      else this.#step(1);
    }, BETWEEN_MS);
    this.#label();
  }

  #label() {
    const playing = this.timer !== 0;
    this.parts.play.textContent = playing ? "Pause" : "Play";
    this.parts.play.dataset.playing = String(playing);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.pause();
    this.#step(by);
  }
}

/** @param {HTMLElement} element @param {string} name @param {boolean} on */
function mark(element, name, on) {
  if (element.classList.contains(name) !== on) element.classList.toggle(name, on);
}
