"""A browser in the hands of a test, and pages in it. Chromium is driven by node, which obeys JSON lines."""

import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import attrs
import trio

HERE = Path(__file__).parent
CALL_SECONDS = 30.0
"""Only a broken browser takes so long."""
QUIT_SECONDS = 10.0

Figures: TypeAlias = dict[str, Any]
"""Of one peer connection, as the page flattens them."""
Wanted: TypeAlias = tuple[str, str, float | str]
"""Figure, `>=` or `==`, value."""


class PageError(Exception):
    """What was asked of a page failed, in the browser's own words."""


class Session(Protocol):
    """A browser, as one test has it."""

    async def ask(self, task: str, **values: Any) -> Any:
        """One request and its answer; the tasks are those of driver.mjs. Raises: PageError."""

    async def open(self, name: str, url: str) -> "Page":
        """A page in a profile of its own."""


class Browser(Protocol):
    """It outlives the loop of a single test, so that one launch is enough for all of them."""

    version: str

    def use(self) -> AbstractAsyncContextManager[Session]:
        """For one test; its pages are closed behind it."""


@attrs.frozen
class Page:
    """One page; the functions of page.html by their names."""

    session: Session
    name: str

    async def call(self, name: str, *values: Any) -> Any:
        """Call a function such as `publish` or `conference.state`, and wait for what it promises."""
        return await self.session.ask("call", page=self.name, name=name, values=values)

    async def publish(self, peer: str, stream: str, **options: Any) -> None:
        """Offer the fake camera and microphone; see `publish` in the page."""
        size = {"width": 640, "height": 360, "rate": 20, "codecs": ["VP8"], **options}
        await self.call("publish", peer, stream, size)

    async def view(self, peer: str, stream: str, **options: Any) -> None:
        """Offer to receive sound and picture; see `view` in the page."""
        await self.call("view", peer, stream, options)

    async def wait(self, peer: str, *wanted: Wanted, seconds: float = 15.0) -> Figures:
        """Until the figures of a peer are as wanted; the error has all that they were."""
        found: Figures = await self.call("wait", peer, wanted, seconds)
        return found

    async def figures(self, peer: str) -> Figures:
        """Of now."""
        found: Figures = await self.call("figures", peer)
        return found

    async def fill(self, selector: str, value: str) -> None:
        """Type into a field."""
        await self.session.ask("fill", page=self.name, selector=selector, value=value)

    async def click(self, selector: str) -> None:
        """Click on what can be clicked."""
        await self.session.ask("click", page=self.name, selector=selector)

    async def shut(self) -> None:
        """Close the tab, as a person does: the page may say goodbye."""
        await self.session.ask("shut", page=self.name)

    async def crash(self) -> None:
        """Kill the page."""
        await self.session.ask("crash", page=self.name)


def missing() -> str | None:
    """What this machine lacks to run a browser; None when nothing."""
    if _chromium() is None:
        return "no chromium on the path"
    if shutil.which("node") is None:
        return "no node on the path"
    if not (HERE / "node_modules" / "playwright-core").is_dir():
        return "no playwright-core: npm install --prefix tests/browser"
    return None


def _chromium() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Chromium:
    """Driven by node."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._to, self._from = process.stdin.fileno(), process.stdout.fileno()
        self._unread = bytearray()
        self._asked = 0
        self.version = ""

    @asynccontextmanager
    async def use(self) -> AsyncIterator["ChromiumSession"]:
        """See Browser."""
        to, back = trio.lowlevel.FdStream(os.dup(self._to)), trio.lowlevel.FdStream(os.dup(self._from))
        async with to, back:
            session = ChromiumSession(self, to, back)
            try:
                yield session
            finally:
                with trio.move_on_after(QUIT_SECONDS, shield=True):
                    await session.ask("closeAll")

    def next_number(self) -> int:
        """Of a request; never used twice, so that a late answer is known for what it is."""
        self._asked += 1
        return self._asked

    def lines(self, data: bytes | bytearray) -> Iterator[dict[str, Any]]:
        """Answers that `data` completes; an unfinished one waits here for whoever reads next."""
        self._unread += data
        while (end := self._unread.find(b"\n")) >= 0:
            line = bytes(self._unread[:end])
            del self._unread[: end + 1]
            yield json.loads(line)


class ChromiumSession:
    """See Session."""

    def __init__(self, browser: Chromium, to: trio.abc.SendStream, back: trio.abc.ReceiveStream) -> None:
        self._browser, self._to, self._back = browser, to, back
        self._one_at_a_time = trio.Lock()

    async def ask(self, task: str, **values: Any) -> Any:
        """See Session."""
        async with self._one_at_a_time:
            number = self._browser.next_number()
            line = json.dumps({"id": number, "task": task, **values})
            with trio.fail_after(CALL_SECONDS):
                await self._to.send_all(line.encode() + b"\n")
                answer = await self._answer(number)
        if "error" in answer:
            raise PageError(answer["error"])
        return answer["value"]

    async def _answer(self, number: int) -> dict[str, Any]:
        while data := await self._back.receive_some():
            # All of them are read: a line that is left over would be nobody's.
            mine = [one for one in self._browser.lines(data) if one["id"] == number]
            if mine:
                return mine[0]
        raise PageError("the browser's driver has ended")

    async def open(self, name: str, url: str) -> Page:
        """See Session."""
        await self.ask("open", page=name, url=url)
        return Page(self, name)


@contextmanager
def launched() -> Iterator[Chromium]:
    """A running browser; it is gone afterwards, and its profile with it."""
    chromium = _chromium()
    assert chromium is not None, "the caller has looked"
    command: Sequence[str] = ("node", str(HERE / "driver.mjs"), chromium)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            browser = Chromium(process)
            assert process.stdout is not None
            browser.version = json.loads(process.stdout.readline() or b"{}").get("value", "")
            if not browser.version:
                raise PageError("the browser does not start; its words are on stderr")
            yield browser
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(QUIT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
