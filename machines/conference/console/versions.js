// The order of events: each versioned one carries the version before it, so that a gap shows.

export class Versions {
  #aside = new Map();
  #seen = new Set();

  // `version` is the conference's own, as its simple view has it.
  constructor(version) {
    this.version = version;
  }

  get hasGap() {
    return this.#aside.size > 0;
  }

  // The events that can be taken now, in their order: none, this one, or more that have waited for it.
  take(event) {
    const version = event.conferenceVersion;
    if (version === null || version === undefined) {
      return this.#takeUnversioned(event);
    }
    if (version >= this.version) {
      this.#aside.set(version, event);
    }
    const ready = [];
    while (this.#aside.has(this.version)) {
      ready.push(this.#aside.get(this.version));
      this.#aside.delete(this.version);
      this.version += 1;
    }
    return ready;
  }

  // A sent event may come twice. The creation is told to who asks for everything.
  #takeUnversioned(event) {
    if (event.id && this.#seen.has(event.id)) {
      return [];
    }
    this.#seen.add(event.id);
    return [event];
  }
}
