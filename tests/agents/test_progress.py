"""Progress bars: on a terminal, and nowhere else."""

from __future__ import annotations

import pytest

from agents.progress import Bars


def test_without_a_terminal_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars() as bars:
        bar = bars.start("Reading", 10, "bytes")
        bar.advance(5)
        bar.set_total(20)
        bar.reach(20)
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_stderr_shows_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with Bars() as bars:
        bar = bars.start("Replaying", None, "events")
        bar.set_total(2_000)
        bar.reach(1_500)
    out, err = capsys.readouterr()
    assert out == ""
    assert "1,500 events" in err
    assert "75%" in err
