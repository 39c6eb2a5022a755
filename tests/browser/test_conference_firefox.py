"""Firefox and Chromium at the conference page of our own server."""

import pytest
import trio

from tests.browser.browser import Browser
from tests.browser.firefox import listening
from tests.browser.test_conference import FIRST_FRAME_SECONDS, PUBLISHED, UNPUBLISHED
from tests.browser.test_firefox import large
from tests.browser.venue import open_venue

CLOSED_SECONDS = 3.0
BACK_SECONDS = 12.0
"""Firefox does not count what ICE answers: that nobody is there shows by four seconds without a report."""
pytestmark = pytest.mark.slow


async def test_at_the_page_both_see_and_hear_each_other_and_get_on_after_the_death_of_a_worker(
    firefox: Browser, browser: Browser
) -> None:
    async with open_venue(firefox, listening=listening()) as venue, browser.use() as other:
        bob = await venue.person("bob", session=other)
        ann = await venue.publisher("ann")
        found = await bob.until_it_plays()
        print(f"Firefox to Chromium: first frame {found['firstFrame']:.0f} ms after viewStream")
        await bob.page.click("#camera")
        found = await ann.until_it_plays()
        print(f"Chromium to Firefox: first frame {found['firstFrame']:.0f} ms after viewStream")
        assert found["firstFrame"] < 1000 * FIRST_FRAME_SECONDS
        assert found["video.packetsLost"] == 0
        venue.kill_worker()
        began = trio.current_time()
        await ann.until(lambda state: state["version"] >= 8, seconds=BACK_SECONDS)
        for person in (ann, bob):
            await person.until_it_plays(seconds=BACK_SECONDS)
        print(f"both see and hear each other again after {trio.current_time() - began:.1f} s")
        await bob.page.click("#camera")
        await ann.until_told(PUBLISHED, UNPUBLISHED)
        assert (await ann.stats())["viewed"] == []
        await ann.page.click("#camera")
        await bob.until_told(UNPUBLISHED, UNPUBLISHED)
        await venue.until_peers(0)


@large
async def test_whose_tab_of_firefox_is_closed_is_gone_from_the_pictures_at_once(firefox: Browser) -> None:
    async with open_venue(firefox, listening=listening()) as venue:
        bob = await venue.person("bob")
        ann = await venue.publisher("ann")
        await bob.until_it_plays()
        await ann.page.shut()
        # Firefox drops one goodbye in five; that the connection ends is always told.
        await bob.until(lambda state: state["streams"] == [], seconds=CLOSED_SECONDS)
        assert (await bob.stats())["viewed"] == []


@large
async def test_that_media_are_on_loopback_only_is_said_in_words(firefox: Browser) -> None:
    async with open_venue(firefox) as venue:
        ann = await venue.publisher("ann")
        await ann.until(lambda state: "at 127.0.0.1 only" in state["message"])
