"""Users in memory and in the journal's file, alone and beside other writers."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import apsw
import attrs
import pytest
import trio
import trio.testing

from engine.app.users import CACHE_SECONDS, Avatar3d, MemoryUsers, SqliteUsers, User
from engine.errors import UnavailableError
from engine.journal.port import NewEvent, Write
from engine.journal.sqlite import SqliteJournal

Directory: TypeAlias = MemoryUsers | SqliteUsers

ANN = User(
    id="ann",
    first_name="Ann",
    last_name="Lee",
    privacy_mode=1,
    avatar="https://pictures.example/ann.png",
    avatar3d=Avatar3d(asset_id="a1", asset_skins={"hat": "red"}, avatar_url="u", avatar_user_id="x"),
    company_name="ACME",
    company_title="CTO",
    do_not_disturb=True,
)
BOB = User(id="bob")
ODD = "\ud800"


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.db"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def users(path: Path, clock: Clock) -> Iterator[SqliteUsers]:
    directory = SqliteUsers(path, clock=clock)
    yield directory
    directory.close()


@pytest.fixture
def elsewhere(path: Path) -> Iterator[SqliteUsers]:
    """The same file in another process, as far as caches go."""
    directory = SqliteUsers(path)
    yield directory
    directory.close()


@pytest.fixture(params=["memory", "sqlite"])
def either(request: pytest.FixtureRequest, users: SqliteUsers) -> Directory:
    return MemoryUsers() if request.param == "memory" else users


def take_away(path: Path) -> None:
    """Leave nothing at `path` that could be opened."""
    for file in path.parent.iterdir():
        file.unlink()
    path.mkdir()


async def test_a_user_is_found_by_id_as_he_was_set(either: Directory) -> None:
    assert await either.get("ann") is None
    await either.set(ANN)
    assert await either.get("ann") == ANN
    assert either.get_cached("ann") == ANN
    changed = attrs.evolve(ANN, company_title="CEO")
    await either.set(changed)
    assert await either.get("ann") == changed


async def test_a_user_is_found_by_each_of_his_tokens(either: Directory) -> None:
    await either.set(ANN)
    await either.set(BOB)
    tokens = [await either.add_token("ann"), await either.add_token("ann"), await either.add_token("bob")]
    for _ in range(2):
        assert [await either.by_token(token) for token in tokens] == [ANN, ANN, BOB]
    assert len(set(tokens)) == 3
    assert all(len(token) == 43 for token in tokens)


async def test_a_wrong_token_is_nobodys(either: Directory) -> None:
    await either.set(ANN)
    token = await either.add_token("ann")
    for wrong in ("", token[:-1], token.swapcase(), ODD, "ann"):
        assert await either.by_token(wrong) is None


async def test_an_id_that_is_no_text_is_nobodys(either: Directory) -> None:
    assert await either.get(ODD) is None
    assert not await either.remove(ODD)
    with pytest.raises(KeyError):
        await either.add_token(ODD)


async def test_a_token_for_nobody_is_an_error(either: Directory) -> None:
    with pytest.raises(KeyError):
        await either.add_token("eve")


async def test_revoked_tokens_are_dead_at_once(either: Directory) -> None:
    await either.set(ANN)
    await either.set(BOB)
    ann, bob = await either.add_token("ann"), await either.add_token("bob")
    assert await either.by_token(ann) == ANN
    assert await either.revoke_tokens("ann") == 1
    assert await either.revoke_tokens("ann") == 0
    assert await either.by_token(ann) is None
    assert await either.by_token(bob) == BOB
    assert await either.get("ann") == ANN


async def test_a_removed_user_is_gone_with_his_tokens_also_when_he_comes_back(either: Directory) -> None:
    await either.set(ANN)
    token = await either.add_token("ann")
    assert await either.by_token(token) == ANN
    assert await either.remove("ann")
    assert not await either.remove("ann")
    assert await either.get("ann") is None
    assert either.get_cached("ann") is None
    await either.set(ANN)
    assert await either.get("ann") == ANN
    assert await either.by_token(token) is None


async def test_users_are_listed_in_the_order_of_ids(either: Directory) -> None:
    for user in (BOB, ANN):
        await either.set(user)
    assert await either.all() == [ANN, BOB]


def test_memory_has_nothing_to_close() -> None:
    MemoryUsers().close()


async def test_no_token_is_in_the_file(users: SqliteUsers, path: Path) -> None:
    await users.set(ANN)
    token = await users.add_token("ann")
    users.close()
    stored = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"ACME" in stored
    assert token.encode() not in stored


async def test_what_another_process_adds_is_found_at_once(users: SqliteUsers, elsewhere: SqliteUsers) -> None:
    assert await users.get("ann") is None
    await elsewhere.set(ANN)
    token = await elsewhere.add_token("ann")
    assert await users.by_token(token) == ANN
    assert await users.get("ann") == ANN


async def test_what_another_process_changes_is_noticed_when_the_cache_is_old(
    users: SqliteUsers, elsewhere: SqliteUsers, clock: Clock
) -> None:
    await elsewhere.set(ANN)
    token = await elsewhere.add_token("ann")
    assert await users.by_token(token) == ANN
    await elsewhere.remove("ann")
    clock.now = CACHE_SECONDS - 0.01
    assert await users.by_token(token) == ANN
    assert users.get_cached("ann") == ANN
    clock.now = CACHE_SECONDS
    assert users.get_cached("ann") is None
    assert await users.by_token(token) is None
    assert await users.get("ann") is None


async def test_a_known_user_is_not_read_from_the_disk(users: SqliteUsers, path: Path) -> None:
    await users.set(ANN)
    token = await users.add_token("ann")
    assert await users.by_token(token) == ANN
    users.close()
    take_away(path)
    assert await users.by_token(token) == ANN
    assert await users.get("ann") == ANN
    with pytest.raises(UnavailableError):
        await users.get("bob")


async def test_the_cache_keeps_those_used_last(tmp_path: Path) -> None:
    users = SqliteUsers(tmp_path / "users.db", cache_max=2)
    for name in ("a", "b", "c"):
        await users.set(User(id=name))
    for name in ("a", "b", "a", "c"):
        await users.get(name)
    assert [users.get_cached(name) is not None for name in ("a", "b", "c")] == [True, False, True]
    users.close()


async def test_what_was_read_before_a_change_is_not_kept_after_it(users: SqliteUsers) -> None:
    await users.set(ANN)
    changed = attrs.evolve(ANN, company_title="CEO")
    # Reads and the change are queued behind each other in any order; whatever it is, nothing old is kept.
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(users.get, "ann")
        nursery.start_soon(users.set, changed)
        for _ in range(20):
            nursery.start_soon(users.get, "ann")
    assert await users.get("ann") == changed


async def test_an_answer_that_a_change_has_overtaken_is_not_kept(
    users: SqliteUsers, monkeypatch: pytest.MonkeyPatch
) -> None:
    await users.set(ANN)
    run, overtaken = users._run, False

    async def slow(statement: str, values: tuple[object, ...]) -> list[tuple[object, ...]]:
        nonlocal overtaken
        rows = await run(statement, values)
        if not overtaken:
            overtaken = True
            await users.remove("ann")
        return rows

    monkeypatch.setattr(users, "_run", slow)
    assert await users.get("ann") == ANN
    assert users.get_cached("ann") is None


async def test_users_and_the_journal_share_a_file_whoever_comes_first(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    for first, file in ((True, path), (False, other)):
        users = SqliteUsers(file)
        if first:
            await users.set(ANN)
        async with SqliteJournal(file) as journal:
            await journal.append(Write("s", 0, (NewEvent("t", 1.0, b"x"),)))
            await users.set(BOB)
            token = await users.add_token("bob")
            assert await users.by_token(token) == BOB
            assert [event.data for event in (await journal.load("s")).events] == [b"x"]
            assert await journal.check() == []
        users.close()
        assert await SqliteUsers(file).get("bob") == BOB


async def test_users_are_changed_while_the_journal_writes(users: SqliteUsers, path: Path) -> None:
    async with SqliteJournal(path) as journal, trio.open_nursery() as nursery:

        async def write(stream: str) -> None:
            for version in range(50):
                await journal.append(Write(stream, version, (NewEvent("t", 1.0, b"x"),)))

        for number in range(4):
            nursery.start_soon(write, f"s{number}")
        for number in range(50):
            await users.set(User(id=f"u{number:02}"))
            await users.add_token(f"u{number:02}")
    assert len(await users.all()) == 50


async def test_a_writer_is_waited_for(users: SqliteUsers, path: Path) -> None:
    await users.set(ANN)
    writer = apsw.Connection(str(path))
    writer.execute("BEGIN IMMEDIATE")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(users.set, BOB)
        await trio.testing.wait_all_tasks_blocked()
        writer.execute("COMMIT")
    writer.close()
    assert await users.get("bob") == BOB


async def test_a_writer_that_does_not_let_go_makes_the_file_unavailable(path: Path) -> None:
    users = SqliteUsers(path, busy_seconds=0.01)
    await users.set(ANN)
    writer = apsw.Connection(str(path))
    writer.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError):
        await users.set(BOB)
    writer.close()
    await users.set(BOB)
    users.close()


async def test_a_file_that_is_no_database_is_unavailable_and_left_alone(path: Path) -> None:
    letter = b"not a database, but somebody's letter" * 100
    await trio.Path(path).write_bytes(letter)
    with pytest.raises(UnavailableError, match=r"calls\.db"):
        await SqliteUsers(path).get("ann")
    assert await trio.Path(path).read_bytes() == letter


async def test_a_damaged_row_is_an_error_that_does_not_quote_it(users: SqliteUsers, path: Path) -> None:
    await users.set(ANN)
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE users SET data = CAST('{\"secret\"' AS BLOB)")
    connection.close()
    with pytest.raises(UnavailableError, match="a row is damaged") as caught:
        await users.get("ann")
    assert "secret" not in str(caught.value)


async def test_a_closed_directory_opens_its_file_again(users: SqliteUsers) -> None:
    await users.set(ANN)
    users.close()
    users.close()
    assert await users.get("ann") == ANN
