// A list of many buttons as one stop of the Tab key: the arrow keys, Home and End move inside it, and Tab comes back to
// where one was.

const LINE = ".line";

/** @param {HTMLElement} list */
export function rove(list) {
  list.addEventListener("keydown", (event) => move(list, event));
  list.addEventListener("focusin", (event) => stopAt(list, /** @type {HTMLElement} */ (event.target)));
}

/** After the list was drawn: some line is where Tab comes to. @param {HTMLElement} list */
export function keepStop(list) {
  if (!list.querySelector(`${LINE}[tabindex="0"]`)) stopAt(list, list.querySelector(LINE));
}

/** @param {HTMLElement} list @param {KeyboardEvent} event */
function move(list, event) {
  const line = /** @type {HTMLElement} */ (event.target);
  if (!line.matches(LINE) || event.altKey || event.ctrlKey || event.metaKey) return;
  const lines = /** @type {HTMLElement[]} */ ([...list.querySelectorAll(LINE)]).filter((each) => !each.closest("[hidden]"));
  const at = lines.indexOf(line);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: lines.length - 1 }[event.key];
  if (to === undefined || !lines[to]) return;
  event.preventDefault();
  lines[to].focus();
}

/** @param {HTMLElement} list @param {HTMLElement | null} line */
function stopAt(list, line) {
  if (!line?.matches(LINE)) return;
  for (const other of /** @type {NodeListOf<HTMLElement>} */ (list.querySelectorAll(`${LINE}[tabindex="0"]`))) if (other !== line) other.tabIndex = -1;
  line.tabIndex = 0;
}
