"""Differences: whatever a replay writes goes where it is compared; the last revision counts."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.rejected_events import RejectedEvent
from streams.alert_differences import ALERT_KINDS
from streams.differences import AFTER, BEFORE, Difference, Differences
from streams.session_differences import SESSION_KINDS
from streams.settings import HOUR_MS
from streams.stages import Output
from tests.streams.test_alert_differences import alert
from tests.streams.test_page_differences import scores
from tests.streams.visitor_logs import ran, view

SIDES = {"before", "after"}


def output(value: Any) -> Output:
    return Output("", "", value, "", 0)


def test_the_last_revision_of_everything_is_compared() -> None:
    written: list[Difference] = []
    differences = Differences(HOUR_MS, written.append)
    [session] = ran(view(0)).final()
    opened, resolved = alert(0, revision=1), alert(0, 60, revision=2)
    for side in (BEFORE, AFTER):
        differences.take(side, output(msgspec.structs.replace(session)))
        differences.take(side, output(opened))
        differences.take(side, output(scores(sizes=3)["s", "sizes"]))
    differences.take(
        AFTER, output(msgspec.structs.replace(session, revision=2, status="revised", page_views=2))
    )
    differences.take(AFTER, output(resolved))
    differences.take(AFTER, output(scores(sizes=5)["s", "sizes"]))
    for reason in ("too_late", "not_json"):
        differences.take(AFTER, output(RejectedEvent(id="x", reason=reason, detail="x")))
    differences.finish()
    figures = differences.figures()
    assert [difference.kind for difference in written] == ["changed", "changed"]
    assert figures["sessions"]["fields"] == {"page_views": 1}
    assert (figures["alerts"]["before"], figures["alerts"]["after"], figures["alerts"]["changed"]) == (
        1,
        1,
        1,
    )
    assert [page["change"] for page in figures["pages"]["top"]] == [2]
    assert figures["rejected"] == {
        "not_json": {"before": 0, "after": 1}, "too_late": {"before": 0, "after": 1},
    }  # fmt: skip


def test_a_retracted_session_never_was() -> None:
    differences = Differences(HOUR_MS, lambda _: None)
    [session] = ran(view(0)).final()
    differences.take(BEFORE, output(session))
    differences.take(BEFORE, output(msgspec.structs.replace(session, revision=2, status="retracted")))
    differences.finish()
    assert differences.figures()["sessions"]["before"] == 0


def test_the_keys_are_the_same_whether_there_is_anything_or_not() -> None:
    figures = Differences(0, lambda _: None).figures()
    assert set(figures) == {"sessions", "exit_reasons", "alerts", "pages", "rejected"}
    assert set(figures["sessions"]) == {
        *SIDES, *SESSION_KINDS, "same", "page_views", "outcomes", "revenue", "fields", "examples",
    }  # fmt: skip
    assert set(figures["alerts"]) == {*SIDES, *ALERT_KINDS, "same", "examples"}
    assert set(figures["pages"]) == {*SIDES, "changed", "top"}
    assert set(figures["sessions"]["examples"]) == set(SESSION_KINDS)
