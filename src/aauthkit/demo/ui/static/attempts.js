// "Break it": four buttons that send a request which must be refused, and what became of it. What is shown was answered by
// the backend; every text of it is text.

import { BackendError } from "./backend.js";
import { find, make, show, write } from "./dom.js";
import { readArrows } from "./protocol/arrows.js";
import { Diagram } from "./protocol/diagram.js";

/** @type {Record<string, {name: string, does: string}>} */
const KINDS = {
  tampered: { name: "Change the body", does: "Signs a request, then changes its body on the way." },
  replayed: { name: "Send it twice", does: "Sends one signed request a second time, exactly as it was." },
  stolen: { name: "Steal the token", does: "Shows the backend’s real token, but signs with another key." },
  expired: { name: "Use an ended token", does: "Gets a token for one second and shows it when that has passed." },
};
/** @type {Record<string, string>} */
const PARTS = { authz: "the authorization service, which the gateway asks" };

export class Attempts {
  /** @param {import("./backend.js").Backend} backend @param {{draft?: string}} config */
  constructor(backend, config) {
    this.backend = backend;
    /** @type {"01" | "11"} */
    this.draft = config.draft === "11" ? "11" : "01";
    this.diagram = new Diagram(find("attempt-lanes"), find("attempt-steps"));
    // A later press, or signing out, makes an answer stale.
    this.turn = 0;
    this.sending = false;
    /** @type {HTMLElement[]} */
    this.buttons = [];
    find("attempt-kinds").replaceChildren(...Object.entries(KINDS).map(([kind, about]) => this.#choice(kind, about)));
  }

  /** What was tried is not shown any more. */
  close() {
    this.turn += 1;
    this.#busy(false);
    this.diagram.clear();
    write("attempt-state", "");
    show("attempt", false);
    show("attempt-problem", false);
  }

  /** @param {string} kind @param {{name: string, does: string}} about */
  #choice(kind, about) {
    const button = make("button", { type: "button", class: "quiet", "aria-describedby": `attempt-${kind}` }, about.name);
    button.addEventListener("click", () => { if (!this.sending) this.#make(kind); });
    this.buttons.push(button);
    return make("li", {}, button, make("span", { class: "soft small", id: `attempt-${kind}` }, about.does));
  }

  /** @param {string} kind */
  async #make(kind) {
    this.close();
    const turn = this.turn;
    this.#busy(true);
    write("attempt-state", "Sending …");
    try {
      const attempt = await this.backend.attempt(kind);
      if (turn === this.turn) this.#draw(attempt);
    } catch (error) {
      if (turn === this.turn) this.#fail(error);
    }
    if (turn === this.turn) this.#busy(false);
  }

  // Not disabled: a button that is loses the focus.
  /** @param {boolean} sending */
  #busy(sending) {
    this.sending = sending;
    for (const button of this.buttons) button.setAttribute("aria-disabled", String(sending));
  }

  /** @param {unknown} error */
  #fail(error) {
    write("attempt-state", "");
    write("attempt-problem", error instanceof BackendError ? error.message : "That did not work. Please try again.");
    show("attempt-problem", true);
  }

  /** @param {any} attempt */
  #draw(attempt) {
    const by = attempt.refused_by;
    write("attempt-state", by ? `Refused: ${by.check ?? by.code}` : "Not refused");
    write("attempt-why", by ? by.words ?? by.detail : "No check refused this request; its answer stands below.");
    find("attempt-facts").replaceChildren(...factsOf(attempt).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
    this.diagram.draw(readArrows(attempt.arrows), this.draft);
    show("attempt-exchanges", attempt.arrows.length > 0);
    show("attempt", true);
  }
}

/** @param {any} attempt @returns {string[][]} name and value */
function factsOf(attempt) {
  const error = attempt.signature_error ? `, Signature-Error: ${attempt.signature_error}` : "";
  return [
    ["What was sent", attempt.sent],
    ["The answer", `${attempt.status}${error}`],
    ...(attempt.refused_by ? checkOf(attempt.refused_by) : []),
    ["The harmless one", `${attempt.twin.status}. ${attempt.twin.words}`],
  ];
}

/** @param {any} by */
function checkOf(by) {
  const facts = [["Stopped by", PARTS[by.part] ?? by.part], ["Check", `${by.check ?? "unnamed"} (${by.code})`], ["It said", by.detail]];
  return by.section ? [...facts, ["Where it is written", by.section]] : facts;
}
