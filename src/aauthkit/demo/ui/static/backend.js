// The backend's API, and every way it can fail as one kind of error. Knows nothing about the page.

// kind: "unreachable" (no answer), "signed-out" (401), "missing" (404), "busy" (429 or 503), "refused" (anything else).
export class BackendError extends Error {
  constructor(kind, message, retryAfter = 0) {
    super(message);
    this.kind = kind;
    this.retryAfter = retryAfter;
  }
}

const KINDS = { 401: "signed-out", 404: "missing", 429: "busy", 503: "busy" };
// The backend answers progress at once; one that is silent this long is not there.
const PATIENCE_MS = 15_000;

export class Backend {
  constructor(origin, signIn) {
    this.origin = origin;
    this.signIn = signIn;
  }

  start(request) {
    return this.#call("/optimization/start", { method: "POST", body: JSON.stringify(request) });
  }

  // Ends a run that goes on; "refused" when it had ended before.
  cancel(id) {
    return this.#call(`/optimization/cancel/${encodeURIComponent(id)}`, { method: "POST" });
  }

  progress(id) {
    return this.#call(`/optimization/progress/${encodeURIComponent(id)}`);
  }

  results(id) {
    return this.#call(`/optimization/results/${encodeURIComponent(id)}`);
  }

  // The exchanges of one of the person's runs, as far as they are known.
  trace(id) {
    return this.#call(`/optimization/trace/${encodeURIComponent(id)}`);
  }

  // Has a request sent that must be refused; tells which check refused it.
  attempt(kind) {
    return this.#call("/protocol/attempts", { method: "POST", body: JSON.stringify({ kind }) });
  }

  all() {
    return this.#call("/optimization/all");
  }

  async #call(path, options = {}) {
    const answer = await this.#send(path, options, await this.signIn.accessToken());
    if (answer.status !== 401) return this.#read(answer);
    // The token may have been ended early; one renewal tells.
    return this.#read(await this.#send(path, options, await this.signIn.accessToken({ renew: true })));
  }

  async #send(path, options, token) {
    if (!token) throw new BackendError("signed-out", "Your sign-in has ended. Sign in again to go on.");
    const headers = { Authorization: `Bearer ${token}`, ...(options.body ? { "Content-Type": "application/json" } : {}) };
    try {
      const signal = AbortSignal.timeout(PATIENCE_MS);
      return await fetch(this.origin + path, { ...options, headers, signal, credentials: "omit", cache: "no-store" });
    } catch {
      throw new BackendError("unreachable", "The backend cannot be reached.");
    }
  }

  async #read(answer) {
    const body = await answer.json().catch(() => ({}));
    if (answer.ok) return body;
    if (answer.status === 401) this.signIn.forget();
    const message = typeof body.error_description === "string" ? body.error_description : `The backend answered ${answer.status}.`;
    throw new BackendError(KINDS[answer.status] ?? "refused", message, Number(answer.headers.get("Retry-After")) || 0);
  }
}
