"""Firefox in the hands of a test, by WebDriver BiDi, which a stock build speaks at a WebSocket of its own."""

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio
import trio_websocket

from engine.media.local import own_address
from tests.browser.browser import CALL_SECONDS, QUIT_SECONDS, Page, PageError

HOST = "127.0.0.1"
MESSAGE_BYTES_MAX = 16 * 1024 * 1024
PREFERENCES = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    # How long it hopes for more candidates when none can be used; those of the tests come at once.
    "media.peerconnection.ice.trickle_grace_period": 500,
    # Neither updates nor reports; that it is driven turns most of them off already.
    "app.update.disabledForTesting": True,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "media.gmp-manager.updateEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,none/v1",
}
CALL = """async (name, values) => {
  const called = name.split(".").reduce((one, part) => one[part], window);
  return JSON.stringify((await called(...JSON.parse(values))) ?? null);
}"""
READY = "async () => { await window.ready; }"
# Waits until a person could use the element.
USABLE = """async (selector) => {
  for (;;) {
    const one = document.querySelector(selector);
    if (one?.checkVisibility() && !one.disabled) {
      one.scrollIntoView({ block: "center", behavior: "instant" });
      return one;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}"""
SELECT = "(element) => { element.focus(); element.select(); }"
DELETE = "\ue017"
"""The key, in WebDriver's alphabet."""


def missing() -> str | None:
    """What this machine lacks to run Firefox; None when nothing."""
    if _firefox() is None:
        return "no firefox on the path"
    return None if own_address() else "no network that Firefox would use: it sends no media to loopback"


def _firefox() -> str | None:
    return next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), None)


def listening() -> Sequence[Mapping[str, Any]]:
    """Where a router must listen for Firefox, and for the others."""
    return [{"host": "127.0.0.1"}, {"host": own_address()}]


class Firefox:
    """See Browser."""

    def __init__(self, port: int, version: str) -> None:
        self._port, self.version = port, version

    @asynccontextmanager
    async def use(self) -> AsyncIterator["FirefoxSession"]:
        """See Browser."""
        async with await trio.open_tcp_stream(HOST, self._port) as stream, trio.open_nursery() as nursery:
            socket = await trio_websocket.wrap_client_stream(
                nursery, stream, f"{HOST}:{self._port}", "/session", max_message_size=MESSAGE_BYTES_MAX
            )
            session = FirefoxSession(socket)
            await session.command("session.new", capabilities={})
            try:
                yield session
            finally:
                with trio.move_on_after(QUIT_SECONDS, shield=True):
                    await session.ask("closeAll")
                    await session.command("session.end")
                nursery.cancel_scope.cancel()


class FirefoxSession:
    """See Session."""

    def __init__(self, socket: trio_websocket.WebSocketConnection) -> None:
        self._socket = socket
        self._one_at_a_time = trio.Lock()
        self._commands = 0
        self._windows: dict[str, str] = {}
        self._profiles: dict[str, str] = {}

    async def ask(self, task: str, **values: Any) -> Any:
        """See Session."""
        async with self._one_at_a_time:
            with trio.fail_after(CALL_SECONDS):
                return await getattr(self, f"_{task}")(**values)

    async def open(self, name: str, url: str) -> Page:
        """See Session."""
        await self.ask("open", page=name, url=url)
        return Page(self, name)

    async def command(self, method: str, **parameters: Any) -> Any:
        """One command of the protocol. Raises: PageError: with the browser's words."""
        self._commands += 1
        number = self._commands
        await self._socket.send_message(json.dumps({"id": number, "method": method, "params": parameters}))
        # No event is subscribed to; another number is of a command that nobody waits for any more.
        while (answer := json.loads(await self._socket.get_message())).get("id") != number:
            continue
        if answer["type"] == "error":
            raise PageError(f"{method}: {answer['message']}")
        return answer["result"]

    async def _open(self, page: str, url: str) -> None:
        profile = (await self.command("browser.createUserContext"))["userContext"]
        # Of the tabs of a window only one is seen, and the others may rest.
        window = await self.command("browsingContext.create", type="window", userContext=profile)
        self._windows[page], self._profiles[page] = window["context"], profile
        await self.command("browsingContext.navigate", context=window["context"], url=url, wait="complete")
        await self._function(page, READY)

    async def _call(self, page: str, name: str, values: tuple[Any, ...]) -> Any:
        returned = await self._function(page, CALL, _text(name), _text(json.dumps(values)))
        return json.loads(returned["value"])

    async def _click(self, page: str, selector: str) -> None:
        element = await self._function(page, USABLE, _text(selector))
        origin = {"type": "element", "element": {"sharedId": element["sharedId"]}}
        await self._act(
            page,
            type="pointer",
            id="mouse",
            actions=[
                {"type": "pointerMove", "x": 0, "y": 0, "origin": origin},
                {"type": "pointerDown", "button": 0},
                {"type": "pointerUp", "button": 0},
            ],
        )

    async def _fill(self, page: str, selector: str, value: str) -> None:
        element = await self._function(page, USABLE, _text(selector))
        await self._function(page, SELECT, {"sharedId": element["sharedId"]})
        strokes = [{"type": way, "value": key} for key in value or DELETE for way in ("keyDown", "keyUp")]
        await self._act(page, type="key", id="keyboard", actions=strokes)

    async def _shut(self, page: str) -> None:
        await self.command("browsingContext.close", context=self._windows[page], promptUnload=True)

    async def _closeAll(self) -> None:  # noqa: N802 # the name of the task
        while self._profiles:
            await self.command("browser.removeUserContext", userContext=self._profiles.popitem()[1])

    async def _act(self, page: str, **source: Any) -> None:
        await self.command("browsingContext.activate", context=self._windows[page])
        await self.command("input.performActions", context=self._windows[page], actions=[source])

    async def _function(self, page: str, source: str, *arguments: Any) -> dict[str, Any]:
        found = await self.command(
            "script.callFunction",
            functionDeclaration=source,
            arguments=arguments,
            awaitPromise=True,
            target={"context": self._windows[page]},
        )
        if found["type"] == "exception":
            raise PageError(found["exceptionDetails"]["text"])
        result: dict[str, Any] = found["result"]
        return result


def _text(value: str) -> dict[str, str]:
    return {"type": "string", "value": value}


@contextmanager
def launched() -> Iterator[Firefox]:
    """A running Firefox; it is gone afterwards, and its profile with it."""
    program = _firefox()
    assert program is not None, "the caller has looked"
    # What it leaves in the profile as it ends is nobody's concern.
    with TemporaryDirectory(prefix="firefox-", ignore_cleanup_errors=True) as folder:
        lines = [f"user_pref({json.dumps(key)}, {json.dumps(value)});" for key, value in PREFERENCES.items()]
        Path(folder, "user.js").write_text("\n".join(lines))
        command = (program, "--headless", "--no-remote", "--profile", folder, "--remote-debugging-port=0")
        settings = {**os.environ, "HOME": folder, "MOZ_CRASHREPORTER_DISABLE": "1"}
        with subprocess.Popen(
            command, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            try:
                yield Firefox(_port(process), _version(program))
            finally:
                process.terminate()
                try:
                    process.wait(QUIT_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()


def _port(process: "subprocess.Popen[bytes]") -> int:
    assert process.stderr is not None
    said = b""
    for line in process.stderr:
        said += line
        found = re.search(rb"BiDi listening on ws://127\.0\.0\.1:(\d+)", line)
        if found is not None:
            # It must never wait for somebody to read what else it says.
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return int(found[1])
    raise PageError(f"the browser does not start: {said.decode(errors='replace')}")


def _version(program: str) -> str:
    return subprocess.run((program, "--version"), check=True, capture_output=True, text=True).stdout.strip()
