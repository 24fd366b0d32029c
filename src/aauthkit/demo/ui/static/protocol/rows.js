// The rows of a diagram, from its arrows: one a step, and one for documents fetched one after the other. Pure.

import { isDocument } from "./arrows.js";

/**
 * @typedef {import("./arrows.js").Arrow} Arrow
 * @typedef {{key: string, arrows: Arrow[], documents: boolean}} Row
 */

/**
 * @param {Arrow[]} arrows in time order
 * @returns {Row[]}
 */
export function rowsOf(arrows) {
  /** @type {Row[]} */
  const rows = [];
  for (const arrow of arrows) {
    const last = rows.at(-1);
    if (!isDocument(arrow)) rows.push({ key: arrow.id, arrows: [arrow], documents: false });
    else if (last?.documents) last.arrows.push(arrow);
    else rows.push({ key: `documents ${arrow.id}`, arrows: [arrow], documents: true });
  }
  return rows;
}

/**
 * What makes two steps of two runs the same step: who asked whom for what, not how it went.
 * @param {Arrow} arrow
 */
export const likeness = (arrow) =>
  [arrow.source, arrow.target, arrow.kind, arrow.method, arrow.path.replace(/[0-9a-f-]{16,}/gi, "…"), arrow.host ?? arrow.facts.resource ?? ""].join(" ");

/**
 * Two runs beside each other: steps that are the same stand in pairs, the rest alone. Of all ways to pair them in order
 * the one with the most in common; a step that also ended the same way is more in common than one that did not.
 * @param {Arrow[]} left
 * @param {Arrow[]} right
 * @returns {[Arrow | null, Arrow | null][]}
 */
export function paired(left, right) {
  const [a, b] = [left, right].map((arrows) => arrows.map((arrow) => [likeness(arrow), ending(arrow)]));
  const common = (/** @type {number} */ i, /** @type {number} */ j) => (a[i][0] !== b[j][0] ? 0 : a[i][1] === b[j][1] ? 3 : 2);
  const best = table(a.length, b.length, common);
  /** @type {[Arrow | null, Arrow | null][]} */
  const pairs = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    const both = i < a.length && j < b.length;
    if (both && common(i, j) > 0 && best[i][j] === best[i + 1][j + 1] + common(i, j)) pairs.push([left[i++], right[j++]]);
    else if (i < a.length && (j === b.length || best[i + 1][j] === best[i][j])) pairs.push([left[i++], null]);
    else pairs.push([null, right[j++]]);
  }
  return pairs;
}

/** How a step ended, as far as it makes a difference. @param {Arrow} arrow */
export const ending = (arrow) => [arrow.status, arrow.requirement, arrow.decision, arrow.reason].join(" ");

/** Which tokens were sent and received. @param {Arrow} arrow */
export const carried = (arrow) => arrow.tokens.map((token) => `${token.direction} ${token.where} ${token.typ}`).join();

// best[i][j]: how much the steps from i and from j on have in common.
/** @param {number} rows @param {number} columns @param {(i: number, j: number) => number} common */
function table(rows, columns, common) {
  const best = Array.from({ length: rows + 1 }, () => new Uint16Array(columns + 1));
  for (let i = rows - 1; i >= 0; i -= 1) {
    for (let j = columns - 1; j >= 0; j -= 1) {
      const pair = common(i, j);
      best[i][j] = Math.max(best[i + 1][j], best[i][j + 1], pair > 0 ? best[i + 1][j + 1] + pair : 0);
    }
  }
  return best;
}
