// How long a person still has to decide, told every second. Only where the server that asks said so.

import { show, write } from "../dom.js";

let ends = NaN;
let ticking = 0;

/** @param {string | null | undefined} until an ISO time; nothing stops the count */
export function countDown(until) {
  ends = Date.parse(until ?? "");
  clearInterval(ticking);
  if (!Number.isNaN(ends)) ticking = setInterval(tell, 1000);
  tell();
}

function tell() {
  const left = Math.ceil((ends - Date.now()) / 1000);
  write("consent-countdown", Number.isNaN(left) ? "" : left > 0 ? `Time to decide: ${clock(left)}` : "The time to decide is over.");
  show("consent-countdown", !Number.isNaN(left));
}

const clock = (/** @type {number} */ seconds) => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
