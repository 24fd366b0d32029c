// Which mode and draft this system was started with, and the command that starts the other.

import { find, make, write } from "../dom.js";

/** @type {Record<string, string>} */
export const MODES = {
  identity: "identity: who the agent is decides",
  autonomous: "autonomous: the person server permits by itself",
  "user-consent": "user-consent: a person is asked",
};
/** @type {Record<string, string>} */
export const DRAFTS = { "01": "draft 01", 11: "draft 11" };

/** @param {{mode?: string, draft?: string}} started */
export function drawWay({ mode, draft }) {
  if (!mode || !draft) return;
  write("protocol-way", `This system was started in the mode ${mode} and speaks draft ${draft}.`);
  const modes = choice(Object.entries(MODES), mode, "Mode");
  const drafts = choice(Object.entries(DRAFTS), draft === "11" ? "01" : "11", "Draft");
  const command = make("code", { class: "command" });
  const say = () => { command.textContent = `make demo MODE=${modes.value} DRAFT=${drafts.value}`; };
  for (const each of [modes, drafts]) each.addEventListener("change", say);
  say();
  find("protocol-other").replaceChildren(
    make("p", { class: "soft small" }, "Both are fixed when the system starts. Stop it, start it the other way, make a run, and compare: your runs stay in the history."),
    make("div", { class: "other" }, modes.labelled, drafts.labelled, command));
}

/** @param {[string, string][]} options @param {string} chosen @param {string} name */
function choice(options, chosen, name) {
  const select = make("select", {}, ...options.map(([value, words]) => make("option", { value, selected: value === chosen }, words)));
  return Object.assign(select, { labelled: make("label", {}, name, select) });
}
