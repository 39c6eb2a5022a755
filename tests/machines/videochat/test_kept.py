"""Answers kept for a device: how many, how long."""

from machines.videochat import kept as module
from machines.videochat.kept import KeptAnswers


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_answer_is_kept_for_its_time_and_no_longer() -> None:
    clock = Clock()
    device = KeptAnswers(clock).of("ann", "a1")
    device.begin("e1", b"body")
    device.end("e1", "answer")
    clock.now = module.KEPT_SECONDS
    kept = device.get("e1")
    assert kept is not None
    assert kept.answer == "answer"
    clock.now += 0.1
    assert device.get("e1") is None


def test_only_the_last_requests_of_a_device_are_kept() -> None:
    device = KeptAnswers(Clock()).of("ann", "a1")
    for number in range(module.KEPT_MAX + 1):
        device.begin(f"e{number}", b"body")
    assert device.get("e0") is None
    assert device.get("e1") is not None


def test_a_request_that_should_be_tried_again_is_forgotten() -> None:
    device = KeptAnswers(Clock()).of("ann", "a1")
    device.begin("e1", b"body")
    device.end("e1", None)
    assert device.get("e1") is None
    device.end("e1", "too late")
    assert device.get("e1") is None


def test_the_device_that_asked_longest_ago_is_forgotten_first() -> None:
    answers = KeptAnswers(Clock())
    first = answers.of("ann", "0")
    first.begin("e1", b"body")
    for number in range(1, module.DEVICES_MAX):
        answers.of("ann", str(number))
    assert answers.of("ann", "0") is first
    answers.of("ann", "one more")
    assert len(answers) == module.DEVICES_MAX
    assert answers.of("ann", "0") is first
