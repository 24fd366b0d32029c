// Notices that something changed for the person and shows it. Without it the page works the same after a reload.
const PAUSE = 1000;

const sleep = (milliseconds) => new Promise((wake) => setTimeout(wake, milliseconds));
const focused = () => document.activeElement?.matches("input, select, textarea, button") ?? false;
const written = () => [...document.querySelectorAll("textarea, input:not([type=hidden])")].some((field) => field.value !== field.defaultValue);

async function news(known) {
  const answer = await fetch("/person/news" + (known === null ? "" : "?known=" + encodeURIComponent(known)));
  if (!answer.ok) throw new Error(answer.statusText);
  return (await answer.json()).version;
}

// What somebody is writing is not taken away; they are told instead.
function tell() {
  const note = document.getElementById("news");
  if (!focused() && !written()) location.reload();
  else if (note !== null) note.hidden = false;
}

async function watch() {
  for (let known = null; ; ) {
    try {
      const now = await news(known);
      if (known !== null && now !== known) tell();
      known = now;
      await sleep(PAUSE);
    } catch {
      await sleep(10 * PAUSE);
    }
  }
}

watch();
