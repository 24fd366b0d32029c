// Passkeys: asks the server what to ask the browser for, and gives the server what the browser answered.
// Everything that is decided is decided at the server. What carries `data-passkey` names the ceremony.
// @ts-check

/** @typedef {Record<string, unknown>} Json */

/** @param {string} text @returns {Uint8Array<ArrayBuffer>} */
const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (character) => character.charCodeAt(0));

/** @param {ArrayBuffer | null} buffer @returns {string | undefined} */
const base64url = (buffer) =>
  buffer === null
    ? undefined
    : btoa(String.fromCharCode(...new Uint8Array(buffer)))
        .replace(/\+/g, "-")
        .replace(/\//g, "_")
        .replace(/=+$/, "");

/** What went wrong, in words for whoever is in front of it. */
class Trouble extends Error {}

/** @param {string} path @param {Json} body @param {string} csrf @returns {Promise<any>} */
async function send(path, body, csrf) {
  const headers = { "Content-Type": "application/json", ...(csrf === "" ? {} : { "X-CSRF-Token": csrf }) };
  const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Trouble(told.detail ?? "The server does not answer; try again.");
  return told;
}

/** @param {any} options @returns {Promise<Json>} */
async function create(options) {
  const publicKey = {
    ...options,
    challenge: bytes(options.challenge),
    user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: options.excludeCredentials.map((/** @type {any} */ one) => ({ ...one, id: bytes(one.id) })),
  };
  const made = /** @type {PublicKeyCredential} */ (await navigator.credentials.create({ publicKey }));
  const response = /** @type {AuthenticatorAttestationResponse} */ (made.response);
  return {
    id: made.id,
    rawId: base64url(made.rawId),
    type: made.type,
    response: {
      clientDataJSON: base64url(response.clientDataJSON),
      attestationObject: base64url(response.attestationObject),
      transports: response.getTransports?.() ?? [],
    },
  };
}

/** @param {any} options @returns {Promise<Json>} */
async function get(options) {
  const publicKey = {
    ...options,
    challenge: bytes(options.challenge),
    allowCredentials: options.allowCredentials.map((/** @type {any} */ one) => ({ ...one, id: bytes(one.id) })),
  };
  const found = /** @type {PublicKeyCredential} */ (await navigator.credentials.get({ publicKey }));
  const response = /** @type {AuthenticatorAssertionResponse} */ (found.response);
  return {
    id: found.id,
    rawId: base64url(found.rawId),
    type: found.type,
    response: {
      clientDataJSON: base64url(response.clientDataJSON),
      authenticatorData: base64url(response.authenticatorData),
      signature: base64url(response.signature),
      userHandle: base64url(response.userHandle),
    },
  };
}

/** @param {string} path @param {(options: any) => Promise<Json>} ask @param {Json} said @param {string} csrf */
async function ceremony(path, ask, said = {}, csrf = "") {
  const credential = await ask(await send(`${path}/options`, said, csrf));
  return send(path, { ...said, credential }, csrf);
}

/** @param {unknown} error */
function show(error) {
  const place = document.getElementById("passkey-trouble");
  if (place === null) return;
  place.textContent =
    error instanceof Trouble
      ? error.message
      : error instanceof DOMException && error.name === "InvalidStateError"
        ? "This device has a passkey for you already."
        : "No passkey was used. Try again, or use another device.";
  place.hidden = false;
}

/** @param {HTMLFormElement} form @returns {Json} */
const said = (form) => Object.fromEntries(new FormData(form));

/** @param {HTMLElement} element @param {() => Promise<void>} act */
async function once(element, act) {
  const buttons = element.querySelectorAll("button");
  const pressed = element instanceof HTMLButtonElement ? [element] : [...buttons];
  pressed.forEach((button) => (button.disabled = true));
  try {
    await act();
  } catch (error) {
    show(error);
  } finally {
    pressed.forEach((button) => (button.disabled = false));
  }
}

/** @param {HTMLFormElement} form */
function makes(form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void once(form, async () => {
      const path = new URL(form.action).pathname;
      location.assign((await ceremony(path, create, said(form), form.dataset.csrf)).to);
    });
  });
}

/** @param {HTMLButtonElement} button */
function signsIn(button) {
  button.addEventListener("click", () => {
    void once(button, async () => {
      location.assign((await ceremony("/ui/passkeys/sign-in", get, { return_to: button.dataset.returnTo })).to);
    });
  });
}

/** A decision that needs a passkey first, for the one button that allows. @param {HTMLFormElement} form */
function confirms(form) {
  let confirmed = false;
  form.addEventListener("submit", (event) => {
    const pressed = /** @type {HTMLButtonElement | null} */ (event.submitter);
    if (confirmed || pressed?.value !== "approve") return;
    event.preventDefault();
    void once(form, async () => {
      await ceremony("/ui/passkeys/confirm", get, {}, form.dataset.csrf);
      confirmed = true;
    }).then(() => {
      if (confirmed) form.requestSubmit(pressed);
    });
  });
}

for (const element of document.querySelectorAll("[data-passkey]")) {
  if (element instanceof HTMLButtonElement) signsIn(element);
  else if (element instanceof HTMLFormElement && element.dataset.passkey === "confirm") confirms(element);
  else if (element instanceof HTMLFormElement) makes(element);
}
