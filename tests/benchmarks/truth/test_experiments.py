"""That each experiment can be made, on worlds that are too small to say anything; and what the judges go by."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.benchmarks.truth import (
    alarms,
    causes,
    deliveries,
    feeds,
    intervals,
    newborns,
    rankings,
    scopes,
    unusual,
    upstream,
    worlds,
)
from tests.benchmarks.truth.__main__ import main
from tests.benchmarks.truth.experiments import EXPERIMENTS
from tests.benchmarks.truth.faults import Fault
from tests.benchmarks.truth.habits import DAY, HOUR
from tests.benchmarks.truth.intervals import Ledger
from tests.benchmarks.truth.oracles import Oracle
from tests.benchmarks.truth.rival_alarms import told_by_rivals
from tests.benchmarks.truth.rivals import Alerts
from tests.benchmarks.truth.verdicts import Experiment, judge
from tests.benchmarks.truth.views import Views, chosen, joined
from tests.benchmarks.truth.worlds import World

SHORT: dict[ModuleType, dict[str, Any]] = {
    alarms: {"QUIET_DAYS": 2, "FAULT_DAYS": 2},
    scopes: {"STEP_DAYS": 1, "STEPS": scopes.STEPS[:1], "DEPLOY_DAYS": 1, "DEPLOYS": scopes.DEPLOYS[:1]},
    intervals: {"STEPS": scopes.STEPS[:1]},
    causes: {"CAUSE_DAYS": 3},
    feeds: {"DAYS": 3},
    deliveries: {"DAYS": 1},
    newborns: {"NEWBORN_DAYS": 3, "BIRTHS": (1, 2)},
    unusual: {
        "SALE_DAYS": 2,
        "WEEK_DAYS": 1,
        "DRIFT_DAYS": 1,
        "READ_DAYS": 2,
        "BLOCKED_DAYS": 1,
        "HIDDEN": {"of search pages": unusual.HIDDEN["of search pages"]},
    },
    upstream: {"DAYS": 4, "GOALS": (0.01, 10.0)},
    rankings: {"RANK_DAYS": 1},
    worlds: {"FEWEST_PAGES": 30},
}
LIKE_OTHERS = {"heavy", "rivals-heavy", "+20", "+10", "rivals-+20", "intervals-20"}
"""They differ from another by a number."""
TOO_GREAT = {"credit", "credit-14-days", "credit-mixed"}
"""They need fifteen busy pages; what they go by is the same as in the ranking."""


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, constants in SHORT.items():
        for name, value in constants.items():
            monkeypatch.setattr(module, name, value)


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize("name", sorted(set(EXPERIMENTS) - LIKE_OTHERS - TOO_GREAT))
def test_an_experiment_gives_figures_that_can_be_printed(name: str) -> None:
    experiment = EXPERIMENTS[name]
    result = json.loads(json.dumps(experiment.find(7, 2.0, 0.2)))
    lines = experiment.pool([result, result])
    assert lines
    assert all(json.loads(json.dumps(line)) == line for line in lines)


def _views(world: World) -> Views:
    return joined([views for _, views in world.play()])


def _sorted(views: Views) -> list[tuple[float, ...]]:
    return sorted(zip(*(column.tolist() for column in views), strict=True))


def test_visits_of_which_nothing_is_hidden_are_labelled_as_they_were() -> None:
    plain, watched = World(3, 60.0, 8, pages=30), World(3, 60.0, 8, pages=30)
    watched.faults = [Fault("hidden_views", 0, 0, DAY, 0.0)]
    views = _views(plain)
    assert len(views.page) > 500
    assert _sorted(_views(watched)) == _sorted(views)


def test_what_is_hidden_makes_the_page_before_it_look_like_an_exit() -> None:
    plain, blocked = World(3, 200.0, 8, pages=30), World(3, 200.0, 8, pages=30)
    blocked.faults = [Fault("hidden_views", 0, 4 * HOUR, DAY, 0.5)]
    before, after = _views(plain), _views(blocked)
    seen = after.minute >= 4 * HOUR
    assert np.count_nonzero(~seen) == np.count_nonzero(before.minute < 4 * HOUR)
    assert 0.45 < np.count_nonzero(seen) / np.count_nonzero(before.minute >= 4 * HOUR) < 0.55
    assert after.stalled[seen].mean() > before.stalled[before.minute >= 4 * HOUR].mean() + 0.05
    assert (after.orphan_of[seen] >= 0).any()
    assert not (after.orphan_of[~seen] >= 0).any()


def test_what_a_fault_has_cost_is_booked_where_and_while_it_holds() -> None:
    world = World(4, 200.0, 12, pages=30)
    world.faults = [Fault("page", 2, 4 * HOUR, 4 * HOUR, 0.4)]
    views = _views(world)
    there = (views.page == 2) & world.faults[0].at(views.minute)
    assert not views.caused[~there].any()
    assert np.count_nonzero(there) > 50
    assert 0.3 < views.caused[there].mean() < 0.5


def test_what_an_alert_counts_is_held_against_what_was_lost_in_the_same_views() -> None:
    world = World(4, 200.0, 12, pages=30)
    fault = Fault("page", 2, 4 * HOUR, 4 * HOUR, 0.4)
    world.faults = [fault]
    ledger, of_page = Ledger(), list[Views]()
    for _, views in world.play():
        ledger.hear(views)
        of_page.append(chosen(views, views.page == 2))
    there = joined(of_page)
    until = fault.begin + HOUR
    ((_, alert),) = Alerts(world, "").open(2, 2 * DAY)
    losses = set()
    for begin in range(fault.begin, until):
        since = chosen(there, (there.minute >= begin) & (there.minute <= until))
        counted = msgspec.structs.replace(alert, views=len(since.page))
        losses.add(int(since.caused.sum()))
        assert ledger.lost(world, counted, until) == since.caused.sum()
    assert len(losses) > 5
    more_than_there_are = msgspec.structs.replace(alert, views=len(there.page) + 1)
    assert ledger.lost(world, more_than_there_are, until) is None


def test_each_rival_finds_the_page_that_has_broken() -> None:
    world = World(7, 120.0, 40, pages=12)
    world.faults = [Fault("page", 1, 36 * HOUR, 12 * HOUR, 0.5)]
    of_rivals, _ = told_by_rivals(world)
    for rival, said in of_rivals.items():
        assert all(one.minute >= DAY for one in said)
        (found,), _ = judge(world.faults, said)
        assert found.opened is not None, rival
        assert (0 if rival.startswith("oracle") else 6) <= found.opened < 3 * HOUR, rival


def test_an_oracle_finds_and_sees_repaired_what_breaks_and_says_nothing_else() -> None:
    world = World(7, 120.0, 40, pages=12)
    world.faults = [Fault("page", 1, 26 * HOUR, 6 * HOUR, 0.4)]
    oracle = Oracle(world, 0.4)
    (found,), others = judge(world.faults, [said for hour in world.play() for said in oracle.hour(*hour)])
    assert found.opened is not None
    assert found.resolved is not None
    assert max(found.opened, found.resolved) < HOUR
    assert others == 0


def test_what_stands_in_the_journal_is_not_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[int] = []

    def find(seed: int, rate: float, sigma: float) -> dict[str, Any]:
        asked.append(seed)
        return {"seed": seed}

    monkeypatch.setitem(EXPERIMENTS, "quiet", Experiment(find, list))
    call = ["--only", "quiet", "--journal", str(tmp_path / "journal"), "--seeds"]
    assert main([*call, "1", "2"]) == 0
    first = capsys.readouterr().out
    assert main([*call, "1", "2", "3"]) == 0
    assert asked == [1, 2, 3]
    assert [json.loads(line)["seed"] for line in first.splitlines()] == [1, 2]


@pytest.mark.parametrize(
    "wrong",
    [
        ["--rates", "0"],
        ["--sigmas", "-1"],
        ["--jobs", "0"],
        ["--only", "nothing"],
        ["--journal", "broken"],
        ["--journal", "no/where"],
    ],
)
def test_what_cannot_be_is_said_in_a_line(
    wrong: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken").write_text("{}\n")
    with pytest.raises(SystemExit) as exit_:
        main(wrong)
    assert exit_.value.code == 2
    assert "error: " in capsys.readouterr().err
