"""The family of the conference API: what belongs to a conference steps as one, under one version."""

from engine.effects import Send
from engine.machine.family import Kind
from engine.vocabulary import Address, Event
from machines.conference import vocabulary as v
from machines.conference.rules import conference, delivery, endpoint, participant, stream, view
from machines.conference.rules.addresses import stream_of


def announce(address: Address, event: Event) -> tuple[Send, ...]:
    """What followers of a conference are told: the events that clients know."""
    if isinstance(event, v.NumberedEvent | v.ConferenceCreated):
        return (Send(to=address.key, message=v.EventNotice(event)),)
    return ()


def announce_delivery(address: Address, event: Event) -> tuple[Send, ...]:
    """Sent events go the same way, to some endpoints, without a version."""
    conference_id, _, event_id = address.key.partition("/")
    if isinstance(event, v.DeliveryOpened | v.DeliveryRepeated):
        notice = v.DeliveryNotice(event_id=event_id, body=event.body, endpoints=event.endpoints)
        return (Send(to=conference_id, message=notice),)
    return ()


KINDS = (
    Kind(name=v.CONFERENCE, table=conference.TABLE, indexed=True, announce=announce),
    Kind(name=v.PARTICIPANT, table=participant.TABLE, stream=stream_of),
    Kind(name=v.STREAM, table=stream.TABLE, stream=stream_of),
    Kind(name=v.VIEW, table=view.TABLE, stream=stream_of),
    Kind(name=v.DELIVERY, table=delivery.TABLE, stream=stream_of, announce=announce_delivery),
    Kind(name=v.ENDPOINT, table=endpoint.TABLE),
)
