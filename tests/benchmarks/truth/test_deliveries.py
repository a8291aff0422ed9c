"""Deliveries: all that happened arrives, when it is said to; copies change nothing, what is late does."""

from __future__ import annotations

import numpy as np
import pytest

from streams.settings import HOUR_MS, MINUTE_MS
from tests.benchmarks.truth import event_stages
from tests.benchmarks.truth.event_stages import EventStages, same
from tests.benchmarks.truth.events import Delivery, Event, delivered, events_of
from tests.benchmarks.truth.faults import Fault
from tests.benchmarks.truth.habits import HOUR
from tests.benchmarks.truth.played import START_MS
from tests.benchmarks.truth.worlds import World

HOURS = 30
TWICE, LATE = Delivery(twice=0.05, least_s=1.0), Delivery(late=0.05)


def _arrived(how: Delivery) -> list[tuple[int, Event]]:
    world = World(3, 80.0, HOURS, pages=30)
    return list(delivered(world, world.play(), how))


def test_each_view_order_and_engagement_is_an_event_in_the_order_of_its_visit() -> None:
    world = World(3, 200.0, 4, pages=30)
    for _, views in world.play():
        events = events_of(views)
        assert [event.topic for event in events].count("page-views") == len(views.page)
        assert [event.topic for event in events].count("orders") == views.bought.sum()
        engaged = (views.stalled & ~views.bought & (1 - views.unengaged)).sum()
        assert [event.topic for event in events].count("interactions") == engaged > 0
        assert len({(event.topic, event.name) for event in events}) == len(events)
        for session in np.unique(views.session)[:20].tolist():
            walked = views.page[views.session == session].tolist()
            shown = [event for event in events if event.session == session and event.topic == "page-views"]
            assert [event.page for event in shown] == walked


def test_what_is_late_or_comes_twice_happened_when_it_happened() -> None:
    in_time, late, twice = (
        _arrived(Delivery()),
        _arrived(Delivery(late=0.05, most_s=3_600.0)),
        _arrived(TWICE),
    )
    assert [event for _, event in in_time] == sorted(event for _, event in in_time)
    assert all(at_ms == event.at_ms for at_ms, event in in_time)
    assert [at_ms for at_ms, _ in late] == sorted(at_ms for at_ms, _ in late)
    # An hour before the end everything has arrived that happened two hours before it.
    old_ms = START_MS + (HOURS - 2) * HOUR_MS
    assert {event for _, event in late if event.at_ms < old_ms} == {
        event for _, event in in_time if event.at_ms < old_ms
    }
    delays = [at_ms - event.at_ms for at_ms, event in late if at_ms > event.at_ms]
    assert len(delays) / len(late) == pytest.approx(0.05, abs=0.005)
    assert 60_000 <= min(delays) < 90_000
    assert 3_000_000 < max(delays) <= 3_600_000
    assert set(twice) > set(in_time)
    assert len({event for _, event in twice}) == len(in_time)
    assert len(twice) / len(in_time) == pytest.approx(1.05, abs=0.02)


def test_copies_change_nothing_that_is_said_and_late_events_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stages, "MARK_EVERY_MS", MINUTE_MS)
    runs = []
    for how in (Delivery(), TWICE, LATE):
        world = World(3, 30.0, 30, pages=9)
        world.faults = [Fault("page", 2, 25 * HOUR, 5 * HOUR, 0.7)]
        runs.append(EventStages().play(world, how))
    in_time, twice, late = runs
    assert [one.alert.status for one in in_time.said][:1] == ["opened"]
    assert twice.events > in_time.events
    assert set(same([in_time, twice]).values()) == {True}
    assert twice.said == in_time.said
    assert not same([in_time, late])["page-scores"]
    assert late.counts["late", "page-views"] > 0 == in_time.counts["late", "page-views"]
