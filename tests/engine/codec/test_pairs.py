"""Queries and forms as typed values."""

from typing import Literal

import attrs
import pytest
from attrs.validators import ge

from engine.codec.wire import WireCodec
from engine.errors import RemoteProtocolError
from tests.engine.codec.shapes import Mode, Privacy, UserId

CODEC = WireCodec()


@attrs.frozen(kw_only=True)
class Filter:
    """A field of each kind that a query may have."""

    user_id: UserId = ""
    since: int | None = attrs.field(default=None, validator=attrs.validators.optional(ge(0)))
    share: float = 0.0
    active: bool | None = None
    mode: Mode = Mode.VIDEOCHAT
    privacy: Privacy = Privacy.DEFAULT
    order: Literal["asc", "desc", 1] = "asc"
    modes: tuple[Mode, ...] = ()
    numbers: frozenset[int] | None = None


@pytest.mark.parametrize(
    ("pairs", "read"),
    [
        ([], Filter()),
        ([("userId", "5"), ("unknown", "x")], Filter(user_id=UserId("5"))),
        ([("userId", "")], Filter(user_id=UserId(""))),
        ([("since", "0")], Filter(since=0)),
        ([("since", "9223372036854775807")], Filter(since=9223372036854775807)),
        ([("share", "-0.25")], Filter(share=-0.25)),
        ([("share", "3")], Filter(share=3.0)),
        ([("active", "true")], Filter(active=True)),
        ([("active", "false")], Filter(active=False)),
        ([("mode", "networkConference")], Filter(mode=Mode.NETWORK)),
        ([("privacy", "1")], Filter(privacy=Privacy.INCOGNITO)),
        ([("order", "desc")], Filter(order="desc")),
        ([("order", "1")], Filter(order=1)),
        (
            [("modes", "videochat"), ("modes", "networkConference")],
            Filter(modes=(Mode.VIDEOCHAT, Mode.NETWORK)),
        ),
        ([("modes", "videochat")], Filter(modes=(Mode.VIDEOCHAT,))),
        ([("numbers", "1"), ("numbers", "2")], Filter(numbers=frozenset({1, 2}))),
    ],
)
def test_texts_are_read_as_what_their_fields_are(pairs: list[tuple[str, str]], read: Filter) -> None:
    assert CODEC.decode_pairs(pairs, Filter) == read


@pytest.mark.parametrize(
    ("pairs", "fault"),
    [
        ([("since", "x")], "query.since: wants an integer or null, got a string"),
        ([("since", "")], "query.since: wants an integer or null, got a string"),
        ([("since", "007")], "query.since: wants an integer or null, got a string"),
        ([("since", "٣")], "query.since: wants an integer or null, got a string"),
        ([("since", "1"), ("since", "2")], "query.since: wants an integer or null, got an array"),
        ([("share", "nan")], "query.share: wants a number, got a string"),
        ([("share", "1e999")], "query.share: wants a number, got a string"),
        ([("active", "1")], "query.active: wants a boolean or null, got a string"),
        ([("numbers", "1"), ("numbers", "x")], "query.numbers[1]: wants an integer, got a string"),
    ],
)
def test_what_does_not_fit_is_named(pairs: list[tuple[str, str]], fault: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        CODEC.decode_pairs(pairs, Filter)
    assert str(caught.value) == fault


def test_a_form_says_where_its_faults_are_and_all_of_them() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        CODEC.decode_pairs([("mode", "radio"), ("since", "x"), ("order", "up")], Filter, "form")
    assert sorted(path for path, _ in caught.value.faults) == ["form.mode", "form.order", "form.since"]


def test_a_validator_of_the_class_has_its_say() -> None:
    with pytest.raises(RemoteProtocolError, match=r"^query: "):
        CODEC.decode_pairs([("since", "-1")], Filter)


def test_a_missing_one_that_must_be_there_is_a_fault() -> None:
    required = attrs.make_class("Required", {"grant_type": attrs.field(type=str)}, frozen=True)
    with pytest.raises(RemoteProtocolError, match=r"query\.grantType"):
        CODEC.decode_pairs([("grant_type", "x")], required)
