// Notices that something new waits for the person and shows it. Without it the page works the same after a reload.
const EVERY = 4000;

async function waiting() {
  const answers = await Promise.all(["/person/requests", "/person/registrations"].map((path) => fetch(path)));
  if (!answers.every((answer) => answer.ok)) return null;
  const lists = await Promise.all(answers.map((answer) => answer.json()));
  return JSON.stringify(lists.map((list) => list.filter((item) => item.status === "pending").map((item) => item.pending_id ?? item.id)));
}

const typing = () => document.activeElement?.matches("input, select, button") ?? false;

let known = await waiting();
setInterval(async () => {
  if (document.hidden || typing()) return;
  const now = await waiting().catch(() => null);
  if (now !== null && known !== null && now !== known) location.reload();
  known = now ?? known;
}, EVERY);
