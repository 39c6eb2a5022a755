// What is seen of a conference: pictures, people, and the timeline. Builds elements only; never HTML from text.

const TIMELINE_MAX = 200;
const KINDS = { MIC: "Microphone", CAM: "Camera", SCREEN: "Screen", MIC_AND_CAM: "Camera and microphone" };
const STATES = {
  opening: "connecting",
  connecting: "connecting",
  live: "live",
  waiting: "reconnecting",
  gone: "gone",
  closed: "closed",
};

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== false) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

// One tile for each stream, kept while the stream is the same, so that pictures do not flicker.
export class Tiles {
  #tiles = new Map();

  constructor(grid) {
    this.grid = grid;
  }

  // `shown`: { key, media, title, state, own, muted: { audio, video }, onFrame }
  show(shown) {
    const keys = new Set(shown.map(({ key }) => key));
    for (const [key, tile] of this.#tiles) {
      if (!keys.has(key)) this.#remove(key, tile);
    }
    for (const one of shown) {
      if (!this.#tiles.has(one.key)) this.#tiles.set(one.key, this.#make(one));
      this.#update(this.#tiles.get(one.key), one);
    }
  }

  #make({ media, own, onFrame }) {
    const video = element("video", { autoplay: "", playsinline: "" });
    video.muted = own; // one's own sound would howl
    video.srcObject = media;
    if (onFrame) video.requestVideoFrameCallback?.(onFrame);
    const title = element("span", { class: "title" });
    const badges = element("span", { class: "badges" });
    const play = element("button", { type: "button", class: "play", hidden: "" }, "Play sound");
    const root = element("figure", { class: own ? "tile own" : "tile" }, video, play);
    root.append(element("figcaption", {}, title, badges));
    play.addEventListener("click", () => video.play().then(() => (play.hidden = true)));
    video.play().catch((error) => {
      play.hidden = error.name !== "NotAllowedError";
    });
    this.grid.append(root);
    return { root, video, title, badges };
  }

  #update(tile, { title, state, muted }) {
    tile.title.textContent = title;
    tile.video.setAttribute("aria-label", title);
    tile.root.dataset.state = state;
    tile.root.classList.toggle("dark-picture", Boolean(muted.video));
    const badges = [STATES[state] ?? state];
    if (muted.audio) badges.push("microphone off");
    if (muted.video) badges.push("camera off");
    if (tile.badges.dataset.shown !== badges.join()) {
      tile.badges.dataset.shown = badges.join();
      tile.badges.replaceChildren(...badges.map((text) => element("span", { class: "badge" }, text)));
    }
  }

  #remove(key, tile) {
    tile.video.srcObject = null;
    tile.root.remove();
    this.#tiles.delete(key);
  }
}

// The names of all, with their health and what they publish.
export function showPeople(list, room, ownId) {
  const people = [...room.endpoints.values()].map((one) => {
    const streams = [...room.streams.values()].filter(({ endpoint }) => endpoint === one.id);
    const what = streams.map(({ type }) => KINDS[type] ?? type).join(", ") || "nothing published";
    const name = one.id === ownId ? `${one.name} (you)` : one.name;
    return element(
      "li",
      { "data-endpoint": one.id, "data-health": one.health },
      element("span", { class: "dot", "aria-hidden": "true" }),
      element("span", { class: "who" }, name),
      element("span", { class: "what" }, one.health === "SICK" ? `${what}; not heard of` : what),
    );
  });
  const shown = people.map((one) => one.outerHTML).join("");
  if (list.dataset.shown !== shown) {
    list.dataset.shown = shown;
    list.replaceChildren(...people);
  }
}

// Adds one event to the timeline, newest first.
export function addToTimeline(list, event, name) {
  const version = event.conferenceVersion ?? "–";
  const words = event.type.replace(/^Conference|Event$/g, "").replace(/(?<=[a-z])(?=[A-Z])/g, " ").toLowerCase();
  const about = aboutOf(event);
  const time = element("time", { datetime: event.timestamp }, clock(event.timestamp));
  const version_ = element("span", { class: "version" }, String(version));
  const text = element("span", { class: "text" }, [name, words].filter(Boolean).join(": "));
  const more = about ? [element("span", { class: "about" }, about)] : [];
  list.prepend(element("li", { "data-type": event.type }, version_, time, text, ...more));
  while (list.children.length > TIMELINE_MAX) list.lastElementChild.remove();
}

export function titleOf(name, type) {
  return type === "SCREEN" ? `${name}, screen` : name;
}

function aboutOf(event) {
  const { streamType, key, value, operation, reason } = event;
  const [what, kind] = (key ?? "").split("/");
  if (what === "TRACK_MUTED") return `${kind === "audio" ? "microphone" : "picture"} ${operation === "SET" ? "off" : "on"}`;
  if (key) return operation === "SET" ? `${key} = ${value}` : `${key} removed`;
  return KINDS[streamType] ?? reason ?? "";
}

function clock(timestamp) {
  const at = new Date(timestamp);
  return Number.isNaN(at.getTime()) ? "" : at.toLocaleTimeString();
}
