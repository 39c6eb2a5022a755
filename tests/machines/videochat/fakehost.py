"""A host in the hands of a test: the other ends of a client's links, without a network and without time."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import trio

from engine.errors import TransportBrokenError

MESSAGES_MAX = 1000


class End:
    """The host's end of one link."""

    def __init__(self) -> None:
        self.open = True
        self._to_client, self._client_in = trio.open_memory_channel[str | int](MESSAGES_MAX)
        self._client_out, self._from_client = trio.open_memory_channel[str](MESSAGES_MAX)

    # The client's side: a Link

    async def send(self, text: str) -> None:
        """Send one message."""
        await trio.lowlevel.checkpoint()
        if not self.open:
            raise TransportBrokenError("the link is down", 1006)
        self._client_out.send_nowait(text)

    async def receive(self) -> str:
        """The next message."""
        said = await self._client_in.receive()
        if isinstance(said, int):
            self.open = False
            raise TransportBrokenError(f"the WebSocket was closed with code {said}", said)
        return said

    async def aclose(self) -> None:
        """Close."""
        self.open = False
        await trio.lowlevel.checkpoint()

    # The test's side

    def say(self, kind: str, content: Any = None, event_id: str = "", **more: Any) -> None:
        """Send a frame."""
        self.say_text(json.dumps({"type": kind, "data": content or {}, "event": {"id": event_id}, **more}))

    def say_text(self, text: str) -> None:
        """Send whatever it is."""
        self._to_client.send_nowait(text)

    def welcome(self, since: int | None = 0) -> None:
        """Say `user_info`."""
        self.say("user_info", {"user": {"id": "ann"}} | ({} if since is None else {"since": since}))

    def declined(self, version: int, request_id: str = "q1") -> None:
        """Say an event of the user's log."""
        self.say("videochat:videochatDeclined", {"videochatRequestId": request_id}, str(version))

    def answer(self, frame: dict[str, Any], content: Any = None, **more: Any) -> None:
        """Answer a request."""
        self.say(frame["type"], content, frame["event"]["id"], **more)

    def close(self, code: int = 1006) -> None:
        """Close, or cut the wire."""
        self._to_client.send_nowait(code)

    async def hears(self, kind: str = "") -> dict[str, Any]:
        """The client's next frame, which is of this type."""
        frame: dict[str, Any] = json.loads(await self._from_client.receive())
        assert frame["type"].endswith(kind), frame
        return frame

    def heard_nothing(self) -> bool:
        """Whether no frame of the client waits."""
        return not self._from_client.statistics().current_buffer_used


class FakeHost:
    """Takes links."""

    def __init__(self) -> None:
        self.down = False
        """No link can be had."""
        self.stuck = False
        """Links are opened never."""
        self.ends: list[End] = []
        self._arrived, self._arrivals = trio.open_memory_channel[End](MESSAGES_MAX)

    @contextlib.asynccontextmanager
    async def open_link(self) -> AsyncIterator[End]:
        """The client's `open_link`."""
        await trio.lowlevel.checkpoint()
        if self.stuck:
            await trio.sleep_forever()
        if self.down:
            raise TransportBrokenError("no connection to the server")
        end = End()
        self.ends.append(end)
        self._arrived.send_nowait(end)
        try:
            yield end
        finally:
            end.open = False

    async def arrival(self) -> End:
        """The next link, with its authentication still to be heard."""
        return await self._arrivals.receive()

    async def admitted(self, since: int | None = 0) -> tuple[End, dict[str, Any]]:
        """The next link, welcomed, and how the client introduced itself."""
        end = await self.arrival()
        frame = await end.hears("authenticate")
        end.welcome(since)
        data: dict[str, Any] = frame["data"]
        return end, data
