// A small picture for a key or a token number: the same value has the same picture everywhere, so that the eye finds it again.

const GRID = 5;
const SVG = "http://www.w3.org/2000/svg";

/** @param {string} value @returns {SVGElement} decoration only: what it shows is said in words beside it */
export function markOf(value) {
  const bits = hash(value);
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", `0 0 ${GRID} ${GRID}`);
  picture.setAttribute("class", `mark mark-${bits % 6}`);
  picture.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", cells(bits).map(([x, y]) => `M${x} ${y}h1v1h-1z`).join(""));
  picture.append(path);
  return picture;
}

// A symmetric pattern reads as a figure; one that is not does not.
/** @param {number} bits */
function cells(bits) {
  const found = [];
  for (let y = 0; y < GRID; y += 1) {
    for (let x = 0; x < 3; x += 1) {
      if ((bits >> (y * 3 + x)) & 1) found.push([x, y], ...(x < 2 ? [[GRID - 1 - x, y]] : []));
    }
  }
  return found.length > 0 ? found : [[2, 2]];
}

// FNV-1a; good enough to tell a handful of values apart.
/** @param {string} value */
function hash(value) {
  let found = 2166136261;
  for (let i = 0; i < value.length; i += 1) found = Math.imul(found ^ value.charCodeAt(i), 16777619);
  return (found ^ (found >>> 15)) >>> 0;
}
