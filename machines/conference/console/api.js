// The requests of the conference API, and the token that they carry.

const TOKEN_PATH = "/security/oauth/token";
const ROOT = "/rtc-api";
const REFRESH_FRACTION = 0.8; // of a token's life, so that a request is never late
const RENEW_AGAIN_SECONDS = 5;
const TIMER_MAX = 2 ** 31 - 1; // milliseconds that a timer can count

export class ApiError extends Error {
  constructor(status, reason, detail = "") {
    super(detail || reason);
    this.status = status;
    this.reason = reason;
    this.detail = detail;
  }

  // Whether the same request may succeed in a moment.
  get passes() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

// Secrets stay in the closure of this class's private fields; nothing of them is stored.
export class Api {
  #token = "";
  #client = null; // with what was asked for at the sign-in
  #refresh = "";
  #renewing = null;
  #timer = 0;

  constructor() {
    this.user = "";
  }

  // A token for a client, and for another user when one is named.
  async signIn({ clientId, secret, userId }) {
    const wanted = userId ? { user_id: userId } : {};
    const client = { credentials: { client_id: clientId, client_secret: secret }, wanted };
    await this.#grant(client, { grant_type: "client_credentials", ...wanted });
    this.#client = client;
  }

  // A token that somebody else has asked for; it cannot be renewed from here.
  use(token) {
    this.#token = token;
    this.user = subjectOf(token);
  }

  forget() {
    clearTimeout(this.#timer);
    this.#token = this.#refresh = this.user = "";
    this.#client = null;
  }

  async #grant(client, parameters) {
    const body = new URLSearchParams({ ...parameters, ...client.credentials });
    const told = await answerOf(fetch(TOKEN_PATH, { method: "POST", body }));
    this.#token = told.access_token;
    this.#refresh = told.refresh_token;
    this.user = told.sub;
    this.#renewAfter(told.expires_in * REFRESH_FRACTION);
  }

  #renewAfter(seconds) {
    clearTimeout(this.#timer);
    const wait = Math.min(1000 * seconds, TIMER_MAX);
    this.#timer = setTimeout(() => {
      this.#renew().catch((error) => {
        // A refused one stays refused; the requests will say so.
        if (error.passes) this.#renewAfter(RENEW_AGAIN_SECONDS);
      });
    }, wait);
  }

  // One at a time: requests that need it together share it.
  #renew() {
    this.#renewing ??= this.#grantAnew().finally(() => (this.#renewing = null));
    return this.#renewing;
  }

  async #grantAnew() {
    const client = this.#client;
    try {
      await this.#grant(client, { grant_type: "refresh_token", refresh_token: this.#refresh });
    } catch (error) {
      // A server that was started anew knows no old token.
      if (error.reason !== "invalid_grant") throw error;
      await this.#grant(client, { grant_type: "client_credentials", ...client.wanted });
    }
  }

  // A computer that was asleep wakes with an old token.
  async #ask(path, request) {
    const sent = () => answerOf(fetch(`${ROOT}${path}`, { ...request, headers: this.#headers }));
    try {
      return await sent();
    } catch (error) {
      if (error.status !== 401 || !this.#client) throw error;
      await this.#renew();
      return sent();
    }
  }

  get #headers() {
    return { authorization: `Bearer ${this.#token}`, "content-type": "application/json" };
  }

  get(path, { signal } = {}) {
    return this.#ask(path, { signal });
  }

  post(path, body, { signal } = {}) {
    return this.#ask(path, { method: "POST", body: JSON.stringify(body), signal });
  }

  // Sent even though the page is going away; nobody hears the answer.
  postLast(path, body) {
    const request = { method: "POST", headers: this.#headers, body: JSON.stringify(body), keepalive: true };
    fetch(`${ROOT}${path}`, request).catch(() => {});
  }

  // Browsers cannot give a WebSocket a header.
  openSocket(query) {
    const url = new URL(`${ROOT}/events`, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    url.search = new URLSearchParams({ ...query, access_token: this.#token });
    return new WebSocket(url);
  }
}

async function answerOf(asked) {
  let response;
  try {
    response = await asked;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable");
  }
  const text = await response.text().catch(() => "");
  const told = parsed(text);
  if (!response.ok) {
    throw new ApiError(response.status, told?.error ?? `status_${response.status}`, told?.error_description);
  }
  return told;
}

function parsed(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}

// What the token says of itself; only the server can say whether it is true.
function subjectOf(token) {
  try {
    const [, payload] = token.split(".");
    const bytes = atob(payload.replaceAll("-", "+").replaceAll("_", "/"));
    const text = new TextDecoder().decode(Uint8Array.from(bytes, (one) => one.charCodeAt(0)));
    return String(JSON.parse(text).sub ?? "");
  } catch {
    throw new ApiError(400, "invalid_token");
  }
}
