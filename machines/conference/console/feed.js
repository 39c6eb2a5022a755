// The events of one conference: by WebSocket, resumed where it broke off; by long poll where none is to be had.

import { ApiError } from "./api.js";
import { Versions } from "./versions.js";

const GAP_MS = 700; // how long an early event waits for those before it
const RETRY_MS = 250;
const RETRY_MAX_MS = 5000;
const OPEN_MS = 5000; // a socket that opens later is as good as none
const FAILURES_MAX = 2; // sockets in a row that do not open; then it is polled
const SOCKET_AGAIN_MS = 1000; // of polling, before a socket is tried beside it; twice as long after each in vain
const SOCKET_AGAIN_MAX_MS = 60000;

export class Feed extends EventTarget {
  #api;
  #query;
  #versions;
  #socket = null;
  #stopped = new AbortController();
  #gap = 0;
  #broken = 0; // sockets that did not open, in a row
  #back = new AbortController(); // aborted when a server that was away is there again

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
      if (this.#stopped.signal.aborted) return;
      this.stop();
      this.#tell("failed", error);
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
      await (this.#broken < FAILURES_MAX ? this.#listen() : this.#pollUntilHeard());
      this.#become("connecting");
      await pause(backoff(this.#broken), this.#stopped.signal);
    }
  }

  // Until the socket is closed.
  async #listen(opened = () => {}) {
    const socket = (this.#socket = this.#api.openSocket({ ...this.#query, since: this.version }));
    const late = setTimeout(() => socket.close(), OPEN_MS);
    this.#broken += 1;
    await new Promise((closed) => {
      socket.onopen = () => {
        clearTimeout(late);
        this.#broken = 0;
        opened();
        this.#become("socket");
      };
      socket.onmessage = ({ data }) => this.#hear(JSON.parse(data));
      socket.onclose = closed;
    });
    clearTimeout(late);
    this.resumed += 1;
  }

  // Sockets are tried beside it, so that no event waits for one. Until one has opened, and is closed again.
  async #pollUntilHeard() {
    const heard = new AbortController();
    const over = AbortSignal.any([heard.signal, this.#stopped.signal]);
    await Promise.all([this.#poll(over), this.#trySockets(() => heard.abort())]);
  }

  async #trySockets(opened) {
    let wait = SOCKET_AGAIN_MS;
    while (this.#broken && !this.#stopped.signal.aborted) {
      await pause(wait, AbortSignal.any([this.#back.signal, this.#stopped.signal]));
      if (this.#stopped.signal.aborted) return;
      wait = this.#back.signal.aborted ? SOCKET_AGAIN_MS : Math.min(2 * wait, SOCKET_AGAIN_MAX_MS);
      this.#back = new AbortController();
      await this.#listen(opened);
    }
  }

  async #poll(over) {
    const { conferenceId } = this.#query;
    const path = `/conferences/${encodeURIComponent(conferenceId)}/events?v=`;
    let failed = 0;
    while (!over.aborted) {
      try {
        const events = await this.#api.get(path + this.version, { signal: over });
        events.forEach((event) => this.#take(event));
        if (over.aborted) return;
        this.#become("poll");
        // It was the server that was away, and not its sockets alone.
        if (failed) this.#back.abort();
        failed = 0;
      } catch (error) {
        if (over.aborted) return;
        if (!(error instanceof ApiError && error.passes)) throw error;
        this.#become("connecting");
        failed += 1;
        await pause(backoff(failed), over);
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
