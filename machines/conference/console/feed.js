// The events of one conference: by WebSocket, resumed where it broke off; by long poll where none is to be had.

import { ApiError } from "./api.js";
import { Versions } from "./versions.js";

const GAP_MS = 700; // how long an early event waits for those before it
const RETRY_MS = 250;
const RETRY_MAX_MS = 5000;
const OPEN_MS = 5000; // a socket that opens later is as good as none
const FAILURES_MAX = 2; // sockets in a row that do not open; then it is polled
const SOCKET_AGAIN_MS = 60000;

export class Feed extends EventTarget {
  #api;
  #query;
  #versions;
  #socket = null;
  #stopped = new AbortController();
  #gap = 0;
  #broken = 0; // sockets that did not open, in a row

  // `version` is where the simple view stands; `event` is told each event in its order, `way` how they come.
  constructor(api, { conferenceId, userEndpointId, version }) {
    super();
    this.#api = api;
    this.#query = { conferenceId, userEndpointId };
    this.#versions = new Versions(version);
    this.way = "connecting";
    this.resumed = 0;
  }

  get version() {
    return this.#versions.version;
  }

  run() {
    this.#run().catch((error) => {
      if (!this.#stopped.signal.aborted) this.#tell("failed", error);
    });
  }

  stop() {
    this.#stopped.abort();
    clearTimeout(this.#gap);
    this.#socket?.close();
  }

  // Something is missing: ask anew from where we are.
  resume() {
    this.#socket?.close();
  }

  async #run() {
    while (!this.#stopped.signal.aborted) {
      if (this.#broken < FAILURES_MAX) {
        await this.#listen();
        this.#become("connecting");
        await pause(backoff(this.#broken), this.#stopped.signal);
      } else {
        await this.#poll(performance.now() + SOCKET_AGAIN_MS);
        this.#broken = FAILURES_MAX - 1;
      }
    }
  }

  // Until the socket is closed.
  async #listen() {
    const socket = (this.#socket = this.#api.openSocket({ ...this.#query, since: this.version }));
    const late = setTimeout(() => socket.close(), OPEN_MS);
    this.#broken += 1;
    await new Promise((closed) => {
      socket.onopen = () => {
        clearTimeout(late);
        this.#broken = 0;
        this.#become("socket");
      };
      socket.onmessage = ({ data }) => this.#hear(JSON.parse(data));
      socket.onclose = closed;
    });
    clearTimeout(late);
    this.resumed += 1;
  }

  async #poll(until) {
    const { conferenceId } = this.#query;
    const path = `/conferences/${encodeURIComponent(conferenceId)}/events?v=`;
    let failed = 0;
    while (!this.#stopped.signal.aborted && performance.now() < until) {
      try {
        const events = await this.#api.get(path + this.version, { signal: this.#stopped.signal });
        this.#become("poll");
        events.forEach((event) => this.#take(event));
        // It was the server that was away, and not its sockets alone.
        if (failed) return;
      } catch (error) {
        if (this.#stopped.signal.aborted) return;
        if (!(error instanceof ApiError && error.passes)) throw error;
        this.#become("connecting");
        failed += 1;
        await pause(backoff(failed), this.#stopped.signal);
      }
    }
  }

  #hear(message) {
    if (message.type === "following") return;
    if (message.type === "error") {
      // An event that was sent without a wish for acknowledgement cannot be acknowledged.
      if (message.error !== "delivery_not_found") {
        this.#tell("problem", new ApiError(400, message.error, message.error_description));
      }
      return;
    }
    this.#take(message);
  }

  #take(event) {
    for (const ready of this.#versions.take(event)) {
      this.#tell("event", ready);
    }
    if (event.conferenceVersion === undefined || event.conferenceVersion === null) {
      this.#acknowledge(event);
    }
    this.#watchGap();
  }

  #acknowledge(event) {
    if (event.type === "ConferenceCreatedEvent" || this.#socket?.readyState !== WebSocket.OPEN) return;
    const { conferenceId } = this.#query;
    this.#socket.send(JSON.stringify({ type: "acknowledge", conferenceId, eventId: event.id }));
  }

  #watchGap() {
    clearTimeout(this.#gap);
    if (this.#versions.hasGap) {
      this.#gap = setTimeout(() => this.resume(), GAP_MS);
    }
  }

  #become(way) {
    if (this.way !== way && !this.#stopped.signal.aborted) {
      this.way = way;
      this.#tell("way", way);
    }
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

function backoff(failures) {
  const longest = Math.min(RETRY_MS * 2 ** failures, RETRY_MAX_MS);
  return longest * (0.5 + Math.random() / 2);
}

// Resolves early when it is aborted.
export function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    const now = () => {
      clearTimeout(timer);
      resolve();
    };
    signal?.aborted ? now() : signal?.addEventListener("abort", now, { once: true });
  });
}
