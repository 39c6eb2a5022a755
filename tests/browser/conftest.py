"""The two browsers of this folder; each is launched once."""

import os
from collections.abc import Iterator

import pytest

from tests.browser import browser as chromium
from tests.browser import firefox as gecko
from tests.browser.browser import Browser

REQUIRED = "SWITCHHOOK_REQUIRE_BROWSER"
"""When it is 1, a machine without Chromium fails instead of skipping."""
REQUIRED_FIREFOX = "SWITCHHOOK_REQUIRE_FIREFOX"
"""Likewise."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    _demand(chromium.missing(), REQUIRED)
    with chromium.launched() as running:
        yield running


@pytest.fixture(scope="session")
def firefox() -> Iterator[Browser]:
    _demand(gecko.missing(), REQUIRED_FIREFOX)
    with gecko.launched() as running:
        yield running


def _demand(lack: str | None, flag: str) -> None:
    if lack is not None and os.environ.get(flag) == "1":
        pytest.fail(f"{flag} is set, and there is {lack}")
    if lack is not None:
        pytest.skip(lack)
