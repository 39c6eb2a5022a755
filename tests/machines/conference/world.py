"""Random lives of conferences: users with endpoints, a media host, strangers, and crashes."""

import random
from collections.abc import Callable, Iterator

import attrs

from engine.machine.family import Decision, Family
from engine.machine.stage import Stage
from engine.machine.step import Snapshot
from engine.machine.table import Crash
from engine.vocabulary import Address, Command
from machines.conference import vocabulary as v
from machines.conference.rules import addresses
from machines.conference.table import KINDS

FAMILY = Family(KINDS)
HOME, ELSEWHERE = "acme", "other"
OWNERS = {"a1": "ann", "a2": "ann", "b1": "bob", "b2": "bob", "e1": "eve", "r1": "rec"}
"""Endpoints of the organization whose conferences these are, and their users."""
USERS = tuple(dict.fromkeys(OWNERS.values()))
FOREIGN = "x1"
"""An endpoint of the other organization, which has an ann too."""
STREAMS = ("cam", "mic", "screen", "")
VIEWERS = ("w1", "w2", "")
RECORDING = ({}, {}, {}, {"RECORDER": "true"}, {"RECORDER": "null"}, {"name": '"x"'})

Act = Callable[["World"], Iterator[tuple[Address, Command]]]


class World(Stage):
    """What anybody may do at any time, drawn by a seed; `watch` is called after every step."""

    def __init__(self, seed: int) -> None:
        super().__init__(FAMILY)
        self.rng = random.Random(seed)
        self.created = 0
        self.peers = 0
        self.watch: Callable[[Address, Command, Decision], None] = lambda to, command, decision: None

    def play(self, actions: int) -> None:
        for endpoint in OWNERS:
            self.send(*_registered(endpoint))
        for to, command in create(self):
            self.send(to, command)
        for _ in range(actions):
            act = self.rng.choices([*ACTS], [*ACTS.values()])[0]
            for to, command in act(self):
                self.send(to, command)
            self.wait(self.rng.choice((0, 0, 0, 0, 0, 0.5, 2, 4)))

    def send(self, to: Address, command: Command, **options: object) -> Decision:
        decision = super().send(to, command, **options)  # type: ignore[arg-type]  # passed on as given
        self.watch(to, command, decision)
        return decision

    # -- looking

    def all(self, kind: str) -> dict[str, Snapshot]:
        return {
            address.key: snapshot
            for stream in self.streams.values()
            for address, snapshot in stream.members.items()
            if address.kind == kind
        }

    def conference(self, conference_id: str) -> Snapshot:
        return self.snapshot(addresses.conference_address(conference_id))

    def open_conferences(self) -> list[str]:
        ended = v.ConferenceState.ENDED
        return [key for key, one in self.all(v.CONFERENCE).items() if one.state is not ended]

    # -- drawing

    def some_conference(self) -> str:
        there = self.open_conferences()
        if there and self.rng.random() < 0.95:
            return self.rng.choice(there)
        return self.rng.choice([*self.all(v.CONFERENCE), "none"])

    def someone(self, conference_id: str) -> tuple[v.Caller, str]:
        """A caller with an endpoint of his, most often one that is inside."""
        inside = [*self.conference(conference_id).data.participants]
        chance = self.rng.random()
        endpoint = self.rng.choice(inside if inside and chance < 0.85 else [*OWNERS])
        user = OWNERS[endpoint] if chance < 0.97 else self.rng.choice(USERS)
        return self.caller(user), endpoint

    def caller(self, user: str) -> v.Caller:
        role = self.rng.choice((v.Role.USER,) * 8 + (v.Role.AGENT, v.Role.SERVICE))
        return v.Caller(user=user, organization=HOME, role=role)

    def some_stream(self, conference_id: str) -> str:
        streams = [*self.conference(conference_id).data.streams]
        return self.rng.choice(streams if streams and self.rng.random() < 0.8 else STREAMS)

    def some_view(self, conference_id: str) -> tuple[str, str]:
        views = [*self.conference(conference_id).data.views.values()]
        if views and self.rng.random() < 0.8:
            view = self.rng.choice(views)
            return view.stream_id, view.viewer_id
        return self.some_stream(conference_id), self.rng.choice(VIEWERS)

    def new_peer(self) -> str:
        self.peers += 1
        return f"p{self.peers}"


def _registered(endpoint: str) -> tuple[Address, Command]:
    caller = v.Caller(user=OWNERS[endpoint], organization=HOME)
    seconds = 5.0 if endpoint in ("a1", "b2") else 15.0
    return addresses.endpoint_address(endpoint), v.RegisterEndpoint(caller=caller, keep_alive_seconds=seconds)


# -- endpoints


def register(world: World) -> Iterator[tuple[Address, Command]]:
    yield _registered(world.rng.choice([*OWNERS]))


def beat(world: World) -> Iterator[tuple[Address, Command]]:
    """All are heard but one, now and then."""
    deaf = world.rng.choice([*OWNERS, *[""] * 12])
    for endpoint, user in OWNERS.items():
        if endpoint != deaf:
            keep = v.KeepAlive(caller=v.Caller(user=user, organization=HOME))
            yield addresses.endpoint_address(endpoint), keep


def fall_silent(world: World) -> Iterator[tuple[Address, Command]]:
    world.wait(world.rng.choice((3, 8, 20)))
    yield from beat(world)


def unregister(world: World) -> Iterator[tuple[Address, Command]]:
    endpoint, user = world.rng.choice([*OWNERS.items()])
    yield addresses.endpoint_address(endpoint), v.UnregisterEndpoint(caller=world.caller(user))


# -- conferences


def create(world: World) -> Iterator[tuple[Address, Command]]:
    if len(world.open_conferences()) > 1:
        return
    world.created += 1
    endpoint = world.rng.choice([*OWNERS])
    limit = world.rng.choice(({}, {}, {"participant_limit": "2"}, {"participant_limit": "x"}))
    command = v.CreateConference(
        caller=world.caller(OWNERS[endpoint]),
        creator_endpoint=world.rng.choice((endpoint, "")),
        metadata=limit,
        empty_seconds=world.rng.choice((20.0, 300.0)),
    )
    yield addresses.conference_address(f"c{world.created}"), command


def join(world: World) -> Iterator[tuple[Address, Command]]:
    endpoint, user = world.rng.choice([*OWNERS.items()])
    metadata = {"RECORDER": "true"} if user == "rec" else world.rng.choice(RECORDING)
    if world.rng.random() < 0.05:
        user = world.rng.choice(USERS)
    command = v.JoinConference(caller=world.caller(user), user_endpoint_id=endpoint, metadata=metadata)
    yield addresses.conference_address(world.some_conference()), command


def leave(world: World) -> Iterator[tuple[Address, Command]]:
    key = world.some_conference()
    caller, endpoint = world.someone(key)
    yield addresses.conference_address(key), v.LeaveConference(caller=caller, user_endpoint_id=endpoint)


def end(world: World) -> Iterator[tuple[Address, Command]]:
    key = world.some_conference()
    caller, endpoint = world.someone(key)
    yield addresses.conference_address(key), v.EndConference(caller=caller, user_endpoint_id=endpoint)


def change(world: World) -> Iterator[tuple[Address, Command]]:
    key = world.some_conference()
    caller, endpoint = world.someone(key)
    stream, rng = world.some_stream(key), world.rng
    text = rng.choice(("1", "null", '"x"'))
    commands: tuple[Command, ...] = (
        v.UpdateMetadata(
            caller=caller,
            user_endpoint_id=endpoint,
            operation=rng.choice([*v.Operation]),
            key=rng.choice(("ON_HOLD", "participant_limit")),
            value=rng.choice(("1", "3", "x")),
        ),
        v.UpdateParticipantMetadata(
            caller=caller, user_endpoint_id=endpoint, new_metadata=rng.choice(RECORDING)
        ),
        v.UpdateStreamMetadata(
            caller=caller, user_endpoint_id=endpoint, stream_id=stream, new_metadata={"k": text}
        ),
        v.UpdateBitrate(caller=caller, user_endpoint_id=endpoint, stream_id=stream, bitrate_bps=300_000),
        v.SetInteraction(caller=caller, interaction_id=rng.choice(("i1", "i2", ""))),
    )
    yield addresses.conference_address(key), rng.choice(commands)


def send_event(world: World) -> Iterator[tuple[Address, Command]]:
    caller = v.Caller(user="bot", organization=HOME, role=v.Role.SERVICE)
    stored = world.rng.random() < 0.7
    command = v.SendEvent(
        caller=caller, event_id=f"e{world.rng.randrange(20)}", body="{}", stored=stored, expire_seconds=12.0
    )
    yield addresses.conference_address(world.some_conference()), command


def acknowledge(world: World) -> Iterator[tuple[Address, Command]]:
    for key, delivery in world.all(v.DELIVERY).items():
        if delivery.state is v.DeliveryState.PENDING:
            endpoint = world.rng.choice([*delivery.data.waiting, "b1"])
            yield Address(v.DELIVERY, key), v.Acknowledge(user_endpoint_id=endpoint)


# -- streams and views


def publish(world: World) -> Iterator[tuple[Address, Command]]:
    key = world.some_conference()
    caller, endpoint = world.someone(key)
    stream = world.rng.choice(STREAMS)
    lost = [one for one in world.conference(key).data.streams.values() if one.phase is v.Phase.LOST]
    if lost and world.rng.random() < 0.5:
        stream, endpoint = lost[0].stream_id, lost[0].user_endpoint_id
        caller = world.caller(OWNERS[endpoint])
    command = v.PublishStream(
        caller=caller,
        user_endpoint_id=endpoint,
        stream_id=stream,
        peer_id=world.new_peer(),
        type=v.StreamType.CAM,
    )
    yield addresses.conference_address(key), command


def unpublish(world: World) -> Iterator[tuple[Address, Command]]:
    key = world.some_conference()
    stream = world.some_stream(key)
    held = world.conference(key).data.streams.get(stream)
    caller, endpoint = world.someone(key)
    if held is not None and world.rng.random() < 0.8:
        caller, endpoint = world.caller(OWNERS[held.user_endpoint_id]), held.user_endpoint_id
    command = v.UnpublishStream(caller=caller, user_endpoint_id=endpoint, stream_id=stream)
    yield addresses.conference_address(key), command


def view(world: World) -> Iterator[tuple[Address, Command]]:
    key = world.some_conference()
    caller, endpoint = world.someone(key)
    command = v.ViewStream(
        caller=caller,
        user_endpoint_id=endpoint,
        stream_id=world.some_stream(key),
        viewer_id=world.rng.choice(VIEWERS),
        peer_id=world.new_peer(),
    )
    yield addresses.conference_address(key), command


def stop_view(world: World) -> Iterator[tuple[Address, Command]]:
    key = world.some_conference()
    stream, viewer = world.some_view(key)
    command = v.StopView(caller=world.someone(key)[0], stream_id=stream, viewer_id=viewer)
    yield addresses.conference_address(key), command


def report(world: World) -> Iterator[tuple[Address, Command]]:
    """The media host says what becomes of a peer; most peers go well."""
    feeds = [
        (Address(kind, key), one)
        for kind in (v.STREAM, v.VIEW)
        for key, one in world.all(kind).items()
        if one.data.peer_id or world.rng.random() < 0.1
    ]
    if not feeds:
        return
    to, feed = world.rng.choice(feeds)
    peer_id = feed.data.peer_id if world.rng.random() < 0.9 else "p1"
    good = {
        v.StreamState.OPENING: v.NoteAnswered,
        v.StreamState.CONNECTING: v.NoteConnected,
        v.ViewState.OPENING: v.NoteAnswered,
        v.ViewState.CONNECTING: v.NoteConnected,
    }
    if feed.state in good and world.rng.random() < 0.8:
        yield to, good[feed.state](peer_id=peer_id)
        return
    notes: list[Command] = [v.NoteAnswered(peer_id=peer_id), v.NoteConnected(peer_id=peer_id)]
    notes.append(v.NotePeerGone(peer_id=peer_id, end=world.rng.choice([*v.PeerEnd])))
    if to.kind == v.STREAM:
        notes += [v.NoteStalled(peer_id=peer_id), v.NoteResumed(peer_id=peer_id)]
    yield to, world.rng.choice(notes)


# -- strangers and faults


def intrude(world: World) -> Iterator[tuple[Address, Command]]:
    """Another organization's ann, or its service, tries what any other may do."""
    caller = v.Caller(user="ann", organization=ELSEWHERE, role=world.rng.choice([*v.Role]))
    yield addresses.endpoint_address(FOREIGN), v.RegisterEndpoint(caller=caller)
    for act in (join, leave, end, change, publish, unpublish, view, stop_view, send_event):
        for to, command in act(world):
            assert isinstance(command, v.ConferenceCommand)
            yield to, _by(caller, command, world.rng.choice((FOREIGN, "")))
    endpoint = addresses.endpoint_address(world.rng.choice([*OWNERS]))
    commands = (v.RegisterEndpoint, v.KeepAlive, v.UnregisterEndpoint, v.ClaimEndpoint)
    if world.snapshot(endpoint).data.user:
        yield endpoint, world.rng.choice(commands)(caller=caller)


def _by(caller: v.Caller, command: v.ConferenceCommand, endpoint: str) -> Command:
    """The same from somebody else, and from his endpoint if there is one."""
    changed: Command = attrs.evolve(command, caller=caller)
    if endpoint and hasattr(command, "user_endpoint_id"):
        changed = attrs.evolve(changed, user_endpoint_id=endpoint)
    return changed


def crash(world: World) -> Iterator[tuple[Address, Command]]:
    members = [address for stream in world.streams.values() for address in stream.members]
    yield world.rng.choice(members), Crash()


ACTS: dict[Act, int] = {
    register: 6, beat: 30, fall_silent: 4, unregister: 1, create: 10, join: 22, leave: 6, end: 1, change: 16,
    send_event: 4, acknowledge: 3, publish: 18, unpublish: 4, view: 16, stop_view: 4, report: 40, intrude: 2,
    crash: 1,
}  # fmt: skip
