"""The scenes: real calls between four users, and what each of their devices must hear."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import trio

from engine.board import Board, UnmetError
from engine.errors import EngineError
from machines.videochat.client import VideochatError
from machines.videochat.demo.cast import Server, User

CAST = {"ann": ("phone",), "bob": ("phone", "laptop"), "eve": ("phone",), "gil": ("phone",)}
"""Users and their devices."""

REQUEST_CLOSED = 10013


class Stage:
    """The devices, the server and the board of one demonstration."""

    def __init__(self, board: Board, server: Server, users: Mapping[str, User]) -> None:
        self.board = board
        self.server = server
        self.ann = users["ann"].devices["phone"]
        self.bob = users["bob"].devices["phone"]
        self.laptop = users["bob"].devices["laptop"]
        self.eve = users["eve"].devices["phone"]
        self.gil = users["gil"].devices["phone"]
        self.devices = (self.ann, self.bob, self.laptop, self.eve, self.gil)
        self.videochat_id = ""
        """The videochat of ann and bob that several scenes use."""
        self.scenes = (
            self.two_devices,
            self.decline,
            self.merge,
            self.invite,
            self.glare,
            self.cancel,
            self.crash,
        )

    async def play(self, scenes: Sequence[Callable[[], Awaitable[None]]] = ()) -> None:
        """Play these scenes, or all. One that fails ends there, and the next begins."""
        for scene in scenes or self.scenes:
            known = len(self.board.failed)
            try:
                await scene()
            except EngineError:
                # The board has it, as long as scenes do nothing outside of their expectations.
                if len(self.board.failed) == known:
                    raise

    async def two_devices(self) -> None:
        """Accept on one of two devices."""
        board, scene = self.board, "two devices"
        with board.expects("ann requests bob: his phone and his laptop ring", scene=scene):
            call = await self.ann.do("request", "bob")
            for device in (self.bob, self.laptop):
                await device.hears("Requested", request_id=call, user="ann")
        with board.expects("the phone accepts and gets its seat with a token", scene=scene):
            seat = await self.bob.do("accept", call)
            check(seat["has_token"] and not seat["owner"], "the seat is not a participant's with a token")
        with board.expects("both devices of bob hear videochatAccepted", scene=scene):
            for device in (self.bob, self.laptop):
                await device.hears("Accepted", request_id=call)
        with board.expects("ann hears directVideochatRequestAccepted, and owns the videochat", scene=scene):
            heard = await self.ann.hears("DirectAccepted")
            self.videochat_id = heard["seat"]["videochat_id"]
            check(self.videochat_id == seat["videochat_id"], "they are in two videochats")
            check(heard["seat"]["has_token"] and heard["seat"]["owner"], "ann does not own it")
        with board.expects("the laptop accepts too late: 10013, no second seat", scene=scene):
            await is_refused(self.laptop.do("accept", call), REQUEST_CLOSED)
        with board.expects("ann connects, then bob: ann hears identityConnected", scene=scene):
            await self.ann.do("connect", self.videochat_id)
            await self.bob.do("connect", self.videochat_id)
            await self.ann.hears("Notice", name="identityConnected", user="bob")

    async def decline(self) -> None:
        """Decline on one of two devices."""
        board, scene = self.board, "decline"
        with board.expects("eve requests bob, who talks with ann: it rings all the same", scene=scene):
            call = await self.eve.do("request", "bob")
            await self.bob.hears("Requested", request_id=call)
            await self.laptop.hears("Requested", request_id=call)
        with board.expects("the laptop declines: eve and both devices hear videochatDeclined", scene=scene):
            await self.laptop.do("decline", call)
            for device in (self.eve, self.bob, self.laptop):
                await device.hears("Declined", request_id=call)

    async def merge(self) -> None:
        """Take a caller into the running videochat."""
        board, scene = self.board, "merge"
        with board.expects("eve requests ann, who merges her into the videochat with bob", scene=scene):
            call = await self.eve.do("request", "ann")
            await self.ann.hears("Requested", request_id=call)
            await self.ann.do("merge", self.videochat_id, call)
            await self.ann.hears("Accepted", request_id=call)
        with board.expects("eve hears directVideochatRequestAccepted for that videochat", scene=scene):
            heard = await self.eve.hears("DirectAccepted")
            check(heard["seat"]["videochat_id"] == self.videochat_id, "it is another videochat")
        with board.expects("bob hears that eve was taken in, connected, and left", scene=scene):
            await self.eve.do("connect", self.videochat_id)
            await self.eve.do("leave", self.videochat_id)
            for name in ("userInvitedToVideochat", "identityConnected", "identityDisconnected"):
                await self.bob.hears("Notice", name=name, user="eve")

    async def invite(self) -> None:
        """Call a third one into the running videochat."""
        board, scene = self.board, "invite"
        with board.expects("bob invites gil, who sees whom he would meet", scene=scene):
            call = await self.bob.do("invite", "gil", self.videochat_id)
            heard = await self.gil.hears("Requested", request_id=call, user="bob")
            check(sorted(heard["participants"]) == ["ann", "bob"], "participants are not ann and bob")
            check(heard["counter"] == 2, "the counter is not 2")
        with board.expects("gil accepts, connects, and ann and bob hear identityConnected", scene=scene):
            seat = await self.gil.do("accept", call)
            await self.gil.hears("Accepted", request_id=call)
            await self.gil.do("connect", seat["videochat_id"])
            for device in (self.ann, self.bob, self.laptop):
                await device.hears("Notice", name="identityConnected", user="gil")
        with board.expects("all leave", scene=scene):
            for device in (self.ann, self.bob, self.gil):
                await device.do("leave", self.videochat_id)

    async def glare(self) -> None:
        """Two people ring each other at the same moment."""
        with self.board.expects(
            "ann and bob request each other at once: both get into one videochat", scene="glare"
        ):
            await together(partial(self.ann.do, "request", "bob"), partial(self.bob.do, "request", "ann"))
            ann, bob = await self.ann.hears("DirectAccepted"), await self.bob.hears("DirectAccepted")
            check(ann["seat"]["room"] == bob["seat"]["room"], "they are in two videochats")
            for device in (self.ann, self.bob):
                await device.do("leave", ann["seat"]["videochat_id"])

    async def cancel(self) -> None:
        """The caller takes it back."""
        with self.board.expects(
            "gil requests bob and takes it back: both devices stop ringing", scene="cancel"
        ):
            call = await self.gil.do("request", "bob")
            await self.gil.do("decline", call)
            for device in (self.bob, self.laptop):
                await device.hears("Requested", request_id=call)
                await device.hears("Declined", request_id=call)

    async def crash(self) -> None:
        """Kill the server in the middle of two rings; one is answered, and one is not."""
        board, scene = self.board, "crash"
        with board.expects("ann requests bob, eve requests gil: all devices ring", scene=scene):
            answered, unanswered = await self.ann.do("request", "bob"), await self.eve.do("request", "gil")
            for device in (self.bob, self.laptop):
                await device.hears("Requested", request_id=answered)
            await self.gil.hears("Requested", request_id=unanswered)
        with board.expects("the server is killed by SIGKILL: every device notices", scene=scene):
            await self.server.kill()
            for device in self.devices:
                await device.is_in("waiting")
        await together(
            self._restart, partial(self._answer_late, answered), partial(self._no_answer, unanswered)
        )

    async def _restart(self) -> None:
        with self.board.expects("it starts on the same port and file: every device is back", scene="crash"):
            await self.server.start()
            for device in self.devices:
                await device.is_in("ready")

    async def _answer_late(self, call: str) -> None:
        with self.board.expects(
            "bob accepts on the laptop while there is no server: he is answered", scene="crash"
        ):
            seat = await self.laptop.do("accept", call)
        with self.board.expects(
            "the ring has gone on: ann and bob's devices hear that it is accepted", scene="crash"
        ):
            heard = await self.ann.hears("DirectAccepted")
            check(heard["seat"]["videochat_id"] == seat["videochat_id"], "they are in two videochats")
            for device in (self.bob, self.laptop):
                await device.hears("Accepted", request_id=call)

    async def _no_answer(self, call: str) -> None:
        text = "nobody answers eve: she and gil hear videochatDeclined in time, though the server was killed"
        with self.board.expects(text, scene="no answer"):
            for device in (self.eve, self.gil):
                await device.hears("Declined", request_id=call)


async def together(*doings: Callable[[], Awaitable[object]]) -> None:
    """Do all at once; when all have ended, the first error of ours is raised."""
    failures: list[EngineError] = []

    async def one(doing: Callable[[], Awaitable[object]]) -> None:
        try:
            await doing()
        except EngineError as error:
            failures.append(error)

    async with trio.open_nursery() as nursery:
        for doing in doings:
            nursery.start_soon(one, doing)
    if failures:
        raise failures[0]


async def is_refused(doing: Awaitable[object], code: int) -> None:
    """Raises: UnmetError: it is not refused, or with another code."""
    try:
        await doing
    except VideochatError as error:
        if error.code != code:
            raise UnmetError(f"it is refused with {error}, not with {code}") from error
        return
    raise UnmetError(f"it is not refused with {code}")


def check(holds: object, otherwise: str) -> None:
    """Raises: UnmetError: it does not hold."""
    if not holds:
        raise UnmetError(otherwise)
