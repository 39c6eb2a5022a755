"""A writer to be killed: `python -m tests.engine.journal.victim calls.db` prints what is acknowledged."""

import os
import sys
from itertools import count

import trio

from engine.journal.port import Write
from engine.journal.sqlite import SqliteJournal
from tests.engine.journal.shelf import event

WRITERS = 20


async def write(journal: SqliteJournal, stream: str) -> None:
    head = (await journal.load(stream)).head
    for number in count():
        timer = ("ring", float(number) if number % 3 else None)
        events = tuple(event(f"{stream} {head + 1 + offset}") for offset in range(1 + number % 2))
        (head,) = await journal.append(Write(stream, head, events, timers=(timer,)))
        # One write call for each line, so that no acknowledged one waits in a buffer of ours.
        os.write(1, f"{stream} {head}\n".encode())


async def main(path: str) -> None:
    async with SqliteJournal(path) as journal, trio.open_nursery() as nursery:
        for number in range(WRITERS):
            nursery.start_soon(write, journal, f"call{number}")


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
