// Starts the page: settings, sign-in, the form, and the run it follows. The run's id is in the address, so a reload finds it again.

import { Backend, BackendError } from "./backend.js";
import { find, make, show, write } from "./dom.js";
import { SignIn, SignInProblem } from "./oidc.js";
import { ProtocolView } from "./protocol/view.js";
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
const RUN_ID = /^#run=([A-Za-z0-9_-]{1,128})$/;

// Set once this tab has asked quietly, so that it never asks in a circle.
const ASKED = "sign-in.asked";

let config;
let signIn;
let backend;
let protocol;
let run = null;

async function open() {
  config = await (await fetch("/config.json")).json();
  signIn = new SignIn(config);
  backend = new Backend(config.backend, signIn);
  protocol = new ProtocolView(backend, config);
  listen();
  await finishSignIn();
  if (signIn.session) return openDesk();
  openWelcome();
  // A tab that comes back from the person server with a run in its address: whoever is signed in already sees it at once.
  if (RUN_ID.test(location.hash) && !sessionStorage.getItem(ASKED)) {
    sessionStorage.setItem(ASKED, "yes");
    await beginSignIn({ quietly: true });
  }
}

function listen() {
  find("sign-in").addEventListener("click", () => beginSignIn());
  find("sign-out").addEventListener("click", () => leave());
  find("request").addEventListener("submit", (event) => { event.preventDefault(); start(); });
  find("again").addEventListener("click", () => (signIn.session ? start() : beginSignIn()));
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
  const id = RUN_ID.exec(location.hash)?.[1];
  if (!id || run?.id === id) return;
  drop();
  follow(id);
}

// What was followed is not shown any more.
function drop() {
  run?.stop();
  protocol.close();
  clear();
}

function follow(id) {
  busy(true);
  protocol.follow(id);
  run = new Run(backend, id, {
    progress: (progress) => {
      drawProgress(progress, config);
      if (progress.status === "failed") {
        busy(false);
        protocol.end();
      }
    },
    completed: (results) => {
      drawConnection(null);
      drawResults(results);
      busy(false);
      protocol.end();
      find("results").focus({ preventScroll: true });
    },
    away: drawConnection,
    lost,
  });
  run.follow();
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
  drawFailure({ title: titles[kind] ?? "The backend refused the request", text, code: "" });
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
  const values = JSON.parse(sessionStorage.getItem(FORM) ?? "{}");
  for (const id of FIELDS) if (id in values) find(id).value = values[id];
  find("market").checked = Boolean(values.market);
  show("horizon", find("market").checked);
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
