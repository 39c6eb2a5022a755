// One person's stay in one conference: the endpoint, the room, what is published and what is viewed.

import { ApiError } from "./api.js";
import { Feed, pause } from "./feed.js";
import { newId, Publisher, Viewer } from "./peer.js";
import { Room } from "./room.js";

const KEEP_ALIVE_FRACTION = 0.5; // so that one lost request is not yet a missed keepalive
const REFRESH_MS = 2000; // how often the health of the others is read
const REPUBLISH_MS = 1000; // how long a stream may be unpublished before it is published again
const RETRY_MS = 1000;
const FORGOTTEN = new Set(["user_endpoint_not_found", "not_joined"]);

export class Conference extends EventTarget {
  #api;
  #stopped = new AbortController();
  #recovering = false;
  #leaving = false;

  constructor(api, { conferenceId, name, keepAliveSeconds }) {
    super();
    this.#api = api;
    this.id = conferenceId;
    this.name = name;
    this.keepAliveSeconds = keepAliveSeconds;
    this.endpointId = "";
    this.feed = null;
    this.room = new Room({ participants: [], metadata: {} });
    this.publishers = new Map(); // by stream
    this.viewers = new Map(); // by stream
    this.iceServers = [];
  }

  get #ids() {
    return { conferenceId: this.id, userEndpointId: this.endpointId };
  }

  // -- coming and going

  // Register, join (create what is not there), and see what there is.
  async enter() {
    const { iceServers } = await this.#api.get("/iceServers");
    this.iceServers = iceServers.map(withoutNulls);
    await this.#register();
    await this.#join();
    await this.#look();
    this.#keepAlive();
    this.#refresh();
  }

  async leave() {
    this.#leaving = true;
    await this.#api.post("/conferences/leave", { ...this.#ids, reason: "" }).catch(unlessForgotten);
    await this.#api
      .post("/users/endpoints/unregister", { userEndpointId: this.endpointId, reason: "" })
      .catch(unlessForgotten);
    this.#stop("You have left.");
  }

  async end() {
    await this.#api.post("/conferences/end", { ...this.#ids, reason: "ended by its creator" });
  }

  // The page goes away: say so, and wait for nothing.
  leaveAtOnce() {
    this.#leaving = true;
    this.#api.postLast("/conferences/leave", { ...this.#ids, reason: "the page was closed" });
    const body = { userEndpointId: this.endpointId, reason: "the page was closed" };
    this.#api.postLast("/users/endpoints/unregister", body);
    this.#stop("");
  }

  #stop(why) {
    if (this.#stopped.signal.aborted) return;
    this.#stopped.abort();
    this.feed?.stop();
    this.viewers.forEach((viewer) => viewer.close());
    this.publishers.forEach((publisher) => publisher.close());
    this.#tell("over", why);
  }

  async #register() {
    const wanted = this.endpointId ? { userEndpointId: this.endpointId } : {};
    const body = { keepAliveSeconds: this.keepAliveSeconds, ...wanted };
    this.endpointId = (await this.#api.post("/users/endpoints/register", body)).id;
  }

  async #join() {
    const body = { ...this.#ids, metadata: { name: this.name } };
    try {
      await this.#api.post("/conferences/join", body);
    } catch (error) {
      if (error.reason === "already_joined") return;
      if (error.reason !== "conference_not_found") throw error;
      await this.#create();
      await this.#api.post("/conferences/join", body);
    }
  }

  async #create() {
    const body = { conferenceId: this.id, creatorEndpoint: this.endpointId, mode: "ROUTER" };
    // Somebody else may have been quicker.
    await this.#api.post("/conferences/create", body).catch((error) => {
      if (error.reason !== "conference_exists") throw error;
    });
  }

  // The room as it is now, and from there on its events.
  async #look() {
    const view = await this.#view();
    this.feed?.stop();
    this.room = new Room(view);
    this.feed = new Feed(this.#api, { ...this.#ids, version: view.version });
    this.feed.addEventListener("event", ({ detail }) => this.#hear(detail));
    this.feed.addEventListener("way", () => this.#tell("change"));
    this.feed.addEventListener("problem", ({ detail }) => this.#tell("trouble", detail));
    this.feed.addEventListener("failed", ({ detail }) => this.#tell("trouble", detail));
    this.feed.run();
    this.#seeOthers();
    this.#tell("change");
  }

  #view() {
    return this.#api.get(`/conferences/${encodeURIComponent(this.id)}/simpleView`, {
      signal: this.#stopped.signal,
    });
  }

  async #keepAlive() {
    const body = { userEndpointId: this.endpointId };
    for (;;) {
      await pause(1000 * this.keepAliveSeconds * KEEP_ALIVE_FRACTION, this.#stopped.signal);
      if (this.#stopped.signal.aborted) return;
      await this.#api.post("/users/endpoints/keepalive", body).catch((error) => this.#excuse(error));
    }
  }

  // Nobody announces health. The version tells besides whether events are missing.
  async #refresh() {
    let before = -1;
    for (;;) {
      await pause(REFRESH_MS, this.#stopped.signal);
      if (this.#stopped.signal.aborted) return;
      try {
        const view = await this.#view();
        this.room.refresh(view);
        if (this.feed.way === "socket" && before > this.feed.version) this.feed.resume();
        before = view.version;
        this.#tell("change");
      } catch (error) {
        if (!this.#stopped.signal.aborted) this.#excuse(error);
      }
    }
  }

  // The server knows us no more, because it did not hear us for too long: come back.
  async #recover() {
    if (this.#recovering || this.#leaving || this.#stopped.signal.aborted) return;
    this.#recovering = true;
    try {
      while (!this.#stopped.signal.aborted) {
        try {
          await this.#register();
          await this.#join();
          await this.#look();
          this.publishers.forEach((publisher) => publisher.open());
          return;
        } catch (error) {
          this.#tell("trouble", error);
          if (error.reason === "conference_ended") return this.#stop("The conference has ended.");
          await pause(RETRY_MS, this.#stopped.signal);
        }
      }
    } finally {
      this.#recovering = false;
    }
  }

  #excuse(error) {
    if (this.#leaving) return;
    if (FORGOTTEN.has(error.reason)) {
      this.#recover();
    } else if (error.reason === "conference_ended") {
      this.#stop("The conference has ended.");
    } else {
      this.#tell("trouble", error);
    }
  }

  // -- events

  #hear(event) {
    // Who leaves is not in the room afterwards, who joins was not before.
    const before = this.room.nameOf(event.userEndpointId);
    this.room.apply(event);
    const name = this.room.nameOf(event.userEndpointId) || before || event.userId || "";
    this.#tell("event", { event, name });
    if (event.type === "ConferenceEndedEvent") {
      this.#stop(event.reason ? `The conference has ended: ${event.reason}.` : "The conference has ended.");
    } else if (event.userEndpointId === this.endpointId) {
      this.#hearOwn(event);
    } else {
      this.#hearOther(event);
    }
    this.#tell("change");
  }

  // Own events are not acted on, save those that end what should go on.
  #hearOwn(event) {
    if (event.type === "ConferenceLeftEvent") {
      this.#recover();
    } else if (event.type === "ConferenceStreamUnpublishedEvent") {
      setTimeout(() => this.#publishAgain(event.streamId), REPUBLISH_MS);
    }
  }

  #publishAgain(streamId) {
    if (!this.room.streams.has(streamId)) this.publishers.get(streamId)?.open();
  }

  #hearOther(event) {
    if (event.type === "ConferenceStreamPublishedEvent") {
      this.#unsee(event.streamId);
      this.#see(event.streamId);
    } else {
      // A stream that is unpublished, or all of somebody who has left.
      [...this.viewers.keys()].filter((id) => !this.room.streams.has(id)).forEach((id) => this.#unsee(id));
    }
  }

  // -- viewing

  #seeOthers() {
    [...this.viewers.keys()].forEach((id) => this.#unsee(id));
    for (const { id, endpoint } of this.room.streams.values()) {
      if (endpoint !== this.endpointId) this.#see(id);
    }
  }

  #see(streamId) {
    const viewer = new Viewer(this.#common, { streamId });
    this.viewers.set(streamId, viewer);
    this.#follow(viewer);
  }

  #unsee(streamId) {
    this.viewers.get(streamId)?.close();
    this.viewers.delete(streamId);
  }

  // -- publishing

  publish(type, media) {
    const streamId = newId();
    const publisher = new Publisher(this.#common, { streamId, type, media, name: this.name });
    this.publishers.set(streamId, publisher);
    this.#follow(publisher);
    return publisher;
  }

  async unpublish(streamId) {
    const publisher = this.publishers.get(streamId);
    if (!publisher) return;
    this.publishers.delete(streamId);
    publisher.close();
    this.#tell("change");
    await publisher.withdraw().catch((error) => {
      if (error.reason !== "stream_not_found") throw error;
    });
    const muted = ["audio", "video"].filter((kind) => this.room.isMuted(kind, streamId));
    await Promise.all(muted.map((kind) => this.#tellMuted(kind, streamId, false)));
  }

  async mute(kind, streamId, muted) {
    const publisher = this.publishers.get(streamId);
    const tracks = publisher?.media.getTracks().filter((track) => track.kind === kind) ?? [];
    tracks.forEach((track) => (track.enabled = !muted));
    this.#tell("change");
    await this.#tellMuted(kind, streamId, muted);
  }

  #tellMuted(kind, streamId, muted) {
    const change = muted ? { operation: "SET", value: "true" } : { operation: "REMOVE" };
    const body = { ...this.#ids, key: `TRACK_MUTED/${kind}/${streamId}`, ...change };
    return this.#api.post("/conferences/updateMetadata", body);
  }

  get #common() {
    const ask = (path, body) => this.#api.post(path, { ...this.#ids, ...body });
    return { ask, iceServers: this.iceServers };
  }

  #follow(peer) {
    peer.addEventListener("state", () => this.#tell("change"));
    peer.addEventListener("refused", ({ detail }) => {
      if (detail instanceof ApiError && FORGOTTEN.has(detail.reason)) this.#recover();
      else if (!peer.waits(detail)) this.#tell("trouble", detail);
    });
    peer.addEventListener("lost", () => {
      if (peer.wasLive) return;
      this.#tell("trouble", { reason: peer.reachesLoopbackOnly ? "media_on_loopback" : "media_unreachable" });
    });
    peer.open();
    this.#tell("change");
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

function unlessForgotten(error) {
  if (!FORGOTTEN.has(error.reason) && error.reason !== "conference_ended") throw error;
}

// RTCPeerConnection wants a missing credential to be missing.
function withoutNulls(server) {
  return Object.fromEntries(Object.entries(server).filter(([, value]) => value !== null));
}
