"""`switchhook users`: who may call, in the journal's file."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
import trio
from rich.console import Console
from rich.table import Table

from engine.app.users import SqliteUsers, User
from engine.errors import ConfigurationError, UnavailableError
from engine.journal.opening import path_of


def add(
    journal: str, user_id: str, names: Mapping[str, str], *, privacy_mode: int, push: bool | None = None
) -> int:
    """Add or change a user and print a token; None leaves the push mark as it is.

    Raises:
        ConfigurationError: the journal has no file.
    """
    if not user_id.strip():
        raise ConfigurationError("USER", "must not be empty")
    if not _is_text((user_id, *names.values())):
        raise ConfigurationError("USER", "must be UTF-8, and so must the names")
    users = _users(journal, made=True)

    async def work() -> str:
        known = await users.get(user_id) or User(id=user_id)
        changes: dict[str, Any] = {name: value for name, value in names.items() if value}
        if push is not None:
            changes["push"] = push
        await users.set(attrs.evolve(known, **changes, privacy_mode=privacy_mode))
        return await users.add_token(user_id)

    sys.stdout.write(trio.run(work) + "\n")
    return 0


def list_all(journal: str) -> int:
    """Print a table of the users."""
    table = Table("id", "name", "company", "title", "incognito", "push")
    for user in trio.run(_users(journal).all):
        name = f"{user.first_name} {user.last_name}".strip()
        marks = ("yes" if mark else "" for mark in (user.privacy_mode, user.push))
        table.add_row(user.id, name, user.company_name, user.company_title, *marks)
    Console().print(table)
    return 0


def token(journal: str, user_id: str) -> int:
    """Print a new token; 1 when there is no such user."""
    try:
        sys.stdout.write(trio.run(_users(journal).add_token, user_id) + "\n")
    except KeyError:
        return _unknown(user_id)
    return 0


def remove(journal: str, user_id: str) -> int:
    """Remove a user; 1 when there is no such user."""
    return 0 if trio.run(_users(journal).remove, user_id) else _unknown(user_id)


def _is_text(values: Iterable[str]) -> bool:
    try:
        "".join(values).encode()
    except UnicodeEncodeError:
        # The shell may hand over any bytes; Python keeps those that are no text as lone surrogates.
        return False
    return True


def _unknown(user_id: str) -> int:
    sys.stderr.write(f"switchhook: there is no user {user_id}; `switchhook users list` names them\n")
    return 1


def _users(journal: str, *, made: bool = False) -> SqliteUsers:
    """The users beside `journal`, whose file is only made on purpose."""
    if not journal.startswith("sqlite:"):
        raise ConfigurationError("--journal", "users live in a file: use sqlite:///FILE")
    path = path_of(journal)
    if not made and not Path(path).exists():
        raise UnavailableError(f"there is no file {path}; `switchhook users add` or `serve` makes it")
    return SqliteUsers(path)
