// What statuses, actions and failures are called on the page.

export const STATUS = {
  pending: "waiting to start",
  running: "running",
  interaction_required: "waiting for you",
  approval_pending: "waiting for your decision",
  authorizing: "getting authorization",
  completed: "completed",
  failed: "failed",
};

// [what happened, in what state that leaves things, what to do]
const FAILURES = {
  cancelled: ["You cancelled this run", "Nothing was planned, and what was asked of you was taken back.", "Start it again when you want it after all."],
  denied: ["You said no", "The agents were refused, so nothing was planned.", "Start again to be asked again."],
  abandoned: ["Closed without a decision", "The request for your approval was closed before you decided.", "Start again to be asked again."],
  expired: ["Nobody decided in time", "The request for your approval ran out.", "Start again to be asked again; the time you have stands beside the code."],
  unreachable: ["A part of the system cannot be reached", "The run stopped where it was.", "See that the part named here is running, then try again."],
  timed_out: ["No answer in time", "An agent took too long to answer.", "Try again; a smaller request takes less time."],
  authorization_denied: ["Not allowed by policy", "The gateway's policy does not allow this.", "Trying again changes nothing. Ask whoever runs the gateway for the scope that is missing."],
  unauthorized: ["Not accepted", "An agent did not accept the backend's credentials.", "Try again once. If it stays, the backend has to enrol again."],
  agent_revoked: ["Permission revoked", "The permission to act for you was taken back at the person server.", "Let the agent in again at the person server, then try again."],
  rate_limited: ["Too many requests", "A limit of the servers was reached.", "Wait a moment and try again."],
  interrupted: ["Interrupted", "The backend was restarted while this ran.", "Start it again."],
  no_identity: ["The backend is not enrolled", "It cannot act for anybody yet.", "Approve it in the person server, then try again."],
};

// `error` is {code, message}; an older backend sends a sentence only, or nothing and says it in the current step.
export function failureWords(error, step) {
  const code = error && typeof error === "object" ? String(error.code ?? error.error ?? "") : "";
  const said = typeof error === "string" ? error : error?.message ?? error?.error_description;
  const [title, text, next] = FAILURES[code] ?? ["The plan could not be made", "Something went wrong.", "Try again; the steps below show how far it came."];
  return { title, text: said || (code ? text : step) || text, next, code };
}

const dollars = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD", maximumFractionDigits: 0 });
const cents = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export const money = (value) => (Number.isInteger(value) ? dollars : cents).format(value);
export const percent = (value) => `${Number(value).toLocaleString("en-US", { maximumFractionDigits: 1 })} %`;
const dayClock = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
export const day = (text) => (Number.isNaN(Date.parse(text)) ? "" : dayClock.format(new Date(text)));
export const time = (text) => (Number.isNaN(Date.parse(text)) ? "" : clock.format(new Date(text)));
// "supply_chain_optimization" → "Supply chain optimization"
export const spoken = (name) => {
  const words = String(name).replaceAll(/[_]+/g, " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
};
