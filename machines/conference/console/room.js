// Who is in a conference and what is published there, as the simple view and the events tell it.

const MUTED = /^TRACK_MUTED\/(audio|video)\/(.+)$/;

export class Room {
  constructor(view) {
    this.endpoints = new Map(); // id -> { id, user, name, health }
    this.streams = new Map(); // id -> { id, type, endpoint }
    this.muted = new Set(); // "audio/<stream>", "video/<stream>"
    for (const { id: user, endpoints } of view.participants) {
      for (const one of endpoints) {
        this.#join(one.id, user, one.metadata, one.state);
        one.streams.forEach(({ id, type }) => this.streams.set(id, { id, type, endpoint: one.id }));
      }
    }
    for (const [key, { value }] of Object.entries(view.metadata)) {
      this.#set(key, value);
    }
  }

  // How the endpoints do; who is there is for the events to say.
  refresh(view) {
    for (const one of view.participants.flatMap(({ endpoints }) => endpoints)) {
      const known = this.endpoints.get(one.id);
      if (known) known.health = one.state;
    }
  }

  nameOf(endpointId) {
    return this.endpoints.get(endpointId)?.name ?? "";
  }

  isMuted(kind, streamId) {
    return this.muted.has(`${kind}/${streamId}`);
  }

  apply(event) {
    const { userEndpointId: endpoint } = event;
    switch (event.type) {
      case "ConferenceJoinedEvent":
        this.#join(endpoint, event.userId, event.metadata, "HEALTHY");
        break;
      case "ConferenceLeftEvent":
        this.endpoints.delete(endpoint);
        this.#forget((stream) => stream.endpoint === endpoint);
        break;
      case "ConferenceStreamPublishedEvent":
        this.streams.set(event.streamId, { id: event.streamId, type: event.streamType, endpoint });
        break;
      case "ConferenceStreamUnpublishedEvent":
        this.#forget((stream) => stream.id === event.streamId);
        break;
      case "ConferenceMetadataUpdatedEvent":
        this.#set(event.key, event.operation === "SET" ? event.value : "false");
        break;
      case "ConferenceParticipantMetadataUpdatedEvent":
        this.#rename(endpoint, event.newMetadata);
        break;
    }
  }

  #join(id, user, metadata, health) {
    this.endpoints.set(id, { id, user, name: metadata?.name || user, health });
  }

  #rename(id, metadata) {
    const known = this.endpoints.get(id);
    if (known && metadata && "name" in metadata) {
      known.name = metadata.name || known.user;
    }
  }

  #forget(wanted) {
    [...this.streams.values()].filter(wanted).forEach(({ id }) => this.streams.delete(id));
  }

  #set(key, value) {
    const found = MUTED.exec(key);
    if (!found) return;
    const track = `${found[1]}/${found[2]}`;
    value === "false" ? this.muted.delete(track) : this.muted.add(track);
  }
}
