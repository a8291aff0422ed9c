"""What if: two settings over one log in one pass give what two replays and a plain comparison give."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest

from streams.alert_differences import AlertDifference
from streams.differences import Difference, Differences
from streams.event_files import FileEvent
from streams.settings import HOUR_MS, MINUTE_MS, Settings
from streams.settled_sessions import settle_ms
from streams.shop import ShopConfig, demo_plan, traffic
from streams.what_if import NEVER_DIFFERENT, WITHOUT_EFFECT, WhatIf, comparable
from tests.agents.product import SECRET, Final, final, replayed

SOON = Settings(warm_up_ms=3 * HOUR_MS)
# Short enough for sessions to settle long before the end.
SHORT = msgspec.structs.replace(
    SOON, retention_ms=HOUR_MS, max_length_ms=HOUR_MS, gap_ms=5 * MINUTE_MS, order_wait_ms=MINUTE_MS,
    served_templates=("help", "product"),
)  # fmt: skip


@dataclass
class Run:
    """What was written and counted, and the most sessions that were held at a time."""

    written: list[Difference]
    figures: dict[str, Any]
    most_held: int


def run(events: list[FileEvent], before: Settings, after: Settings) -> Run:
    written: list[Difference] = []
    differences = Differences(settle_ms(before, after), written.append)
    what_if = WhatIf(before, after, SECRET, differences)
    most_held = 0
    for number, event in enumerate(events):
        what_if.feed(*event)
        if number % 500 == 0:
            most_held = max(most_held, differences.held)
    what_if.finish()
    return Run(written, differences.figures(), most_held)


@pytest.fixture(scope="module")
def events() -> list[FileEvent]:
    config = ShopConfig(seed=4, sessions_per_hour=150, hours=8, pages=40)
    return [
        FileEvent(topic, msgspec.json.encode(event), event["occurred_at"])
        for topic, event in traffic(replace(config, plan=demo_plan(config)))
    ]


@pytest.fixture(scope="module")
def usual(events: list[FileEvent]) -> Final:
    return final(replayed(events, SOON))


@pytest.fixture(scope="module")
def cut(events: list[FileEvent]) -> tuple[Run, Final]:
    before = msgspec.structs.replace(SOON, retention_ms=HOUR_MS, max_length_ms=HOUR_MS)
    return run(events, before, SHORT), final(replayed(events, SHORT))


def test_totals_and_exits_are_those_of_two_replays(cut: tuple[Run, Final], usual: Final) -> None:
    result, short = cut
    figures = result.figures
    # No session of the shop is longer than an hour, and nothing is late.
    for side, outputs in (("before", usual), ("after", short)):
        sessions = list(outputs["sessions"].values())
        assert figures["sessions"][side] == len(sessions)
        assert figures["sessions"]["page_views"][side] == sum(session["page_views"] for session in sessions)
        outcomes = Counter(session["outcome"] for session in sessions)
        assert {name: sides[side] for name, sides in figures["sessions"]["outcomes"].items()} == outcomes
        reasons = Counter[str | None]()
        for pair in figures["exit_reasons"]:
            reasons[pair[side]] += pair["sessions"]
        del reasons[None]  # pairs of what stood on one side only
        assert reasons == Counter(session["exit_reason"] for session in sessions)
        assert figures["pages"][side] == len(outputs["page-scores"])
    assert figures["sessions"]["split"] > 10
    assert figures["sessions"]["changed"] > 10
    assert figures["sessions"]["joined"] == figures["sessions"]["only_before"] == 0


def test_the_pages_that_change_most_are_those_of_two_replays(cut: tuple[Run, Final], usual: Final) -> None:
    result, short = cut
    ranks = [
        {score["page"]: score["rank_score"] for score in outputs["page-scores"].values()}
        for outputs in (usual, short)
    ]
    changes = {
        page: ranks[1].get(page, 0.0) - ranks[0].get(page, 0.0)
        for page in ranks[0].keys() | ranks[1].keys()
        if ranks[0].get(page) != ranks[1].get(page)
    }
    expected = sorted(changes, key=lambda page: (-abs(changes[page]), page))
    assert result.figures["pages"]["changed"] == len(changes)
    assert [page["page"] for page in result.figures["pages"]["top"]] == expected[:10]
    assert len(expected) > 10


def test_sessions_are_compared_while_the_log_is_read(cut: tuple[Run, Final]) -> None:
    sessions = cut[0].figures["sessions"]
    assert cut[0].most_held < (sessions["before"] + sessions["after"]) / 2


def test_a_shorter_warm_up_makes_alerts_appear_and_a_longer_one_vanish(
    events: list[FileEvent], usual: Final
) -> None:
    late = Settings(warm_up_ms=24 * HOUR_MS)
    last = {alert["alert_id"]: alert for _, alert in sorted(usual["dead-end-alerts"].items())}
    assert last, "nothing to be seen"
    for before, after, kind, side in (
        (late, SOON, "only_after", "after"),
        (SOON, late, "only_before", "before"),
    ):
        result = run(events, before, after)
        alerts = [difference for difference in result.written if isinstance(difference, AlertDifference)]
        assert {difference.kind for difference in alerts} == {kind}
        found = {difference.id: msgspec.to_builtins(getattr(difference, side)) for difference in alerts}
        assert found == last
        assert result.figures["alerts"][kind] == result.figures["alerts"][side] == len(last)
        assert result.figures["sessions"]["same"] == result.figures["sessions"]["before"]


def test_the_side_that_is_behind_is_waited_for(events: list[FileEvent]) -> None:
    before = msgspec.structs.replace(SHORT, warm_up_ms=24 * HOUR_MS)
    slow = msgspec.structs.replace(before, out_of_orderness_ms=90 * MINUTE_MS)
    result = run(events, before, slow)
    assert result.written == []
    assert result.figures["sessions"]["same"] == result.figures["sessions"]["after"] > 500


def test_what_is_said_to_be_without_effect_has_none(
    events: list[FileEvent], usual: Final, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = msgspec.structs.replace(SOON, future_ms=1, learn_views=5, snapshot_every_ms=HOUR_MS)
    assert comparable(SOON, changed) == SOON
    assert set(WITHOUT_EFFECT) == {"future_ms", "learn_views", "snapshot_every_ms", "pseudonymise"}
    monkeypatch.setattr("streams.what_if.WITHOUT_EFFECT", {})
    result = run(events, SOON, changed)
    assert result.written == []
    assert result.figures["pages"]["changed"] == 0
    assert result.figures["alerts"]["same"] > 0
    assert result.figures["sessions"]["same"] == len(usual["sessions"])


def test_settings_that_name_other_visitors_are_refused() -> None:
    assert set(NEVER_DIFFERENT) == {"site"}
    with pytest.raises(ValueError, match="site: has to be the same"):
        WhatIf(Settings(), Settings(site="other"), SECRET, Differences(0, lambda _: None))
