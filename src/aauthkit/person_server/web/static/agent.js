// Shows how a revocation goes on, resource by resource. Without it the page says the same after a reload.
const PAUSE = 2000;
const WORDS = {
  delivered: "ended",
  unsupported: "ends when it runs out: this resource takes no revocations",
  expired: "has run out",
};

const section = document.getElementById("revocation");
const rows = () => [...section.querySelectorAll("tr[data-recipient]")];
const waits = () => rows().some((row) => row.dataset.status === "waiting");

async function look() {
  const answer = await fetch("/person/bindings/" + encodeURIComponent(section.dataset.agent) + "/revocation");
  if (!answer.ok) throw new Error(answer.statusText);
  const told = new Map((await answer.json()).recipients.map((each) => [each.resource_iss, each.status]));
  for (const row of rows()) {
    const status = told.get(row.dataset.recipient);
    if (status === undefined || status === row.dataset.status || !(status in WORDS)) continue;
    row.dataset.status = status;
    row.lastElementChild.textContent = WORDS[status];
  }
}

async function watch() {
  for (let pause = PAUSE; waits(); ) {
    await new Promise((wake) => setTimeout(wake, pause));
    pause = await look().then(() => PAUSE, () => 5 * PAUSE);
  }
}

watch();
