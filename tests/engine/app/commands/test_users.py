"""Who may call, administered from the command line."""

from pathlib import Path
from typing import Any

import pytest
import trio

from engine.app.commands.users import add, list_all, remove, token
from engine.app.users import SqliteUsers, User
from engine.errors import ConfigurationError, UnavailableError

JOURNAL = "sqlite:///my%20calls.db"
NOBODY: dict[str, Any] = {"names": {}, "privacy_mode": 0}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def owner(given: str) -> User | None:
    users = SqliteUsers("my calls.db")
    try:
        return trio.run(users.by_token, given)
    finally:
        users.close()


def test_a_user_is_added_with_a_token_and_changed_by_adding_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert add(JOURNAL, "ann", {"first_name": "Ann", "company_name": "ACME"}, privacy_mode=0) == 0
    first = capsys.readouterr().out.strip()
    assert add(JOURNAL, "ann", {"first_name": "", "last_name": "Lee"}, privacy_mode=1) == 0
    second = capsys.readouterr().out.strip()
    expected = User(id="ann", first_name="Ann", last_name="Lee", company_name="ACME", privacy_mode=1)
    assert owner(first) == owner(second) == expected


def test_the_push_mark_is_set_kept_and_taken_away(capsys: pytest.CaptureFixture[str]) -> None:
    for push, expected in ((None, False), (True, True), (None, True), (False, False)):
        assert add(JOURNAL, "ann", {}, privacy_mode=0, push=push) == 0
        user = owner(capsys.readouterr().out.strip())
        assert user is not None
        assert user.push is expected


def test_users_are_listed_as_a_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    add(JOURNAL, "bob", {"first_name": "Bob", "company_title": "Boss"}, privacy_mode=1)
    capsys.readouterr()
    assert list_all(JOURNAL) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("bob", "Bob", "Boss", "yes"))


def test_a_new_token_leaves_the_old_ones_valid(capsys: pytest.CaptureFixture[str]) -> None:
    add(JOURNAL, "ann", **NOBODY)
    first = capsys.readouterr().out.strip()
    assert token(JOURNAL, "ann") == 0
    second = capsys.readouterr().out.strip()
    assert first != second
    assert owner(first) == owner(second) == User(id="ann")


def test_a_removed_user_has_no_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    add(JOURNAL, "ann", **NOBODY)
    given = capsys.readouterr().out.strip()
    assert remove(JOURNAL, "ann") == 0
    assert owner(given) is None


def test_an_unknown_user_is_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    add(JOURNAL, "ann", **NOBODY)
    assert token(JOURNAL, "bob") == 1
    assert remove(JOURNAL, "bob") == 1
    assert capsys.readouterr().err.count("there is no user bob") == 2


@pytest.mark.parametrize("journal", ["memory:", "sqlite://host/x.db", "postgresql://x"])
def test_users_need_a_file(journal: str) -> None:
    with pytest.raises(ConfigurationError):
        list_all(journal)


def test_only_adding_makes_a_file(tmp_path: Path) -> None:
    for command in (list_all, lambda url: token(url, "ann"), lambda url: remove(url, "ann")):
        with pytest.raises(UnavailableError, match="there is no file"):
            command(JOURNAL)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("user", ["", " ", "\udcff"])
def test_an_id_that_nobody_could_have_is_refused(user: str) -> None:
    with pytest.raises(ConfigurationError):
        add(JOURNAL, user, **NOBODY)
