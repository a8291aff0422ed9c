"""Alert differences: which alerts are the same, and what an other time, cause or status of one is."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from schemas.dead_end_alerts import DeadEndAlert
from schemas.timestamps import format_ms, parse_time
from streams.alert_differences import APART_MS, alert_difference, match_alerts
from streams.alerts import alert_id
from streams.settings import HOUR_MS, MINUTE_MS

BEGINNING = 1_700_000_000_000 // HOUR_MS * HOUR_MS


def alert(opened: int, over: int | None = None, page: str = "sizes", **fields: Any) -> DeadEndAlert:
    """Build the last revision of an alert, times in minutes after the beginning."""
    scope, value = fields.pop("scope", "page"), fields.pop("value", None)
    name = alert_id("shop", scope, value or page, BEGINNING + opened * MINUTE_MS)
    given: dict[str, Any] = {
        "status": "updated" if over is None else "resolved",
        "cause": "unknown",
        **fields,
    }
    if over is not None and given["status"] == "resolved":
        given["resolved_at"] = format_ms(BEGINNING + over * MINUTE_MS)
    updated = opened + 60 if over is None else over
    return DeadEndAlert(
        id=name,
        alert_id=name,
        revision=given.pop("revision", 4),
        page=page,
        template="content",
        site="shop",
        scope=scope,
        value=value,
        opened_at=format_ms(BEGINNING + opened * MINUTE_MS),
        updated_at=format_ms(BEGINNING + updated * MINUTE_MS),
        log_evidence=9.0,
        views=given.pop("views", 100),
        exits=50,
        expected_exits=20.0,
        **given,
    )


DAY = APART_MS // MINUTE_MS


@pytest.mark.parametrize(
    ("before", "after", "pairs"),
    [
        ([alert(0)], [alert(0)], [(0, 0)]),
        ([alert(0)], [alert(12)], [(0, 12)]),
        ([alert(0)], [alert(12, page="help")], [(0, None), (None, 12)]),
        ([alert(0)], [alert(5, scope="template", value="content")], [(0, None), (None, 5)]),
        # Another worst page does not make another alert of a wider scope.
        (
            [alert(0, scope="device", value="mobile")],
            [alert(3, scope="device", value="mobile", page="help")],
            [(0, 3)],
        ),
        # One that is over, and another a day later, or more than a day.
        ([alert(0, 60)], [alert(60 + DAY)], [(0, 60 + DAY)]),
        ([alert(0, 60)], [alert(61 + DAY)], [(0, None), (None, 61 + DAY)]),
        ([alert(0, 60, status="withdrawn")], [alert(61 + DAY)], [(0, None), (None, 61 + DAY)]),
        # As long as it is open, any later one is about the same.
        ([alert(0)], [alert(61 + DAY)], [(0, 61 + DAY)]),
        # Two faults of a page, of which one side has only the second; it is nearest to that.
        ([alert(0, 60), alert(600, 700)], [alert(610, 700)], [(0, None), (600, 610)]),
        # What overlaps goes before what opens nearer.
        ([alert(100, 300)], [alert(80, 90), alert(150, 200)], [(None, 80), (100, 150)]),
        ([], [], []),
    ],
)
def test_alerts_are_matched_by_what_they_are_about_and_when_they_stood(
    before: list[DeadEndAlert], after: list[DeadEndAlert], pairs: list[tuple[int | None, int | None]]
) -> None:
    found = match_alerts(before, after)
    times = [
        tuple(None if one is None else (parse_time(one.opened_at) - BEGINNING) // MINUTE_MS for one in pair)
        for pair in found
    ]
    assert times == pairs
    assert match_alerts(after, before) == [(other, one) for one, other in found]


@pytest.mark.parametrize(
    ("one", "other", "kind", "fields", "minutes"),
    [
        (alert(0), alert(12), "changed", {"opened_at", "updated_at"}, 12.0),
        (alert(12, 60), alert(0, 60), "changed", {"opened_at"}, -12.0),
        (alert(0), alert(0, 60), "changed", {"status", "resolved_at"}, 0.0),
        (alert(0), alert(0, cause="tag_broke"), "changed", {"cause"}, 0.0),
        (alert(0), alert(0, views=101), "figures", {"views"}, 0.0),
        (alert(0), None, "only_before", set(), None),
        (None, alert(0), "only_after", set(), None),
    ],
)
def test_a_difference_says_what_differs_and_by_how_many_minutes(
    one: DeadEndAlert | None, other: DeadEndAlert | None, kind: str, fields: set[str], minutes: float | None
) -> None:
    difference = alert_difference(one, other)
    assert difference is not None
    assert (difference.kind, set(difference.fields), difference.opened_later_minutes) == (
        kind,
        fields,
        minutes,
    )
    assert (difference.before, difference.after) == (one, other)
    assert difference.value == "sizes"
    assert msgspec.json.decode(msgspec.json.encode(difference), type=type(difference)) == difference


def test_how_often_an_alert_was_written_is_no_difference() -> None:
    assert alert_difference(alert(0, revision=2), alert(0, revision=5)) is None


def test_many_alerts_match_alike_from_both_sides_and_each_once() -> None:
    rng = random.Random(3)
    for _ in range(50):
        sides = [
            {
                one.alert_id: one
                for one in (
                    alert(opened, None if rng.random() < 0.2 else opened + rng.randrange(500))
                    for opened in rng.choices(range(0, 6_000, 30), k=rng.randrange(8))
                )
            }
            for _ in range(2)
        ]
        before, after = (list(side.values()) for side in sides)
        rng.shuffle(before)
        pairs = match_alerts(before, after)
        assert sorted(one.alert_id for one, _ in pairs if one) == sorted(sides[0])
        assert sorted(other.alert_id for _, other in pairs if other) == sorted(sides[1])
        assert match_alerts(after, before) == [(other, one) for one, other in pairs]
