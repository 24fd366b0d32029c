// Who is working on a run, as the backend tells it: whoever has the turn is marked, whoever did something before is ticked.

import { find, make } from "../dom.js";

const NAMES = { you: "You", backend: "Backend", "person-server": "Person server", "supply-chain-agent": "Supply-chain agent", "market-analysis-agent": "Market-analysis agent" };

/** @param {any} progress */
export function drawCrew(progress) {
  const seen = new Set((progress.activities ?? []).map((activity) => activity.agent));
  const ended = ["completed", "failed"].includes(progress.status);
  const members = Object.entries(NAMES).filter(([id]) => id === progress.working || seen.has(id) || (!ended && id !== "you" && id !== "market-analysis-agent"));
  find("crew").replaceChildren(...members.map(([id, name]) => {
    const state = id === progress.working && !ended ? "working" : seen.has(id) ? "seen" : "idle";
    const told = { working: id === "you" ? "your turn" : "at work", seen: "took part", idle: "not yet" }[state];
    return make("li", { "data-state": state }, name, make("span", { class: state === "working" ? "" : "hidden-text" }, ` · ${told}`));
  }));
}
