"""A way to the server that a test can cut: every byte goes through here."""

import trio

CHUNK = 65_536
UPGRADE = b"upgrade: websocket"


class Relay:
    """Listens beside the server. What goes through it can be broken off, and refused for a while."""

    def __init__(self, server: str) -> None:
        self._host, _, port = server.removeprefix("http://").rpartition(":")
        self._port = int(port)
        self._ways: set[trio.CancelScope] = set()
        self.url = ""
        self.takes_sockets = True
        """Whether WebSockets get through."""
        self.is_open = True

    def cut(self) -> None:
        """Break off everything, and let nothing through until it is mended."""
        self.is_open = False
        for way in self._ways:
            way.cancel()

    def mend(self) -> None:
        """Let everything through again."""
        self.is_open = True

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Relay for ever."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        task_status.started()
        await trio.serve_listeners(self._carry, listeners)

    async def _carry(self, near: trio.SocketStream) -> None:
        with trio.CancelScope() as way:
            self._ways.add(way)
            try:
                await self._carry_both_ways(near)
            except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
                # One of the two has gone: so does the other.
                return
            finally:
                self._ways.discard(way)
                await trio.aclose_forcefully(near)

    async def _carry_both_ways(self, near: trio.SocketStream) -> None:
        begin = await near.receive_some(CHUNK)
        if not self.is_open or (UPGRADE in begin.lower() and not self.takes_sockets):
            return
        async with await trio.open_tcp_stream(self._host, self._port) as far, trio.open_nursery() as nursery:
            await far.send_all(begin)
            nursery.start_soon(_pump, near, far, nursery.cancel_scope)
            nursery.start_soon(_pump, far, near, nursery.cancel_scope)


async def _pump(source: trio.SocketStream, target: trio.SocketStream, both: trio.CancelScope) -> None:
    try:
        async for data in source:
            await target.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        # One of the two has gone: so does the other.
        pass
    both.cancel()
