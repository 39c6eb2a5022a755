// The page: its forms and buttons, and what is shown of the conference that one is in.

import { Api } from "./api.js";
import { Conference } from "./conference.js";
import { figuresOf } from "./peer.js";
import { addToTimeline, showPeople, Tiles, titleOf } from "./tiles.js";
import { inWords } from "./words.js";

const CAMERA = { audio: true, video: { width: { ideal: 640 }, height: { ideal: 360 }, frameRate: { ideal: 25 } } };
const TROUBLE_MS = 8000;
const EVENTS_KEPT = 500;
const WAYS = { connecting: "Connecting", socket: "Connected", poll: "Connected by polling" };

const api = new Api();
const by = (id) => document.getElementById(id);
const tiles = new Tiles(by("tiles"));
let conference = null;
let told = []; // events, for whoever looks from outside
let trouble = 0;

// -- saying

function say(text, kind = "trouble") {
  const box = by("message");
  box.textContent = text;
  box.dataset.kind = kind;
  box.hidden = !text;
  clearTimeout(trouble);
  if (text && kind === "trouble" && conference) trouble = setTimeout(() => say(""), TROUBLE_MS);
}

// Runs what a person asked for; the button rests meanwhile, and what goes wrong is said.
async function perform(button, task) {
  button.disabled = true;
  say("");
  try {
    await task();
  } catch (error) {
    console.warn(error);
    say(inWords(error));
  } finally {
    button.disabled = false;
    show();
  }
}

function onSubmit(form, task) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    perform(form.querySelector("[type=submit]"), () => task(new FormData(form)));
  });
}

function onClick(id, task) {
  by(id).addEventListener("click", () => perform(by(id), task));
}

// -- showing

function stage() {
  if (conference) return "inside";
  return api.user ? "outside" : "stranger";
}

function show() {
  const now = stage();
  document.body.dataset.stage = now;
  by("stranger").hidden = now !== "stranger";
  by("enter").hidden = now !== "outside";
  by("inside").hidden = now !== "inside";
  by("sign-out").hidden = now !== "outside";
  by("person").textContent = api.user ? `Signed in as ${api.user}` : "";
  if (conference) showInside();
}

function showInside() {
  const { feed, room } = conference;
  by("conference-name").textContent = conference.id;
  by("way").textContent = WAYS[feed?.way] ?? "Connecting";
  by("way").dataset.way = feed?.way ?? "connecting";
  by("version").textContent = feed ? `version ${feed.version}` : "";
  const own = [...conference.publishers.values()].map(ownTile);
  const others = [...conference.viewers.values()].map(otherTile);
  tiles.show([...others, ...own]);
  by("nobody").hidden = others.length > 0;
  showPeople(by("people"), room, conference.endpointId);
  showButtons();
}

function ownTile(publisher) {
  const muted = { audio: isMuted(publisher, "audio"), video: isMuted(publisher, "video") };
  const { state, media, streamId } = publisher;
  return { key: streamId, media, title: titleOf("You", publisher.type), state, own: true, muted };
}

function otherTile(viewer) {
  const { room } = conference;
  const { streamId, viewerId, state, media } = viewer;
  const { endpoint, type } = room.streams.get(streamId) ?? {};
  const muted = { audio: room.isMuted("audio", streamId), video: room.isMuted("video", streamId) };
  const sick = room.endpoints.get(endpoint)?.health === "SICK";
  return {
    key: viewerId,
    media,
    title: titleOf(room.nameOf(endpoint), type),
    state: sick ? "not heard of" : state,
    own: false,
    muted,
    onFrame: () => viewer.noteFrame(),
  };
}

function showButtons() {
  const camera = published("MIC_AND_CAM", "CAM", "MIC");
  press("camera", camera, "Stop camera", "Start camera");
  press("screen", published("SCREEN"), "Stop sharing", "Share screen");
  for (const [id, kind, name] of [["mute-audio", "audio", "microphone"], ["mute-video", "video", "picture"]]) {
    const track = camera?.media.getTracks().find((one) => one.kind === kind);
    by(id).hidden = !track;
    press(id, track && !track.enabled, `Unmute ${name}`, `Mute ${name}`);
  }
}

function press(id, pressed, whenPressed, otherwise) {
  by(id).dataset.on = String(Boolean(pressed));
  by(id).textContent = pressed ? whenPressed : otherwise;
}

// -- conference

function published(...types) {
  return [...(conference?.publishers.values() ?? [])].find(({ type }) => types.includes(type));
}

function isMuted(publisher, kind) {
  const tracks = publisher.media.getTracks().filter((track) => track.kind === kind);
  return tracks.length > 0 && tracks.every((track) => !track.enabled);
}

async function enter(form) {
  const conferenceId = form.get("conference").trim();
  const one = new Conference(api, {
    conferenceId,
    name: form.get("name").trim() || api.user,
    keepAliveSeconds: Number(form.get("keep-alive")),
  });
  told = [];
  by("timeline").replaceChildren();
  one.addEventListener("event", ({ detail }) => hear(detail));
  one.addEventListener("change", () => conference === one && show());
  one.addEventListener("trouble", ({ detail }) => say(inWords(detail)));
  one.addEventListener("over", ({ detail }) => over(one, detail));
  await one.enter();
  conference = one;
  history.replaceState(null, "", `#${encodeURIComponent(conferenceId)}`);
  show();
  by("conference-name").focus();
}

function hear({ event, name }) {
  told = [...told.slice(1 - EVENTS_KEPT), event];
  addToTimeline(by("timeline"), event, name);
}

function over(one, why) {
  if (conference !== one) return;
  tiles.show([]);
  conference = null;
  show();
  say(why, "note");
  by("enter").querySelector("[name=conference]").focus();
}

function devices() {
  if (!navigator.mediaDevices) throw new Error("The browser gives camera and microphone only to pages with HTTPS.");
  return navigator.mediaDevices;
}

async function toggleCamera() {
  const running = published("MIC_AND_CAM", "CAM", "MIC");
  if (running) return conference.unpublish(running.streamId);
  const media = await devices().getUserMedia(CAMERA);
  publish("MIC_AND_CAM", media);
}

async function toggleScreen() {
  const running = published("SCREEN");
  if (running) return conference.unpublish(running.streamId);
  const media = await devices().getDisplayMedia({ video: true, audio: true });
  const publisher = publish("SCREEN", media);
  // The browser has a button of its own to stop sharing.
  media.getVideoTracks()[0].addEventListener("ended", () => conference?.unpublish(publisher?.streamId));
}

function publish(type, media) {
  // It may be over while the browser asks for the permission.
  if (conference) return conference.publish(type, media);
  media.getTracks().forEach((track) => track.stop());
}

async function toggleMute(kind) {
  const publisher = published("MIC_AND_CAM", "CAM", "MIC");
  if (publisher) await conference.mute(kind, publisher.streamId, !isMuted(publisher, kind));
}

// -- the beginning

function welcome() {
  by("sign-in").reset();
  by("use-token").reset();
  show();
  by("enter").querySelector("[name=conference]").focus();
}

onSubmit(by("sign-in"), async (form) => {
  const clientId = form.get("client").trim();
  await api.signIn({ clientId, secret: form.get("secret"), userId: form.get("user").trim() });
  welcome();
});
onSubmit(by("use-token"), async (form) => {
  api.use(form.get("token").trim());
  welcome();
});
onSubmit(by("enter"), enter);
onClick("sign-out", () => api.forget());
onClick("camera", toggleCamera);
onClick("screen", toggleScreen);
onClick("mute-audio", () => toggleMute("audio"));
onClick("mute-video", () => toggleMute("video"));
onClick("leave", () => conference.leave());
onClick("end", () => conference.end());
window.addEventListener("pagehide", () => conference?.leaveAtOnce());
// A page that the browser had kept has left long ago.
window.addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
window.addEventListener("online", () => conference?.feed?.resume());

by("enter").querySelector("[name=conference]").value = decodeURIComponent(location.hash.slice(1));
show();

// What tests look at; there is no secret in it.
window.conference = {
  state() {
    const { room, feed, endpointId } = conference ?? {};
    return {
      stage: stage(),
      endpointId: endpointId ?? "",
      way: feed?.way ?? "",
      version: feed?.version ?? 0,
      resumed: feed?.resumed ?? 0,
      people: [...(room?.endpoints.values() ?? [])].map((one) => ({ ...one })),
      streams: [...(room?.streams.values() ?? [])].map((one) => ({ ...one })),
      muted: [...(room?.muted ?? [])],
      message: by("message").textContent,
    };
  },
  events: () => told,
  async stats() {
    const figures = (peers) => Promise.all([...(peers?.values() ?? [])].map(figuresOf));
    const published = await figures(conference?.publishers);
    return { published, viewed: await figures(conference?.viewers) };
  },
};
