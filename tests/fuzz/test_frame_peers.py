"""Damaged offers and answers to peers with frames: each is taken or refused, and nothing is left of any."""

import asyncio
import random

from engine.errors import MediaError
from engine.media import protocol as p
from tests.engine.media.frame_peer.test_peers import IGNORES, PLAYS, Asked, asked
from tests.fuzz.test_media import EXAMPLES, SEED, damaged_text

PAUSES_SECONDS = (0.0, 0.005, 0.02, 0.05)
"""How far two peers have come when they are closed."""


def _damaged(sdp: str, chance: random.Random) -> str:
    return damaged_text(sdp.rstrip().split("\r\n"), chance)


async def _join(the: Asked, chance: random.Random, *, bad_offer: bool) -> None:
    offer = await the.offer(PLAYS)
    heard = _damaged(offer, chance) if bad_offer else offer
    answered = await the.peers.handle(p.AnswerFramePeer(peer_id="bob", sdp_offer=heard, receive=IGNORES))
    assert isinstance(answered, p.Answered)
    answer = answered.with_candidates()
    heard = answer if bad_offer else _damaged(answer, chance)
    await the.peers.handle(p.TakeAnswer(peer_id="ann", sdp_answer=heard))


def test_damaged_descriptions_are_taken_or_refused_and_leave_nothing() -> None:
    async def main() -> None:
        chance = random.Random(SEED)
        refused = 0
        for number in range(EXAMPLES // 50):
            async with asked() as the:
                try:
                    await _join(the, chance, bad_offer=bool(number % 2))
                except (p.BadOfferError, p.BadAnswerError):
                    refused += 1
                except MediaError as error:
                    raise AssertionError(f"example {number} of seed {SEED}") from error
                await asyncio.sleep(chance.choice(PAUSES_SECONDS))
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"example {number} of seed {SEED} leaves {left}"
            faults = [one for one in the.events if isinstance(one, p.PeerFault)]
            assert not faults, f"example {number} of seed {SEED}: {faults}"
        assert refused

    asyncio.run(main())
