"""Chromium at the conference page of our own server."""

import pytest
import trio

from tests.browser.browser import Browser
from tests.browser.venue import Person, Venue, open_venue
from tests.engine.media.rigs import OFFER, VIEW_OFFER

pytestmark = pytest.mark.slow

FIRST_FRAME_SECONDS = 2.0
ACCEPTED_SECONDS = 2.0
BACK_SECONDS = 8.0
"""A browser takes a second and a half to find out that nobody answers it, and a busy machine more."""
PUBLISHED, UNPUBLISHED = "ConferenceStreamPublishedEvent", "ConferenceStreamUnpublishedEvent"
JOINED, LEFT, ENDED = "ConferenceJoinedEvent", "ConferenceLeftEvent", "ConferenceEndedEvent"
METADATA = "ConferenceMetadataUpdatedEvent"


async def ann_and_bob(venue: Venue) -> tuple[Person, Person]:
    """Ann publishes, and bob sees and hears her.

    Silent, she is sick for four seconds before she is removed: pages look at the health of others every two.
    """
    bob = await venue.person("bob", by_relay=True)
    ann = await venue.publisher("ann", keep_alive_seconds=3)
    found = await bob.until_it_plays()
    print(f"first frame {found['firstFrame']:.0f} ms after viewStream")
    assert found["firstFrame"] < 1000 * FIRST_FRAME_SECONDS
    return ann, bob


async def version_of(person: Person) -> int:
    """The version that the page has come to, with no event left out and none told twice."""
    versions = [one["conferenceVersion"] for one in await person.events()]
    assert versions == list(range(versions[0], versions[0] + len(versions)))
    version: int = (await person.state())["version"]
    assert version == versions[-1] + 1
    return version


async def test_what_one_publishes_another_sees_and_hears_until_it_is_unpublished(browser: Browser) -> None:
    async with open_venue(browser) as venue:
        ann, bob = await ann_and_bob(venue)
        before = await bob.until_it_plays()
        await trio.sleep(1)
        [after] = (await bob.stats())["viewed"]
        for name in ("video.framesDecoded", "audio.totalSamplesReceived"):
            assert after[name] > before[name]
        await ann.page.click("#camera")
        await bob.until_told(JOINED, PUBLISHED, UNPUBLISHED)
        assert (await bob.stats())["viewed"] == []
        await venue.until_peers(0)
        assert await version_of(bob) == await version_of(ann)


async def test_who_mutes_is_seen_to_be_muted(browser: Browser) -> None:
    async with open_venue(browser) as venue:
        ann, bob = await ann_and_bob(venue)
        [stream] = (await bob.state())["streams"]
        await ann.page.click("#mute-audio")
        await bob.until(lambda state: state["muted"] == [f"audio/{stream['id']}"])
        await ann.page.click("#mute-audio")
        await bob.until(lambda state: state["muted"] == [])
        assert (await bob.types())[-2:] == [METADATA, METADATA]


async def test_who_is_killed_becomes_sick_and_then_is_removed(browser: Browser) -> None:
    async with open_venue(browser) as venue:
        ann, bob = await ann_and_bob(venue)
        await ann.page.crash()
        await venue.until_health({"ann": "SICK", "bob": "HEALTHY"})
        await bob.until(lambda state: "SICK" in [one["health"] for one in state["people"]])
        await venue.until_health({"bob": "HEALTHY"})
        await bob.until_told(UNPUBLISHED, LEFT)
        assert (await bob.stats())["viewed"] == []
        await venue.until_peers(0)


async def test_who_closes_the_tab_says_goodbye(browser: Browser) -> None:
    async with open_venue(browser) as venue:
        ann, bob = await ann_and_bob(venue)
        await ann.page.shut()
        await bob.until_told(UNPUBLISHED, LEFT, seconds=1.5)
        assert (await bob.events())[-1]["reason"] == "the page was closed"


async def test_after_the_death_of_the_media_worker_all_get_on(browser: Browser) -> None:
    async with open_venue(browser) as venue:
        ann, bob = await ann_and_bob(venue)
        await bob.page.click("#camera")
        await ann.until_it_plays()
        venue.kill_worker()
        began = trio.current_time()
        await bob.until(lambda state: state["version"] >= 8, seconds=BACK_SECONDS)
        for person in (ann, bob):
            await person.until_it_plays(seconds=BACK_SECONDS)
        print(f"all see and hear each other again after {trio.current_time() - began:.1f} s")
        assert (await bob.types()).count(UNPUBLISHED) == 2
        assert await version_of(bob) == await version_of(ann)


async def seconds_until_accepted(venue: Venue, stream: dict[str, str]) -> float:
    """How long after a worker's death its stream is published and viewed again, by who asks at once."""
    await venue.until_spare()
    published = {**stream, "conferenceStreamType": "CAM", "sdpOffer": OFFER}
    assert (await venue.post("eve", "conferences/publishStream", **published))[0] == 200
    venue.kill_worker()
    began = trio.current_time()
    with trio.fail_after(BACK_SECONDS):
        # Until the server has seen that the worker is dead, it says that the stream is there.
        while (await venue.post("eve", "conferences/publishStream", **published))[0] != 200:  # noqa: ASYNC110
            await trio.sleep(0.05)
        assert (await venue.post("eve", "conferences/viewStream", **stream, sdpOffer=VIEW_OFFER))[0] == 200
    seconds = trio.current_time() - began
    assert (await venue.post("eve", "conferences/unpublishStream", **stream))[0] == 204
    return seconds


async def test_within_two_seconds_of_a_workers_death_all_is_accepted_again(browser: Browser) -> None:
    async with open_venue(browser) as venue:
        eve = {"conferenceId": "c1", "userEndpointId": "eve-1"}
        registered = {"keepAliveSeconds": 60, "userEndpointId": "eve-1"}
        assert (await venue.post("eve", "users/endpoints/register", **registered))[0] == 200
        for path in ("create", "join"):
            assert (await venue.post("eve", f"conferences/{path}", **eve))[0] == 200
        seconds = [
            await seconds_until_accepted(venue, {**eve, "streamId": one}) for one in ("s1", "s2", "s3")
        ]
        print("accepted again after", *(f"{one:.2f} s" for one in seconds))
        assert max(seconds) < ACCEPTED_SECONDS


async def test_who_comes_late_sees_what_is_published(browser: Browser) -> None:
    async with open_venue(browser) as venue:
        ann, bob = await ann_and_bob(venue)
        await bob.page.click("#camera")
        await ann.until_it_plays()
        eve = await venue.person("eve")
        await eve.until_it_plays()
        assert len((await eve.stats())["viewed"]) == 2
        assert await eve.events() == []


async def test_who_is_cut_off_resumes_without_a_gap(browser: Browser) -> None:
    async with open_venue(browser) as venue:
        ann, bob = await ann_and_bob(venue)
        venue.relay.cut()
        await bob.until(lambda state: state["way"] == "connecting")
        for _ in range(4):
            await ann.page.click("#mute-audio")
        await ann.until(lambda state: state["version"] == 7)
        venue.relay.mend()
        await bob.until(lambda state: state["version"] == 7 and state["way"] == "socket")
        assert await version_of(bob) == 7
        assert (await bob.state())["resumed"] >= 1
        # Media goes its own way, and was never interrupted.
        assert (await bob.stats())["viewed"][0]["negotiations"] == 1


async def test_who_gets_no_socket_polls(browser: Browser) -> None:
    async with open_venue(browser) as venue:
        venue.relay.takes_sockets = False
        ann = await venue.person("ann")
        bob = await venue.person("bob", by_relay=True)
        assert (await bob.state())["way"] == "poll"
        await ann.page.click("#camera")
        await bob.until_it_plays()
        await ann.page.click("#end")
        await bob.until(lambda state: state["stage"] == "outside")
        assert await bob.types() == [PUBLISHED, ENDED]
        assert "ended" in (await bob.state())["message"]


async def test_who_polls_goes_back_to_a_socket_as_soon_as_one_is_to_be_had(browser: Browser) -> None:
    async with open_venue(browser) as venue:
        venue.relay.takes_sockets = False
        ann = await venue.person("ann")
        bob = await venue.person("bob", by_relay=True)
        assert (await bob.state())["way"] == "poll"
        venue.relay.takes_sockets = True
        await bob.until(lambda state: state["way"] == "socket")
        # And hears by it, without a gap between the two.
        await ann.page.click("#camera")
        await bob.until_it_plays()
        # A server that was away for longer than two sockets take to fail.
        before = (await bob.state())["resumed"]
        venue.relay.cut()
        await bob.until(lambda state: state["resumed"] >= before + 3)
        venue.relay.mend()
        await bob.until(lambda state: state["way"] == "socket")
        await ann.page.click("#end")
        await bob.until(lambda state: state["stage"] == "outside")
        assert await bob.types() == [PUBLISHED, ENDED]


async def test_what_is_wrong_is_said_in_words(browser: Browser) -> None:
    async with open_venue(browser) as venue:
        person = await venue.stranger()
        await person.sign_in("nobody")
        await person.until(lambda state: state["message"] == "The client id or its secret is wrong.")
        await person.sign_in("ann", user="bob")
        await person.until(lambda state: state["message"] == "This client may not speak for that user.")


async def test_a_program_speaks_for_a_user_and_a_token_does_as_well(browser: Browser) -> None:
    async with open_venue(browser) as venue:
        by_program = await venue.stranger("program")
        await by_program.sign_in("service", user="ann")
        await by_program.enter()
        by_token = await venue.stranger("token")
        await by_token.page.click("#stranger > details > summary")
        await by_token.page.fill("#use-token [name=token]", await venue.token_of("bob"))
        await by_token.page.click("#use-token [type=submit]")
        await by_token.enter()
        state = await by_token.state()
        assert [one["user"] for one in state["people"]] == ["ann", "bob"]
