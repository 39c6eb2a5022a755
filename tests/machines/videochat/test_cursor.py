"""How far a client has heard its user's log."""

from machines.videochat.cursor import Cursor


def heard(cursor: Cursor, *versions: int | None) -> list[int | None]:
    """Which of the versions are new."""
    return [version for version in versions if cursor.is_new(version)]


def test_a_version_is_new_once() -> None:
    cursor = Cursor(None)
    cursor.begin(0)
    assert heard(cursor, 1, 1, 2, 1, 3) == [1, 2, 3]


def test_events_outside_of_the_log_are_always_new() -> None:
    assert heard(Cursor(3), None, None) == [None, None]


def test_a_device_with_a_cursor_resumes_behind_what_it_heard() -> None:
    cursor = Cursor(4)
    cursor.begin(4)
    assert heard(cursor, 3, 4, 5) == [5]
    assert cursor.resume == 5


def test_a_device_without_one_asks_for_what_it_missed_until_it_has_it_all() -> None:
    cursor = Cursor(None)
    cursor.begin(7)
    assert heard(cursor, 3, 5) == [3, 5]
    assert cursor.resume is None
    cursor.begin(7)
    assert heard(cursor, 3, 5, 6) == [6]
    assert heard(cursor, 8) == [8]
    assert cursor.resume == 8


def test_an_answer_proves_that_nothing_missed_is_to_come() -> None:
    cursor = Cursor(None)
    cursor.begin(7)
    cursor.prove()
    assert cursor.resume == 7
    cursor.is_new(9)
    cursor.prove()
    assert cursor.resume == 9


def test_a_restored_backup_counts_anew_from_where_it_ends() -> None:
    cursor = Cursor(9)
    cursor.begin(5)
    assert cursor.resume == 5
    assert heard(cursor, 5, 6) == [6]


def test_a_restored_backup_is_heard_anew_by_a_device_without_a_cursor() -> None:
    cursor = Cursor(None)
    cursor.begin(9)
    heard(cursor, 8)
    cursor.begin(2)
    assert heard(cursor, 1, 2) == [1, 2]
    assert cursor.resume is None


def test_a_host_without_versions_is_resumed_as_it_was_begun() -> None:
    cursor = Cursor(None)
    cursor.begin(None)
    assert heard(cursor, None) == [None]
    assert cursor.resume is None
