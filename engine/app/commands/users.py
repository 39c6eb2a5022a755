"""`switchhook users`: who may call, in the journal's file."""

import sys
from collections.abc import Mapping

import attrs
import trio
from rich.console import Console
from rich.table import Table

from engine.app.users import SqliteUsers, User
from engine.errors import ConfigurationError


def add(journal: str, user_id: str, names: Mapping[str, str], *, privacy_mode: int) -> int:
    """Add or change a user and print a token.

    Raises:
        ConfigurationError: the journal has no file.
    """
    if not user_id.strip():
        raise ConfigurationError("USER", "must not be empty")
    users = _users(journal)

    async def work() -> str:
        known = await users.get(user_id) or User(id=user_id)
        changes = {name: value for name, value in names.items() if value}
        await users.set(attrs.evolve(known, **changes, privacy_mode=privacy_mode))  # type: ignore[arg-type]
        return await users.add_token(user_id)

    sys.stdout.write(trio.run(work) + "\n")
    return 0


def list_all(journal: str) -> int:
    """Print a table of the users."""
    table = Table("id", "name", "company", "title", "incognito")
    for user in trio.run(_users(journal).all):
        name = f"{user.first_name} {user.last_name}".strip()
        table.add_row(
            user.id, name, user.company_name, user.company_title, "yes" if user.privacy_mode else ""
        )
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


def _unknown(user_id: str) -> int:
    sys.stderr.write(f"switchhook: there is no user {user_id}; `switchhook users list` names them\n")
    return 1


def _users(journal: str) -> SqliteUsers:
    if not journal.startswith("sqlite:///"):
        raise ConfigurationError("--journal", "users live in a file: use sqlite:///FILE")
    return SqliteUsers(journal.removeprefix("sqlite:///"))
