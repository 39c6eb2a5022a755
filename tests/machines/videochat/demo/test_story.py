"""Calls of a journal as sequence diagrams."""

from machines.videochat.demo.story import announced, episodes_of, stories
from machines.videochat.settings import VideochatSettings
from machines.videochat.vocabulary import LINE, SeatGranted
from tests.machines.videochat.wiretap import exchange


def said(diagram: str) -> list[str]:
    """The arrows of a diagram, with names instead of numbers."""
    names = {}
    for line in diagram.splitlines():
        if line.strip().startswith("participant"):
            _, number, _, name = line.split()
            names[number] = name
    arrows = []
    for line in diagram.splitlines():
        if "->>" in line:
            parties, _, text = line.strip().partition(": ")
            source, _, target = parties.partition("->>")
            arrows.append(f"{names[source]} > {names[target]}: {text}")
    return arrows


async def test_an_accepted_call_is_told_in_the_words_of_the_api() -> None:
    async with exchange() as served, served.phone("ann", "phone") as ann, served.phone("bob", "desk") as bob:
        request_id = await ann.request("bob")
        await bob.hear("videochatRequested")
        await bob.ask("acceptVideochatRequest", {"videochatRequestId": request_id})
        (story,) = await stories(served.engine.runtime.journal)
    assert story.title.endswith("ann requests bob: accepted")
    assert said(story.diagram) == [
        "ann > server: requestDirectVideochat (from the phone)",
        "server > server: the ring begins (ringing)",
        "server > bob: videochatRequested (to every device)",
        "bob > server: acceptVideochatRequest (from the desk)",
        "server > server: the ring ends (accepted)",
        "server > ann: directVideochatRequestAccepted (to the phone)",
        "server > bob: videochatAccepted (to every device)",
    ]


async def test_a_call_taken_back_is_told_to_all_but_the_device_that_did_it() -> None:
    async with exchange() as served, served.phone("ann", "phone") as ann, served.phone("bob", "desk"):
        request_id = await ann.request("bob")
        await ann.ask("declineVideochatRequest", {"videochatRequestId": request_id})
        (story,) = await stories(served.engine.runtime.journal)
    assert said(story.diagram)[3:] == [
        "ann > server: declineVideochatRequest (from the phone)",
        "server > server: the ring ends (canceled)",
        "server > ann: videochatDeclined (to every device but the phone)",
        "server > bob: videochatDeclined (to every device)",
    ]


async def test_two_requests_that_meet_are_one_story() -> None:
    async with exchange() as served, served.phone("ann", "phone") as ann, served.phone("bob", "desk") as bob:
        await ann.request("bob")
        await bob.request("ann")
        (story,) = await stories(served.engine.runtime.journal)
    assert said(story.diagram)[3:] == [
        "bob > server: requestDirectVideochat (from the desk)",
        "server > server: two requests met (accepted)",
        "server > ann: directVideochatRequestAccepted (to the phone)",
        "server > bob: videochatAccepted (to every device)",
        "server > bob: directVideochatRequestAccepted (to the desk)",
    ]


async def test_invitations_and_merges_lead_into_the_running_videochat() -> None:
    async with (
        exchange() as served,
        served.phone("ann", "phone") as ann,
        served.phone("bob", "desk") as bob,
        served.phone("eve", "pad") as eve,
        served.phone("joe", "pad") as joe,
    ):
        request_id = await ann.request("bob")
        answer = await bob.ask("acceptVideochatRequest", {"videochatRequestId": request_id})
        room = {"videochatId": answer["data"]["videochatId"]}
        for one in (ann, bob):
            await one.ask("onConnection", room)
        merged = await eve.request("ann")
        await ann.ask("mergeToVideochat", room | {"videochatRequestId": merged})
        invited = await bob.ask("invite", room | {"targetUser": "joe"})
        await joe.ask("acceptVideochatRequest", invited["data"])
        told = await stories(served.engine.runtime.journal)
    assert [one.title.partition(" ")[2] for one in told] == [
        "ann requests bob: accepted",
        "eve requests ann: merged",
        "bob invites joe: accepted",
    ]
    assert "ann > server: mergeToVideochat (from the phone)" in said(told[1].diagram)
    assert "server > eve: directVideochatRequestAccepted (to the pad)" in said(told[1].diagram)
    assert said(told[2].diagram) == [
        "bob > server: invite (from the desk)",
        "server > server: the ring begins (ringing)",
        "server > joe: videochatRequested (to every device)",
        "joe > server: acceptVideochatRequest (from the pad)",
        "server > server: the ring ends (accepted)",
        "server > joe: videochatAccepted (to every device)",
    ]


async def test_sockets_that_come_and_go_are_part_of_the_story() -> None:
    async with exchange(settings=VideochatSettings()) as served, served.phone("bob", "desk"):
        async with served.phone("ann", "phone") as ann:
            request_id = await ann.request("bob")
        async with served.phone("ann", "pad") as ann:
            assert await ann.request("bob") == request_id
        async with served.phone("ann", "pad") as ann:
            await ann.ask("declineVideochatRequest", {"videochatRequestId": request_id}, "own")
            (story,) = await stories(served.engine.runtime.journal)
    told = [line.removeprefix("server > server: ") for line in said(story.diagram) if "> server: the" in line]
    assert "the caller's socket is gone (caller away)" in told
    assert "the caller asked again, from another device (ringing)" in told
    assert told[-1] == "the ring ends (canceled)"


async def test_a_line_announces_to_each_device_what_is_for_it() -> None:
    async with exchange() as served, served.phone("ann", "phone") as ann, served.phone("bob", "desk") as bob:
        request_id = await ann.request("bob")
        await bob.ask("acceptVideochatRequest", {"videochatRequestId": request_id})
        lines = await episodes_of(served.engine.runtime.journal, LINE)
    assert sorted(lines) == ["ann", "bob"]
    (granted,) = announced("ann", lines["ann"], "phone")
    assert isinstance(granted.send.message, SeatGranted)
    assert [*announced("ann", lines["ann"], "pad")] == []
    assert [one.version for one in announced("bob", lines["bob"], "desk")] == [1, 2]
