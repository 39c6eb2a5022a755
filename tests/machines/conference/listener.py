"""What clients know of a conference who only hear its events, written from the rules of the events alone."""

from collections.abc import Mapping

import attrs

from engine.vocabulary import Event
from machines.conference import vocabulary as v


class OutOfOrderError(AssertionError):
    """An event that cannot come now."""


def expect(condition: bool, event: Event) -> None:
    if not condition:
        raise OutOfOrderError(repr(event))


@attrs.define
class Listener:
    """Who is in, what is published, what is set; every event is held to what went before."""

    created: bool = False
    ended: bool = False
    version: int = 0
    """The number that the next numbered event has to carry."""
    inside: dict[str, str] = attrs.field(factory=dict)
    """User by endpoint."""
    streams: dict[str, str] = attrs.field(factory=dict)
    """Endpoint by stream."""
    metadata: dict[str, str] = attrs.field(factory=dict)
    interaction_id: str = ""
    ids: set[str] = attrs.field(factory=set)

    def hear(self, event: Event) -> None:
        """Take the next event.

        Raises:
            OutOfOrderError: it cannot come now.
        """
        expect(not self.ended, event)
        if isinstance(event, v.ConferenceCreated):
            expect(not self.created, event)
            self.created, self.metadata = True, dict(event.metadata)
            self.interaction_id = event.interaction_id
        else:
            assert isinstance(event, v.NumberedEvent)
            expect(self.created and event.version == self.version, event)
            self.version += 1
            self._change(event)
        expect(event.event_id not in self.ids and event.event_id != "", event)
        self.ids.add(event.event_id)

    def _change(self, event: v.NumberedEvent) -> None:
        match event:
            case v.ParticipantJoined(user_endpoint_id=endpoint):
                expect(endpoint not in self.inside, event)
                self.inside[endpoint] = event.user
            case v.ParticipantLeft(user_endpoint_id=endpoint):
                expect(self.inside.get(endpoint) == event.user, event)
                expect(endpoint not in self.streams.values(), event)
                del self.inside[endpoint]
            case v.StreamPublished(user_endpoint_id=endpoint):
                expect(event.stream_id not in self.streams, event)
                expect(self.inside.get(endpoint) == event.user, event)
                self.streams[event.stream_id] = endpoint
            case v.StreamUnpublished(user_endpoint_id=endpoint):
                expect(self.streams.get(event.stream_id) == endpoint, event)
                del self.streams[event.stream_id]
            case v.StreamMetadataUpdated() | v.BitrateUpdated():
                expect(self.streams.get(event.stream_id) == event.user_endpoint_id, event)
            case v.ParticipantMetadataUpdated():
                expect(self.inside.get(event.user_endpoint_id) == event.user, event)
            case v.MetadataUpdated(operation=v.Operation.SET):
                self.metadata[event.key] = event.value
            case v.MetadataUpdated():
                expect(event.key in self.metadata, event)
                del self.metadata[event.key]
            case v.InteractionUpdated():
                expect(not self.interaction_id and event.interaction_id != "", event)
                self.interaction_id = event.interaction_id
            case v.ConferenceEnded():
                self.ended, self.inside, self.streams = True, {}, {}
            case _:
                raise OutOfOrderError(repr(event))

    def agrees_with(self, conference: v.Conference) -> bool:
        """Whether who came before all events knows what who asks now is told."""
        shown: Mapping[str, v.Stream] = {
            key: one for key, one in conference.streams.items() if one.phase is not v.Phase.OFFERED
        }
        return (
            self.version == conference.version
            and self.inside == {key: one.user for key, one in conference.participants.items()}
            and self.streams == {key: one.user_endpoint_id for key, one in shown.items()}
            and self.metadata == {key: one.value for key, one in conference.metadata.items()}
            and self.interaction_id == conference.interaction_id
        )
