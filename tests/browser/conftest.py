"""The one browser of this folder."""

import os
from collections.abc import Iterator

import pytest

from tests.browser.browser import Browser, launched, missing

REQUIRED = "SWITCHHOOK_REQUIRE_BROWSER"
"""When it is 1, a machine without a browser fails instead of skipping."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    lack = missing()
    if lack is not None and os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{REQUIRED} is set, and there is {lack}")
    if lack is not None:
        pytest.skip(lack)
    with launched() as running:
        yield running
