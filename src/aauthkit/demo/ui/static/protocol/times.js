// Times as people read them. Pure.

/** @param {number} value seconds since the run began */
export const seconds = (value) => `${value.toFixed(2)} s`;

/** @param {number} value seconds something took */
export function took(value) {
  if (value < 0.01) return `${(value * 1000).toFixed(1)} ms`;
  return value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`;
}
