// Signs the person in: OpenID Connect authorization code with PKCE. Tokens live in this tab's session storage and nowhere else.

const REQUEST = "sign-in.request";
const SESSION = "sign-in.session";
// A token that ends while a request is on its way is as good as ended.
const MARGIN_SECONDS = 30;

// What the person is told when signing in did not work.
export class SignInProblem extends Error {}

export class SignIn {
  constructor({ issuer, client_id: clientId }) {
    this.issuer = issuer;
    this.clientId = clientId;
    this.redirectUri = `${location.origin}/callback`;
  }

  get session() {
    try {
      return JSON.parse(sessionStorage.getItem(SESSION) ?? "null");
    } catch {
      return null;
    }
  }

  get personName() {
    return this.session?.name ?? "";
  }

  // Leaves the page; comes back to /callback. `returnTo` is the fragment to restore, so a run in progress is found again.
  // `quietly` asks only whether the person is signed in there already, and shows no form.
  async begin(returnTo, { quietly = false } = {}) {
    const metadata = await this.#metadata();
    const request = { state: random(), nonce: random(), verifier: random(), returnTo };
    sessionStorage.setItem(REQUEST, JSON.stringify(request));
    const parameters = new URLSearchParams({
      response_type: "code",
      client_id: this.clientId,
      redirect_uri: this.redirectUri,
      scope: "openid profile email",
      state: request.state,
      nonce: request.nonce,
      code_challenge: await challenge(request.verifier),
      code_challenge_method: "S256",
      ...(quietly ? { prompt: "none" } : {}),
    });
    location.assign(`${metadata.authorization_endpoint}?${parameters}`);
  }

  // Reads the answer in the address; returns the fragment to restore. Not being signed in is an answer, not a problem.
  async complete(parameters) {
    const request = JSON.parse(sessionStorage.getItem(REQUEST) ?? "null");
    sessionStorage.removeItem(REQUEST);
    if (!request || parameters.get("state") !== request.state) {
      throw new SignInProblem("This sign-in was not started here. Please sign in again.");
    }
    // RFC 9207: an answer of another issuer is not ours to use.
    if (parameters.has("iss") && parameters.get("iss") !== this.issuer) {
      throw new SignInProblem("Another identity provider answered. Please sign in again.");
    }
    if (parameters.get("error") === "login_required") return request.returnTo ?? "";
    if (parameters.has("error")) throw new SignInProblem(refusal(parameters.get("error")));
    const tokens = await this.#token({
      grant_type: "authorization_code",
      code: parameters.get("code") ?? "",
      redirect_uri: this.redirectUri,
      code_verifier: request.verifier,
    });
    this.#checkIdToken(tokens.id_token, request.nonce);
    this.#keep(tokens);
    return request.returnTo ?? "";
  }

  // A token that is good for the next request, renewed when there is a way; null when the person has to sign in again.
  async accessToken({ renew = false } = {}) {
    const session = this.session;
    if (!session) return null;
    if (!renew && session.expiresAt - MARGIN_SECONDS > now()) return session.accessToken;
    // One renewal at a time: a refresh token is good once.
    this.renewing ??= this.#renew(session).finally(() => { this.renewing = null; });
    return this.renewing;
  }

  forget() {
    sessionStorage.removeItem(SESSION);
  }

  async signOut() {
    const idToken = this.session?.idToken;
    this.forget();
    const metadata = await this.#metadata();
    const parameters = new URLSearchParams({ client_id: this.clientId, post_logout_redirect_uri: `${location.origin}/` });
    if (idToken) parameters.set("id_token_hint", idToken);
    location.assign(`${metadata.end_session_endpoint}?${parameters}`);
  }

  async #renew(session) {
    if (!session.refreshToken) {
      this.forget();
      return null;
    }
    try {
      this.#keep(await this.#token({ grant_type: "refresh_token", refresh_token: session.refreshToken }), session);
      return this.session.accessToken;
    } catch (error) {
      // Only a refusal ends the session; an identity provider that is away for a moment does not.
      if (error.refused) this.forget();
      return error.refused ? null : session.accessToken;
    }
  }

  async #metadata() {
    this.metadata ??= await fetched(`${this.issuer}/.well-known/openid-configuration`);
    if (this.metadata.issuer !== this.issuer) {
      throw new SignInProblem("The identity provider names another issuer than this page was set up with.");
    }
    return this.metadata;
  }

  async #token(parameters) {
    const { token_endpoint: endpoint } = await this.#metadata();
    return fetched(endpoint, { method: "POST", body: new URLSearchParams({ client_id: this.clientId, ...parameters }) });
  }

  // OpenID Connect Core §3.1.3.7. It came straight from the token endpoint, so its signature adds nothing (step 6).
  #checkIdToken(idToken, nonce) {
    const claims = claimsOf(idToken);
    const audience = [claims.aud].flat();
    const good = claims.iss === this.issuer && audience.includes(this.clientId) && claims.nonce === nonce && claims.exp > now();
    if (!good) throw new SignInProblem("The identity provider's answer does not belong to this sign-in. Please try again.");
  }

  #keep(tokens, before = {}) {
    const idToken = tokens.id_token ?? before.idToken;
    const claims = claimsOf(idToken);
    sessionStorage.setItem(SESSION, JSON.stringify({
      accessToken: tokens.access_token,
      refreshToken: tokens.refresh_token ?? before.refreshToken,
      idToken,
      expiresAt: now() + (tokens.expires_in ?? 300),
      name: claims.name ?? claims.preferred_username ?? "",
    }));
  }
}

async function fetched(url, options = {}) {
  let answer;
  try {
    answer = await fetch(url, { ...options, credentials: "omit", cache: "no-store", redirect: "error" });
  } catch {
    throw new SignInProblem("The identity provider cannot be reached. Try again in a moment.");
  }
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  const problem = new SignInProblem(body.error_description ?? "The identity provider refused. Please sign in again.");
  problem.refused = answer.status === 400 || answer.status === 401;
  throw problem;
}

function refusal(code) {
  return code === "access_denied"
    ? "You did not sign in, so nothing was started."
    : "The identity provider could not sign you in. Please try again.";
}

function claimsOf(token) {
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(payload), (c) => c.charCodeAt(0))));
  } catch {
    return {};
  }
}

const now = () => Math.floor(Date.now() / 1000);
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));
const base64url = (bytes) =>
  btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

async function challenge(verifier) {
  return base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))));
}
