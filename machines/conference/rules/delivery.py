"""The delivery: an event of `sendEvent`, told until everybody has acknowledged it or its time is over."""

import attrs

from engine.machine.table import After, EndOnCrash, Ignore, Refuse, Row, Said, Table
from engine.vocabulary import Command, Event
from machines.conference import vocabulary as v
from machines.conference.reasons import Reason
from machines.conference.vocabulary import DeliveryState as S

REPEAT_SECONDS = 5.0
"""How long an endpoint has to acknowledge before it is told again."""


def begin(key: str) -> v.Delivery:
    """Nothing; the key is `<conference id>/<event id>`."""
    conference_id, _, event_id = key.partition("/")
    return v.Delivery(conference_id=conference_id, event_id=event_id)


def expires_at(delivery: v.Delivery) -> float:
    return delivery.expires_at


def awaits(delivery: v.Delivery, command: v.Acknowledge) -> bool:
    return command.user_endpoint_id in delivery.waiting


def awaits_only(delivery: v.Delivery, command: v.Acknowledge) -> bool:
    return delivery.waiting == (command.user_endpoint_id,)


def tell(delivery: v.Delivery, command: v.OpenDelivery) -> Said:
    expires_at = command.at + command.expire_seconds
    return (v.DeliveryOpened(body=command.body, endpoints=command.endpoints, expires_at=expires_at),)


def tell_again(delivery: v.Delivery, command: v.RepeatDelivery) -> Said:
    return (v.DeliveryRepeated(body=delivery.body, endpoints=delivery.waiting),)


def acknowledge(delivery: v.Delivery, command: v.Acknowledge) -> Said:
    return (v.DeliveryAcknowledged(user_endpoint_id=command.user_endpoint_id),)


def settle(delivery: v.Delivery, command: v.Acknowledge) -> Said:
    return (*acknowledge(delivery, command), v.DeliverySettled())


def expire(delivery: v.Delivery, command: Command) -> Said:
    return (v.DeliverySettled(missed=delivery.waiting), v.DeliveryForgotten())


def forget(delivery: v.Delivery, command: Command) -> Said:
    return (v.DeliveryForgotten(),)


def evolve(delivery: v.Delivery, event: Event) -> v.Delivery:
    match event:
        case v.DeliveryOpened():
            return attrs.evolve(
                delivery, body=event.body, waiting=event.endpoints, expires_at=event.expires_at
            )
        case v.DeliveryAcknowledged():
            waiting = tuple(one for one in delivery.waiting if one != event.user_endpoint_id)
            return attrs.evolve(delivery, waiting=waiting)
        case v.DeliverySettled():
            # The id stays taken until its time is over, so that a second request with it sends nothing.
            return attrs.evolve(delivery, body="", waiting=())
        case v.DeliveryForgotten():
            return begin(f"{delivery.conference_id}/{delivery.event_id}")
        case _:
            return delivery


TABLE: Table[S, v.Delivery] = Table(
    name="delivery",
    initial=S.ABSENT,
    # As at its beginning it leaves its stream, so that a conference with many sent events does not grow.
    final=frozenset(),
    start=begin,
    evolve=evolve,
    crash=EndOnCrash(S.ABSENT, expire),
    waits={S.ABSENT: "nothing was sent"},
    rows=(
        Row(S.ABSENT, v.OpenDelivery, S.PENDING, tell),
        Row(S.PENDING, v.RepeatDelivery, S.PENDING, tell_again, again=True),
        Row(S.PENDING, v.Acknowledge, S.SETTLED, settle, when=awaits_only),
        Row(S.PENDING, v.Acknowledge, None, acknowledge, when=awaits),
        Row(S.PENDING, v.ExpireDelivery, S.ABSENT, expire),
        Row(S.SETTLED, v.ExpireDelivery, S.ABSENT, forget),
    ),
    timers=(
        After(S.PENDING, v.RepeatDelivery, seconds=REPEAT_SECONDS, name="repeat"),
        After((S.PENDING, S.SETTLED), v.ExpireDelivery, due=expires_at, name="expiry"),
    ),
    asides=(
        Ignore((S.PENDING, S.SETTLED), v.OpenDelivery, "it was sent already"),
        Refuse(S.ABSENT, v.Acknowledge, Reason.DELIVERY_NOT_FOUND),
        Ignore((S.PENDING, S.SETTLED), v.Acknowledge, "it has it, or was never to get it"),
        Ignore((S.ABSENT, S.SETTLED), v.RepeatDelivery, "late timer"),
        Ignore(S.ABSENT, v.ExpireDelivery, "late timer"),
    ),
)
