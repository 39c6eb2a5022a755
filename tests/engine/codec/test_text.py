"""Limits and faults of JSON text."""

import pytest

from engine.codec.text import Limits, parse
from engine.errors import RemoteProtocolError

LIMITS = Limits(bytes_max=100, depth_max=3, string_max=10, items_max=4)


def reason(text: str | bytes, limits: Limits = LIMITS) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        parse(text, limits)
    assert caught.value.path == "$"
    return caught.value.reason


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-Infinity", "1e999", "{", "", '"\\ud800"', '{"a":1,}', "01"]
)
def test_what_is_not_json_is_refused(text: str) -> None:
    assert reason(text).startswith("is not JSON")


def test_what_is_not_unicode_is_refused() -> None:
    assert reason(b'"\xff"') == "is not UTF-8"
    assert reason('"\ud800"') == "is not Unicode: it has a lone surrogate"


def test_text_may_be_as_long_as_the_limit_and_not_longer() -> None:
    assert parse(" " * 99 + "1", LIMITS) == 1
    assert reason(" " * 100 + "1") == "is longer than 100 bytes"


def test_length_is_counted_in_bytes() -> None:
    limits = Limits(bytes_max=6)
    assert parse('"éé"', limits) == "éé"
    assert reason('"ééé"', limits) == "is longer than 6 bytes"


def test_depth_may_reach_the_limit_and_not_pass_it() -> None:
    assert parse('[{"a":[1]}]', LIMITS) == [{"a": [1]}]
    assert reason("[[[[]]]]") == "is nested deeper than 3 levels"


def test_depth_beyond_what_the_parser_bears_is_refused_the_same_way() -> None:
    assert reason("[" * 100_000, Limits()) == "is nested deeper than 32 levels"


def test_collections_may_reach_the_limit_and_not_pass_it() -> None:
    assert parse("[1,2,3,4]", LIMITS) == [1, 2, 3, 4]
    assert reason("[1,2,3,4,5]") == "has more than 4 items in one place"
    assert reason('{"a":1,"b":2,"c":3,"d":4,"e":5}') == "has more than 4 items in one place"


def test_strings_and_keys_may_reach_the_limit_and_not_pass_it() -> None:
    ten = "x" * 10
    assert parse(f'{{"{ten}":["{ten}",1]}}', LIMITS) == {ten: [ten, 1]}
    assert reason(f'["{ten}x"]') == "has a string longer than 10 bytes"
    assert reason(f'{{"{ten}x":1}}') == "has a string longer than 10 bytes"


def test_a_key_given_twice_is_refused() -> None:
    assert reason('{"a":1,"a":2}') == "has a key twice in one object"
    assert reason('[{"a":{"b":1,"\\u0062":2}}]') == "has a key twice in one object"


def test_colons_inside_strings_are_not_keys() -> None:
    assert parse('{"a:b":":","c":"\\":"}', LIMITS) == {"a:b": ":", "c": '":'}


def test_reasons_do_not_quote_the_text() -> None:
    assert "secret" not in reason('{"secret" "secret"}')


@pytest.mark.parametrize(
    "text", ['"' + '\\"' * 120_000, '{"a":"' + ":" * 200_000 + '"' + ":" * 10, '"' * 200_000]
)
def test_hostile_text_is_refused_in_linear_time(text: str) -> None:
    # A quadratic scan of 240 KB would take minutes; the test does not measure, it would not end.
    assert reason(text, Limits()).startswith("is not JSON")


def test_hostile_colons_inside_a_long_string_are_scanned_once() -> None:
    text = '{"a":"' + '\\":' * 40_000 + '","a":1}'
    assert reason(text, Limits()) == "has a key twice in one object"
