"""A short run of the command that compares the stepper with the library."""

import pytest

from tests import diverge


def test_two_thousand_random_commands_do_not_diverge(capsys: pytest.CaptureFixture[str]) -> None:
    assert diverge.main(2_000) == 0
    assert "0 divergences" in capsys.readouterr().out


def test_a_divergence_is_printed_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(diverge, "reference_step", lambda _table, _now, _command: None)
    assert diverge.main(30) == 1
    assert "by the library None" in capsys.readouterr().out
