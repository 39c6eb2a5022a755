// Peer connections that come back: one that publishes, one that views.

import { pause } from "./feed.js";

const RETRY_MS = 300;
const RETRY_MAX_MS = 4000;
const WATCH_MS = 500;
const SILENT_MS = 1500; // a router answers what is sent to it several times a second
const UNREPORTED_MS = 4000; // where a browser counts reports only, which come every one and a half seconds at least
const CONNECT_MS = 10000;
const STATS_MS = 1000;
const OUTER_CANDIDATE = /^a=candidate:(?:\S+ ){4}(?!127\.|::1 )/m;
const GONE = new Set(["conference_ended", "conference_not_found", "stream_not_found"]);

// What both have: an offer that is asked again until it is answered, and a watch on what came of it.
class Peer extends EventTarget {
  #stopped = new AbortController();
  #running = false;

  // `ask(path, body)` posts with the conference and the endpoint added.
  constructor({ ask, iceServers }) {
    super();
    this.ask = ask;
    this.iceServers = iceServers;
    this.pc = null;
    this.state = "opening";
    this.negotiations = 0;
    this.wasLive = false;
    this.reachesLoopbackOnly = false;
  }

  get stopped() {
    return this.#stopped.signal.aborted;
  }

  // Negotiate, and negotiate anew whenever the connection is lost. Calls while it does so are one.
  async open() {
    if (this.#running || this.stopped) return;
    this.#running = true;
    this.#become("opening");
    try {
      for (let failed = 0; !this.stopped && !(await this.#attempt()); failed += 1) {
        await pause(Math.min(RETRY_MS * 2 ** failed, RETRY_MAX_MS), this.#stopped.signal);
      }
    } finally {
      this.#running = false;
    }
    if (!this.stopped && (this.state === "connecting" || this.state === "live")) this.#watch(this.pc);
  }

  close() {
    this.#stopped.abort();
    this.pc?.close();
    this.#become("closed");
  }

  // Whether there is nothing more to try.
  async #attempt() {
    const pc = new RTCPeerConnection({ iceServers: this.iceServers, bundlePolicy: "max-bundle" });
    this.prepare(pc);
    const found = [];
    let told = null;
    pc.onicecandidate = ({ candidate }) => {
      found.push(candidate?.candidate ? candidate.toJSON() : { candidate: "" });
      if (told) this.#send(told, found);
    };
    try {
      await pc.setLocalDescription();
      this.askedAt = performance.now();
      const answered = await this.negotiate(pc.localDescription.sdp);
      if (this.stopped) throw await this.#stoppedMeanwhile();
      await pc.setRemoteDescription({ type: "answer", sdp: answered.sdpAnswer });
      this.reachesLoopbackOnly = !OUTER_CANDIDATE.test(answered.sdpAnswer);
      told = answered;
    } catch (error) {
      pc.close();
      return this.#refused(error);
    }
    this.pc?.close();
    this.pc = pc;
    this.negotiations += 1;
    if (found.length) this.#send(told, found);
    this.#become("connecting");
    return true;
  }

  // The server has begun what nobody wants any more.
  async #stoppedMeanwhile() {
    await this.withdraw().catch(() => {});
    return new Error("stopped meanwhile");
  }

  #send(told, found) {
    const iceCandidates = found.splice(0);
    // The answer has the router's candidates, so that most connections do not need ours.
    this.addCandidates(told, iceCandidates).catch(() => {});
  }

  #refused(error) {
    if (this.stopped) return true;
    if (this.isThere(error) && this.pc && !isOver(this.pc)) {
      this.#become("live");
      return true;
    }
    this.dispatchEvent(new CustomEvent("refused", { detail: error }));
    if (!GONE.has(error.reason) && !this.waits(error)) return false;
    this.pc?.close();
    this.#become(this.waits(error) ? "waiting" : "gone");
    return true;
  }

  async #watch(pc) {
    let heard = { count: -1, at: performance.now() };
    const began = performance.now();
    const isMine = () => this.pc === pc && !this.stopped && !this.#running;
    while (isMine()) {
      await pause(WATCH_MS, this.#stopped.signal);
      if (!isMine()) return;
      const { count, silentMs } = await heardBy(pc);
      const now = performance.now();
      if (count !== heard.count) heard = { count, at: now };
      if (pc.connectionState === "connected") {
        this.#become("live");
        if (this.expectsAnswers && now - heard.at > silentMs) return this.#lost("silent");
      } else if (pc.connectionState !== "connecting" && pc.connectionState !== "new") {
        return this.#lost(pc.connectionState);
      } else if (now - began > CONNECT_MS) {
        return this.#lost("not connected");
      }
    }
  }

  #lost(why) {
    this.dispatchEvent(new CustomEvent("lost", { detail: why }));
    this.open();
  }

  #become(state) {
    if (this.state !== state) {
      this.state = state;
      this.wasLive ||= state === "live";
      this.dispatchEvent(new CustomEvent("state", { detail: state }));
    }
  }
}

export class Publisher extends Peer {
  // `type` as the API has it, such as MIC_AND_CAM.
  constructor(common, { streamId, type, media, name }) {
    super(common);
    this.streamId = streamId;
    this.type = type;
    this.media = media;
    this.name = name;
    this.expectsAnswers = true;
  }

  prepare(pc) {
    for (const track of this.media.getTracks()) {
      pc.addTransceiver(track, { direction: "sendonly", streams: [this.media] });
    }
  }

  async negotiate(sdpOffer) {
    const metadata = { participantName: this.name };
    const body = { streamId: this.streamId, conferenceStreamType: this.type, sdpOffer, metadata };
    try {
      return await this.ask("/conferences/publishStream", body);
    } catch (error) {
      // The server still has the old connection, and the browser knows better.
      if (this.isThere(error) && this.pc && isOver(this.pc)) await this.withdraw();
      throw error;
    }
  }

  addCandidates({ streamId }, iceCandidates) {
    return this.ask("/conferences/addPublishStreamIceCandidates", { streamId, iceCandidates });
  }

  // The server sees and hears us: what looked lost was only silent.
  isThere(error) {
    return error.reason === "stream_exists";
  }

  waits() {
    return false;
  }

  withdraw() {
    return this.ask("/conferences/unpublishStream", { streamId: this.streamId });
  }

  close() {
    super.close();
    this.media.getTracks().forEach((track) => track.stop());
  }
}

export class Viewer extends Peer {
  constructor(common, { streamId }) {
    super(common);
    this.streamId = streamId;
    this.viewerId = newId();
    this.firstFrame = null; // milliseconds from the first request to the first picture
    this.expectsAnswers = false; // nothing comes while the publisher sends nothing
    this.media = new MediaStream();
  }

  prepare(pc) {
    pc.addTransceiver("audio", { direction: "recvonly" });
    pc.addTransceiver("video", { direction: "recvonly" });
    pc.ontrack = ({ track }) => {
      this.media.getTracks().filter(({ kind }) => kind === track.kind).forEach((old) => this.media.removeTrack(old));
      this.media.addTrack(track);
    };
  }

  negotiate(sdpOffer) {
    this.firstAskedAt ??= performance.now();
    const body = { streamId: this.streamId, viewerId: this.viewerId, sdpOffer };
    return this.ask("/conferences/viewStream", body);
  }

  addCandidates({ viewerId }, iceCandidates) {
    const body = { streamId: this.streamId, viewerId, iceCandidates };
    return this.ask("/conferences/addViewStreamIceCandidates", body);
  }

  isThere() {
    return false;
  }

  // Its publisher comes back, and ConferenceStreamPublishedEvent says when.
  waits(error) {
    return error.reason === "stream_not_ready";
  }

  noteFrame() {
    this.firstFrame ??= performance.now() - this.firstAskedAt;
  }

  withdraw() {
    return this.ask("/conferences/stopViewStream", { streamId: this.streamId, viewerId: this.viewerId });
  }
}

// Unlike `crypto.randomUUID`, this is there without HTTPS, where one can view at least.
export function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((one) => one.toString(16).padStart(2, "0")).join("");
}

function isOver(pc) {
  return pc.connectionState === "failed" || pc.connectionState === "closed";
}

// None when it takes too long: Firefox never answers for a connection that is closed meanwhile.
async function reportsOf(pc) {
  const stats = await Promise.race([pc.getStats(), pause(STATS_MS)]);
  return [...(stats?.values() ?? [])];
}

// What came by the connection, and for how long it may stay the same. Only Chromium counts the packets of ICE.
async function heardBy(pc) {
  const reports = await reportsOf(pc);
  const packets = reports.find(({ type }) => type === "transport")?.packetsReceived;
  if (packets !== undefined) return { count: packets, silentMs: SILENT_MS };
  const counts = reports.filter(({ type }) => type === "candidate-pair").map((pair) => pair.bytesReceived ?? 0);
  const count = counts.reduce((sum, one) => sum + one, 0);
  return { count, silentMs: count ? UNREPORTED_MS : Infinity };
}

// What a test or a person wants to know of a connection; no addresses.
export async function figuresOf(peer) {
  const { streamId, state, negotiations, firstFrame = null } = peer;
  const figures = { streamId, state, negotiations, firstFrame, connection: peer.pc?.connectionState ?? "none" };
  for (const report of peer.pc ? await reportsOf(peer.pc) : []) {
    const wanted = { "inbound-rtp": INBOUND, "outbound-rtp": OUTBOUND }[report.type] ?? [];
    for (const name of wanted) {
      if (name in report) figures[`${report.kind}.${name}`] = report[name];
    }
  }
  return figures;
}

const INBOUND = ["framesDecoded", "totalSamplesReceived", "packetsLost", "frameWidth", "freezeCount"];
const OUTBOUND = ["framesSent", "packetsSent", "frameWidth"];
