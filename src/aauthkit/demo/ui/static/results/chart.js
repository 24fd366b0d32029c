// Charts drawn by hand as SVG: each has a title, says in words what it shows, and repeats its numbers as a table below.
// It is painted for the width it has, so its words stay as large as the page's; it is painted anew when that changes.

import { make } from "../dom.js";

const SVG = "http://www.w3.org/2000/svg";
let named = 0;

/** @param {string} tag @param {Record<string, string | number>} attributes @param {...(Node | string)} children */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/**
 * One drawing with its name and its words for whoever does not see it.
 * @param {string} title @param {string} text
 * @param {(width: number) => {height: number, marks: Node[]}} paint what is drawn at a width, both in pixels
 */
export function drawing(title, text, paint) {
  const box = make("div", { class: "plot" });
  const id = `chart-${(named += 1)}`;
  const draw = (/** @type {number} */ width) => {
    const { height, marks } = paint(width);
    box.replaceChildren(svg("svg", { role: "img", "aria-labelledby": `${id}-title ${id}-text`, viewBox: `0 0 ${width} ${height}`, width, height },
      svg("title", { id: `${id}-title` }, title), svg("desc", { id: `${id}-text` }, text), ...marks));
  };
  let drawn = 0;
  new ResizeObserver(([entry]) => {
    const width = Math.floor(entry.contentRect.width);
    if (width > 0 && width !== drawn) draw(drawn = width);
  }).observe(box);
  return box;
}

/**
 * A figure: a heading, drawings, what their marks mean, and the numbers.
 * @param {HTMLElement} target
 * @param {{title: string, drawings: Node[], keys?: [string, string][], columns: string[], rows: string[][]}} chart
 *   `keys` are [mark, meaning]; the first column of a row is its heading
 */
export function drawFigure(target, { title, drawings, keys = [], columns, rows }) {
  const legend = make("ul", { class: "keys" }, ...keys.map(([mark, meaning]) => make("li", { "data-mark": mark }, meaning)));
  target.replaceChildren(
    make("figcaption", {}, make("h3", {}, title)),
    make("div", { class: "plots" }, ...drawings),
    ...(keys.length > 0 ? [legend] : []),
    make("details", { class: "numbers" }, make("summary", {}, "The numbers"),
      make("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": `${title}: the numbers` }, table(title, columns, rows))));
}

/** @param {string} title @param {string[]} columns @param {string[][]} rows */
export function table(title, columns, rows) {
  const head = make("tr", {}, ...columns.map((name, place) => make("th", { scope: "col", class: place > 0 ? "number" : "" }, name)));
  const body = rows.map(([first, ...others]) =>
    make("tr", {}, make("th", { scope: "row" }, first), ...others.map((value, place) => make("td", { class: "number", "data-label": columns[place + 1] }, value))));
  return make("table", {}, make("caption", { class: "hidden-text" }, title), make("thead", {}, head), make("tbody", {}, ...body));
}

const ROW = 46;

/**
 * Bars below their labels, so that a long name has a whole line on a phone too.
 * @param {{label: string, value: string, parts: {amount: number, mark: string}[]}[]} rows
 */
export function bars(rows) {
  const most = Math.max(1, ...rows.map((row) => row.parts.reduce((sum, part) => sum + part.amount, 0)));
  return (/** @type {number} */ width) => ({ height: rows.length * ROW, marks: rows.flatMap((row, place) => barOf(row, place * ROW, width / most, width)) });
}

function barOf(row, top, scale, width) {
  const marks = [
    svg("text", { x: 0, y: top + 16, class: "label" }, row.label),
    svg("text", { x: width, y: top + 16, class: "value" }, row.value),
  ];
  let left = 0;
  for (const { amount, mark } of row.parts) {
    const length = Math.max(0, amount * scale);
    marks.push(svg("rect", { x: left, y: top + 23, width: Math.max(0, length - 1), height: 13, rx: 2, class: `mark-${mark}` }));
    left += length;
  }
  return marks;
}

const PLOT = { height: 150, left: 34, right: 8, top: 10, bottom: 24 };

/**
 * Lines over months, from now on.
 * @param {{mark: string, values: number[]}[]} lines all of one length
 */
export function lines(lines) {
  const values = lines.flatMap((line) => line.values);
  const top = niceCeiling(Math.max(1, ...values)), low = Math.min(0, ...values);
  const bottom = low < 0 ? -niceCeiling(-low) : 0;
  const last = Math.max(1, (lines[0]?.values.length ?? 1) - 1);
  return (/** @type {number} */ width) => {
    const x = (/** @type {number} */ month) => PLOT.left + (month / last) * (width - PLOT.left - PLOT.right);
    const y = (/** @type {number} */ units) => PLOT.top + ((top - units) / (top - bottom)) * (PLOT.height - PLOT.top - PLOT.bottom);
    // Below zero there is a number only where it does not stand on the zero's.
    const levels = [top, top / 2, 0, ...(y(bottom) - y(0) > 16 ? [bottom] : [])];
    const months = monthsShown(last);
    return {
      height: PLOT.height,
      marks: [
        ...levels.flatMap((level) => [
          svg("line", { x1: PLOT.left, x2: width - PLOT.right, y1: y(level), y2: y(level), class: level === 0 ? "zero" : "grid" }),
          svg("text", { x: PLOT.left - 6, y: y(level) + 4, class: "tick end" }, String(Math.round(level)))]),
        ...months.map((month) => svg("text", { x: x(month), y: PLOT.height - 6, class: month === last ? "tick end" : month === 0 ? "tick" : "tick middle" }, month === 0 ? "now" : `${month} mo`)),
        ...lines.map((line) => svg("polyline", { points: line.values.map((units, month) => `${x(month).toFixed(1)},${y(units).toFixed(1)}`).join(" "), class: `line-${line.mark}` })),
      ],
    };
  };
}

const monthsShown = (/** @type {number} */ last) => {
  const step = last <= 3 ? 1 : last / 3;
  return Array.from({ length: Math.floor(last / step) + 1 }, (_, place) => Math.round(place * step));
};

// 1, 2 or 5 times a power of ten, in halves that are whole.
function niceCeiling(/** @type {number} */ value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 6, 8, 10].map((times) => times * power).find((nice) => nice >= value) ?? value;
}
