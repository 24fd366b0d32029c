// Starts the page: settings, sign-in, the form, and the run it follows. The run's id is in the address, so a reload finds it again.

import { Attempts } from "./attempts.js";
import { Backend, BackendError } from "./backend.js";
import { find, make, show, write } from "./dom.js";
import { SignIn, SignInProblem } from "./oidc.js";
import { ProtocolView } from "./protocol/view.js";
import { saveCsv, saveJson } from "./results/export.js";
import { History } from "./results/history.js";
import { formIn, formOf, fragmentOf } from "./results/link.js";
import { Run } from "./run.js";
import { clear, drawConnection, drawFailure, drawProgress, drawResults } from "./view.js";

const SUGGESTIONS = {
  "Lowest cost": "Keep every model above its stock floor at the lowest cost",
  "25 new engineers": "Laptops for 25 new engineers, as soon as possible",
  "Replace MacBooks": "Replace ageing MacBook Pros within the quarterly budget",
  "Compare with demand": "Compare with demand and perform market analysis",
};
// The form as it was last sent, so that "Try again" after a reload asks for the same.
const FORM = "request.form";
const FIELDS = ["prompt", "budget", "delivery", "quality", "months"];
const EMPTY = { prompt: "", budget: "", delivery: "", quality: "", months: "6", market: false };
// What to do when the backend is the problem.
const NEXT = {
  "signed-out": "Sign in again: the run is still here.",
  unreachable: "See that the backend is running, then try again.",
  busy: "Wait until a run has ended, then try again.",
};
const RUN_ID = /^#run=([A-Za-z0-9_-]{1,128})$/;

// Set once this tab has asked quietly, so that it never asks in a circle.
const ASKED = "sign-in.asked";

let config;
let signIn;
let backend;
let protocol;
let runs;
let attempts;
let run = null;
let cancelling = false;
// The results shown, for export.
let shown = null;

async function open() {
  config = await (await fetch("/config.json")).json();
  signIn = new SignIn(config);
  backend = new Backend(config.backend, signIn);
  protocol = new ProtocolView(backend, config);
  runs = new History(backend);
  attempts = new Attempts(backend, config);
  listen();
  await finishSignIn();
  if (signIn.session) return openDesk();
  openWelcome();
  // A tab that comes back from the person server with a run, or a request, in its address: whoever is signed in already sees it at once.
  if ((RUN_ID.test(location.hash) || formIn(location.hash)) && !sessionStorage.getItem(ASKED)) {
    sessionStorage.setItem(ASKED, "yes");
    await beginSignIn({ quietly: true });
  }
}

function listen() {
  find("sign-in").addEventListener("click", () => beginSignIn());
  find("sign-out").addEventListener("click", () => leave());
  find("request").addEventListener("submit", (event) => { event.preventDefault(); start(); });
  find("again").addEventListener("click", () => (signIn.session ? start() : beginSignIn()));
  find("cancel").addEventListener("click", () => cancel());
  find("save-csv").addEventListener("click", () => saveCsv(shown));
  find("save-json").addEventListener("click", () => saveJson(shown));
  find("share-copy").addEventListener("click", () => copyLink());
  find("market").addEventListener("change", () => show("horizon", find("market").checked));
  find("suggestions").append(...Object.entries(SUGGESTIONS).map(suggestion));
  addEventListener("hashchange", () => { if (signIn.session) resume(); });
}

function suggestion([name, text]) {
  const button = make("button", { type: "button", class: "chip", title: text }, name);
  button.addEventListener("click", () => {
    find("prompt").value = text;
    find("prompt").focus();
  });
  return button;
}

// Signing in and out

async function finishSignIn() {
  if (location.pathname !== "/callback") return;
  const answer = new URLSearchParams(location.search);
  let fragment = "";
  try {
    fragment = await signIn.complete(answer);
  } catch (error) {
    sayWhySignInFailed(error);
  }
  // The code leaves the address and the history.
  history.replaceState(null, "", `/${fragment}`);
}

async function beginSignIn(manner) {
  show("sign-in-problem", false);
  try {
    await signIn.begin(location.hash, manner);
  } catch (error) {
    openWelcome();
    sayWhySignInFailed(error);
  }
}

async function leave() {
  drop();
  runs.close();
  attempts.close();
  sessionStorage.removeItem(FORM);
  try {
    await signIn.signOut();
  } catch {
    // The identity provider is away: this tab forgot the tokens already.
    history.replaceState(null, "", "/");
    openWelcome();
  }
}

function sayWhySignInFailed(error) {
  write("sign-in-problem", error instanceof SignInProblem ? error.message : "Signing in did not work. Please try again.");
  show("sign-in-problem", true);
}

function openWelcome() {
  show("who", false);
  show("desk", false);
  show("welcome", true);
}

function openDesk() {
  write("person", signIn.personName);
  show("who", true);
  show("welcome", false);
  show("desk", true);
  clear();
  refill();
  runs.refresh();
  resume();
}

// Runs

async function start() {
  const request = wanted();
  if (!request) return;
  drop();
  busy(true);
  remember();
  try {
    const started = await backend.start(request);
    history.replaceState(null, "", `/#run=${started.request_id}`);
    follow(started.request_id);
  } catch (error) {
    lost(error);
  }
}

function resume() {
  const asked = formIn(location.hash);
  if (asked) return fillFromLink(asked);
  const id = RUN_ID.exec(location.hash)?.[1];
  if (!id || run?.id === id) return;
  drop();
  follow(id);
}

// What was followed is not shown any more.
function drop() {
  run?.stop();
  protocol.close();
  shown = null;
  clear();
}

function follow(id) {
  cancelling = false;
  busy(true);
  show("from-link", false);
  protocol.follow(id);
  runs.follow(id);
  run = new Run(backend, id, {
    progress: (progress) => {
      drawProgress(progress, config);
      if (progress.status === "completed") drawShare(formOf(progress.asked));
      if (progress.status === "failed") {
        busy(false);
        protocol.end();
        runs.refresh();
        // The button that was pressed is gone; where the focus goes is what can be done next.
        if (cancelling) find("again").focus({ preventScroll: true });
      }
    },
    completed: (results) => {
      drawConnection(null);
      shown = results;
      drawResults(results);
      runs.refresh();
      busy(false);
      protocol.end();
      find("results").focus({ preventScroll: true });
    },
    away: drawConnection,
    lost,
  });
  run.follow();
}

async function cancel() {
  if (!run) return;
  find("cancel").disabled = true;
  cancelling = true;
  try {
    await backend.cancel(run.id);
  } catch (error) {
    // It may have ended meanwhile: what follows the run says how. Anything else is worth saying.
    if (!(error instanceof BackendError && error.kind === "refused")) drawConnection(`The run was not cancelled: ${error.message}`);
  } finally {
    find("cancel").disabled = false;
  }
}

function drawShare(form) {
  for (const id of ["share", "share-copy"]) show(id, form !== null);
  write("share-told", "");
  if (form) find("share").href = `${location.origin}/${fragmentOf(form)}`;
}

async function copyLink() {
  try {
    await navigator.clipboard.writeText(find("share").href);
    write("share-told", "The link is copied.");
  } catch {
    write("share-told", "The browser does not let this page copy. Copy the address of the link beside.");
  }
}

function lost(error) {
  drawConnection(null);
  busy(false);
  protocol.end();
  const kind = error instanceof BackendError ? error.kind : "refused";
  const titles = {
    "signed-out": "Your sign-in has ended",
    missing: "This run is not known any more",
    unreachable: "The backend cannot be reached",
    busy: "The backend is busy",
  };
  const text = kind === "missing" ? "It may belong to somebody else, or the backend was cleared. Start a new one." : error.message;
  drawFailure({ title: titles[kind] ?? "The backend refused the request", text, next: NEXT[kind], code: "" });
  show("cancel", false);
  if (kind === "missing") history.replaceState(null, "", "/");
  find("again").textContent = kind === "signed-out" ? "Sign in again" : "Try again";
}

function busy(running) {
  find("start").disabled = running;
  find("again").textContent = "Try again";
}

// The form as the backend wants it; null when something in it has to be corrected first.
function wanted() {
  const budget = amount(find("budget").value);
  find("budget").setAttribute("aria-invalid", String(budget === null));
  write("budget-problem", budget === null ? "Write the budget as a number, for example 250,000." : "");
  if (budget === null) {
    find("budget").focus();
    return null;
  }
  const constraints = { budget_limit: budget, delivery_time: find("delivery").value, quality_requirement: find("quality").value };
  const chosen = Object.fromEntries(Object.entries(constraints).filter(([, value]) => value !== "" && value !== undefined));
  const analysis = find("market").checked ? { include_market_analysis: true, months: Number(find("months").value) } : {};
  return { optimization_type: "laptop_supply_chain", custom_prompt: find("prompt").value.trim(), constraints: chosen, ...analysis };
}

function remember() {
  const values = Object.fromEntries(FIELDS.map((id) => [id, find(id).value]));
  sessionStorage.setItem(FORM, JSON.stringify({ ...values, market: find("market").checked }));
}

function refill() {
  fill(JSON.parse(sessionStorage.getItem(FORM) ?? "{}"));
}

function fill(values) {
  for (const id of FIELDS) if (id in values) choose(find(id), values[id]);
  find("market").checked = Boolean(values.market);
  show("horizon", find("market").checked);
}

// A choice that is none of the list's stays what it was.
function choose(field, value) {
  const offered = field.options ? [...field.options].some((option) => option.value === value) : true;
  if (offered) field.value = value;
}

// A link fills the form and starts nothing: whoever made it is not who presses the button.
function fillFromLink(asked) {
  fill({ ...EMPTY, ...asked });
  show("from-link", true);
  find("from-link").scrollIntoView({ block: "nearest" });
}

// "$250,000" → 250000, "" → undefined, anything else → null
function amount(text) {
  const plain = text.replaceAll(/[\s$,]/g, "");
  if (plain === "") return undefined;
  return /^\d{1,9}(\.\d{1,2})?$/.test(plain) ? Number(plain) : null;
}

open().catch(() => {
  openWelcome();
  write("sign-in-problem", "This page could not load its settings. Reload it in a moment.");
  show("sign-in-problem", true);
});
