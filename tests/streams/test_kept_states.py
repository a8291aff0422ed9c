"""States that earlier versions wrote can be gone on from, and what comes out is what an uninterrupted run gives."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from schemas.page_scores import PageScore
from schemas.site_events import PageMinute
from streams.processors import LogProcessor
from streams.stages import Output
from tests.streams.kept_states import STAGES, Kept, read, resume, run

FILES = sorted((Path(__file__).parents[1] / "data").glob("states_format_*.json.gz"))
CASES = [(file.name, name, kept) for file in FILES for name, kept in read(file).items()]

COUNTS_MORE_SINCE = 4
"""Format of the sessions' state."""
LEARNS_NOISE_SINCE = 8
"""Format of the pages' state since which noise is learned as it is now."""


def test_a_state_of_every_format_that_is_read_is_kept() -> None:
    for name, stage in STAGES.items():
        form = stage.state_format
        kept = {kept.format for _, stage_name, kept in CASES if stage_name == name}
        assert kept == {*form.upgrades, form.number}


def without_newest(outputs: list[Output]) -> list[Output]:
    """Leave out what was not counted of views that were open when an earlier format was written."""
    known = []
    for output in outputs:
        value = output.value
        if isinstance(value, PageMinute):
            cells = tuple(structs.replace(cell, idle=0, orders=0) for cell in value.cells)
            output = structs.replace(output, value=structs.replace(value, cells=cells))
        known.append(output)
    return known


def without_noise(outputs: list[Output]) -> list[Output]:
    """Leave out of scores what rests on a page's noise: its excess and its rank."""
    known = []
    for output in outputs:
        value = output.value
        if isinstance(value, PageScore):
            value = structs.replace(
                value, excess_exits=0.0, excess_low=0.0, excess_high=0.0, rank_score=0.0, money_at_stake=None
            )
            output = structs.replace(output, value=value)
        known.append(output)
    return known


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
    found = run(resumed, log[kept.cut :])
    if name == "sessions" and kept.format < COUNTS_MORE_SINCE:
        found, expected = without_newest(found), without_newest(expected)
    learned_otherwise = name == "pages" and kept.format < LEARNS_NOISE_SINCE
    if learned_otherwise:
        found, expected = without_noise(found), without_noise(expected)
    assert found == expected
    assert len(expected) > 4
    assert resumed.fence == whole.fence
    # A page may be under suspicion by the one and not by the other.
    assert abs(len(resumed.context.state) - len(whole.context.state)) <= learned_otherwise
