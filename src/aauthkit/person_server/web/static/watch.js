// Notices that something changed for the person: says how much waits, and shows it on pages that show what waits.
// Without it the page works the same after a reload. One page of a browser holds the stream and tells the others,
// since a browser keeps only a few connections to a server open.
const RETRY = 10_000;
const NAME = "aauth-events";

const page = document.body.dataset;
const title = document.title.replace(/^\(\d+\) /, "");
const others = new BroadcastChannel(NAME);
let shown = page.seen;

const focused = () => document.activeElement?.matches("input, select, textarea, button") ?? false;
const changed = (field) => field.value !== field.defaultValue || (field.checked ?? false) !== (field.defaultChecked ?? false);
const written = () => [...document.querySelectorAll("textarea, input:not([type=hidden])")].some(changed);
const sleep = (milliseconds) => new Promise((wake) => setTimeout(wake, milliseconds));

function count(waits) {
  const all = waits.requests + waits.inbox + waits.enrolments;
  document.title = all ? `(${all}) ${title}` : title;
  for (const mark of document.querySelectorAll("[data-waits]")) {
    mark.textContent = waits[mark.dataset.waits];
    mark.hidden = waits[mark.dataset.waits] === 0;
  }
}

// What somebody is writing is not taken away; they are told instead.
function tell() {
  const note = document.getElementById("news");
  if (page.shows === undefined) return;
  if (!focused() && !written()) location.reload();
  else if (note !== null) note.hidden = false;
}

// An event only says that something changed; what is true is asked for.
async function look() {
  const answer = await fetch("/person/waiting");
  if (!answer.ok) return;
  const waits = await answer.json();
  count(waits);
  if (waits.version === shown) return;
  shown = waits.version;
  tell();
}

// Until the server refuses; breaks in between the browser mends by itself.
const follow = () => new Promise((over) => {
  const stream = new EventSource("/person/events?seen=" + encodeURIComponent(shown));
  stream.onmessage = () => {
    others.postMessage("look");
    look().catch(() => {});
  };
  stream.onerror = () => {
    if (stream.readyState === EventSource.CLOSED) over();
  };
});

async function lead() {
  for (;;) {
    await follow();
    await sleep(RETRY);
  }
}

others.onmessage = () => look().catch(() => {});
if (navigator.locks === undefined) lead();
else {
  // Whoever leads may have heard before this page was there.
  look().catch(() => {});
  navigator.locks.request(NAME, lead);
}
