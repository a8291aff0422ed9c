"""The full suite as a command: what it runs follows from its seed, and whatever it finds can be repeated."""

from __future__ import annotations

from itertools import islice

import pytest

from tests.faults import campaign
from tests.faults.campaign import main, name_of, order
from tests.faults.faults import FAULTS
from tests.faults.scenarios import MIX, SCENARIOS, Scenario
from tests.faults.verdicts import Verdict


def runs(seed: int, count: int) -> list[str]:
    return [name_of(*run) for run in islice(order(seed), count)]


def test_the_same_seed_gives_the_same_runs_and_no_two_have_the_same_name() -> None:
    assert runs(7, 200) == runs(7, 200) != runs(8, 200)
    assert len(set(runs(7, 200))) == 200


def test_a_round_has_each_fault_once_and_mixes_between() -> None:
    faults = {scenario.fault for scenario in SCENARIOS}
    assert faults > FAULTS.keys()
    first = [scenario.fault for scenario, _ in islice(order(3), len(faults) + len(faults) // 3)]
    assert sorted(set(first)) == sorted({*faults, MIX.fault})
    assert first.count(MIX.fault) == len(faults) // 3


def test_without_time_nothing_is_run_and_the_seed_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--minutes", "0", "--seed", "5"]) == 0
    assert capsys.readouterr().out.startswith("seed 5, 0 minutes\n| fault |")


def test_a_run_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--run", "kill -10", "--seed", "5"]) == 2
    assert "no run's name begins with 'kill -10'" in capsys.readouterr().out


def test_the_first_difference_ends_it_and_says_how_to_repeat_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = runs(5, 3)
    played: list[str] = []

    def run(scenario: Scenario, number: int, *_: object) -> bool:
        played.append(name_of(scenario, number))
        return len(played) < 3

    monkeypatch.setattr(campaign, "run", run)
    assert main(["--seed", "5"]) == 1
    assert played == names
    assert f"deploy/test --faults --seed 5 --run '{names[-1]}'" in capsys.readouterr().out
    played.clear()
    main(["--seed", "5", "--run", names[1]])
    assert played == [names[1]]


def test_a_verdict_without_a_difference_is_equal_whatever_was_copied() -> None:
    assert Verdict(events=3, duplicates=2).is_equal
    assert not Verdict(events=3, examples={"sessions": "copies that differ"}).is_equal
