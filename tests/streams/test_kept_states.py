"""States that earlier versions wrote can be gone on from, and what comes out is what an uninterrupted run gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.processors import LogProcessor
from tests.streams.kept_states import STAGES, Kept, read, resume, run

FILES = sorted((Path(__file__).parents[1] / "data").glob("states_format_*.json.gz"))
CASES = [(file.name, name, kept) for file in FILES for name, kept in read(file).items()]


def test_a_state_of_every_format_that_is_read_is_kept() -> None:
    for name, stage in STAGES.items():
        form = stage.state_format
        kept = {kept.format for _, stage_name, kept in CASES if stage_name == name}
        assert kept == {*form.upgrades, form.number}


@pytest.mark.parametrize(("file", "name", "kept"), CASES, ids=[f"{file}-{name}" for file, name, _ in CASES])
def test_a_kept_state_goes_on_as_if_nothing_had_been(file: str, name: str, kept: Kept) -> None:
    stage = STAGES[name]
    assert len(kept.rows) > 1
    whole = LogProcessor(stage, 0)
    log = list(enumerate(kept.log))
    run(whole, log[: kept.cut])
    expected = run(whole, log[kept.cut :])
    resumed = resume(stage, kept)
    assert len(resumed.context.state) == sum(bytes(row)[:5] != b"[null" for row in kept.rows.values())
    assert run(resumed, log[kept.cut :]) == expected
    assert len(expected) > 4
    assert resumed.fence == whole.fence
    assert len(resumed.context.state) == len(whole.context.state)
