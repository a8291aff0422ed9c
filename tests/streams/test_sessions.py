"""Sessions: how events fall into them, when they are written, revised, retracted and forgotten."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schemas.marks import UNKNOWN_MS, Mark, Progress
from schemas.timestamps import parse_time
from schemas.visitor_events import AlertDecided, Deployed
from streams.settings import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Settings
from streams.stages import EVERY_PARTITION
from streams.visits import CLICKS_PER_VIEW
from tests.streams.visitor_logs import (
    BEGINNING,
    ONE_MINUTE,
    THE_GAP,
    UPSTREAM,
    Kept,
    Run,
    action,
    identity,
    order,
    ran,
    view,
)

THE_LENGTH = 24 * HOUR_MS
HALF_HOURS = [n * THE_GAP for n in range(50)]


def spans(kept: Kept) -> list[tuple[int, int]]:
    """Begin and end of the sessions that stand, in ms after the beginning."""
    return [(_ms(session.started_at), _ms(session.ended_at)) for session in kept.final()]


def _ms(text: str) -> int:
    return parse_time(text) - BEGINNING


CASES: dict[str, tuple[list[int], list[tuple[int, int]]]] = {
    "one view": ([0], [(0, 0)]),
    "extended forward within the gap": ([0, THE_GAP - 1], [(0, THE_GAP - 1)]),
    "extended forward exactly at the gap": ([0, THE_GAP], [(0, THE_GAP)]),
    "one millisecond more than the gap": ([0, THE_GAP + 1], [(0, 0), (THE_GAP + 1, THE_GAP + 1)]),
    "extended backward within the gap": ([THE_GAP, 1], [(1, THE_GAP)]),
    "extended backward exactly at the gap": ([THE_GAP, 0], [(0, THE_GAP)]),
    "not extended backward by one more": ([THE_GAP + 1, 0], [(0, 0), (THE_GAP + 1, THE_GAP + 1)]),
    "filled in between": ([0, 20 * ONE_MINUTE, 10 * ONE_MINUTE], [(0, 20 * ONE_MINUTE)]),
    "two that a third merges": ([0, 2 * THE_GAP, THE_GAP], [(0, 2 * THE_GAP)]),
    "two that a third merges with the first only": (
        [0, 2 * THE_GAP + 1, THE_GAP],
        [(0, THE_GAP), (2 * THE_GAP + 1, 2 * THE_GAP + 1)],
    ),
    "two that a third merges with neither": (
        [0, 2 * THE_GAP + 2, THE_GAP + 1],
        [(0, 0), (THE_GAP + 1, THE_GAP + 1), (2 * THE_GAP + 2, 2 * THE_GAP + 2)],
    ),
    "several that two merge": (
        [0, 2 * THE_GAP, 4 * THE_GAP, THE_GAP, 3 * THE_GAP],
        [(0, 4 * THE_GAP)],
    ),
    "exactly at the greatest length": (HALF_HOURS[:49], [(0, THE_LENGTH)]),
    "cut behind the greatest length": (
        HALF_HOURS,
        [(0, THE_LENGTH), (THE_LENGTH + THE_GAP, THE_LENGTH + THE_GAP)],
    ),
}


@pytest.mark.parametrize(("arriving", "expected"), CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("is_late", [False, True], ids=["in time", "each behind its session's close"])
def test_events_fall_into_sessions(
    arriving: list[int], expected: list[tuple[int, int]], is_late: bool
) -> None:
    run = Run(Settings(retention_ms=3 * DAY_MS))
    for at in arriving:
        run.send(view(at))
        if is_late:
            run.mark(2 * DAY_MS)
    assert spans(run.end()) == expected


def test_visitors_and_sites_do_not_mix() -> None:
    other = msgspec.structs.replace(view(2), site="other.example")
    kept = ran(view(0), view(1, visitor="bob"), other)
    assert len(kept.final()) == 3
    assert len({session.session_id for session in kept.final()}) == 3


def test_a_session_closes_when_the_watermark_is_greater_than_its_end_and_the_wait() -> None:
    run = Run().send(view(0)).mark(THE_GAP)
    assert run.kept.revisions == []
    run.mark(THE_GAP + 1)
    assert [(revision, status) for _, revision, status in run.kept.revisions] == [(1, "final")]
    assert run.kept.examples[0].due_ms == BEGINNING + THE_GAP


def test_the_longer_of_gap_and_order_wait_decides_when_it_closes() -> None:
    run = Run(Settings(order_wait_ms=45 * MINUTE_MS)).send(view(0)).mark(45 * MINUTE_MS)
    assert run.kept.revisions == []
    assert len(run.mark(45 * MINUTE_MS + 1).kept.revisions) == 1


def test_a_late_view_that_merges_retracts_the_later_session_and_revises_the_earlier() -> None:
    run = Run().send(view(0), view(2 * THE_GAP)).mark(5 * HOUR_MS)
    first, second = (session.session_id for session in run.kept.final())
    run.send(view(THE_GAP))
    assert run.kept.revisions[2:] == [(second, 2, "retracted"), (first, 2, "revised")]
    assert [(session.session_id, session.page_views) for session in run.kept.final()] == [(first, 3)]
    assert run.counts["late", "page-views"] == 1
    assert run.counts["sessions_retracted", ""] == 1


def test_a_late_view_before_the_first_gives_the_session_another_id() -> None:
    run = Run().send(view(1000)).mark(5 * HOUR_MS).send(view(0))
    old, new = run.kept.sessions.values()
    assert (old.status, new.status, new.page_views) == ("retracted", "final", 2)


def test_a_session_that_is_opened_again_is_written_when_it_closes_again() -> None:
    run = Run().send(view(0)).mark(THE_GAP + 1).send(view(THE_GAP))
    assert len(run.kept.revisions) == 1
    run.mark(2 * THE_GAP)
    assert len(run.kept.revisions) == 1
    run.mark(2 * THE_GAP + 1)
    assert [status for _, _, status in run.kept.revisions] == ["final", "revised"]


def test_an_event_out_of_order_closes_no_session_before_its_time() -> None:
    run = Run().send(view(0)).mark(THE_GAP).send(order(5))
    assert run.kept.revisions == []
    assert len(run.mark(THE_GAP + 1).kept.revisions) == 1


def test_a_second_session_closes_long_before_the_first_is_forgotten() -> None:
    run = Run().send(view(0)).mark(2 * HOUR_MS).send(view(3 * HOUR_MS)).mark(3 * HOUR_MS + THE_GAP + 1)
    assert [status for _, _, status in run.kept.revisions] == ["final", "final"]


def test_what_changes_nothing_is_not_written_again() -> None:
    run = Run().send(view(0), order(0, "o1")).mark(2 * HOUR_MS)
    run.send(order(0, "o1", "paid", revision=2, id="again")).mark(3 * HOUR_MS)
    statuses = [status for _, _, status in run.kept.revisions]
    assert statuses == ["final", "revised"], "the rule names the status of the order"
    run.send(identity(5, "logged_out")).mark(4 * HOUR_MS)
    assert [status for _, _, status in run.kept.revisions] == statuses


def test_an_id_that_comes_back_goes_on_counting_its_revisions() -> None:
    a, b, between = view(0), view(2 * THE_GAP, id="b"), view(THE_GAP, id="between")
    run = Run().send(a, b).mark(5 * HOUR_MS).send(between)
    second = run.kept.revisions[1][0]
    assert run.kept.sessions[second].status == "retracted"
    run.resume()
    # A copy that is less takes the bridge away: "a-page" comes before "home" in canonical JSON.
    run.send(view(3 * THE_GAP + 5, "a-page", id="between", campaign="a"))
    assert run.kept.sessions[second].status == "revised"
    assert run.kept.sessions[second].revision == 3


def test_copies_count_once() -> None:
    run = Run().send(view(0, id="e"), view(0, id="e"), action(0, id="e"), action(0, id="e"))
    run.send(order(0), order(0), identity(0, "logged_in", id="e"), identity(0, "logged_in", id="e"))
    session = run.end().final()[0]
    assert (session.page_views, session.interactions, session.order_ids) == (1, 1, ["o1"])
    for topic in ("page-views", "interactions", "orders", "identities"):
        assert run.counts["duplicates", topic] == 1
    assert len(run.kept.enriched) == 1


@pytest.mark.parametrize("order_of_arrival", [(0, 1), (1, 0), (0, 1, 0, 1)])
def test_of_contradicting_copies_the_least_counts(order_of_arrival: tuple[int, ...]) -> None:
    copies = view(0, "home", id="e"), view(0, "about", id="e")
    kept = ran(*(copies[index] for index in order_of_arrival))
    assert [session.pages for session in kept.final()] == [["shop.example/about"]]
    assert len(kept.enriched) == 1


def test_a_contradicting_copy_can_split_a_session() -> None:
    # Text decides: an early time is the lesser text, and the bridge moves away from where it joined two sessions.
    bridge, elsewhere = view(THE_GAP, id="e"), view(-5 * HOUR_MS, id="e")
    run = Run().send(view(0), bridge, view(2 * THE_GAP)).mark(5 * HOUR_MS)
    assert len(run.kept.final()) == 1
    run.send(elsewhere)
    assert spans(run.kept) == [(-5 * HOUR_MS, -5 * HOUR_MS), (0, 0), (2 * THE_GAP, 2 * THE_GAP)]


def test_an_event_behind_the_retention_is_rejected_with_its_first_position() -> None:
    run = Run(Settings(retention_ms=HOUR_MS)).send(view(3 * HOUR_MS)).mark(3 * HOUR_MS)
    run.send(view(2 * HOUR_MS, id="at the limit"))
    assert run.kept.rejected == []
    offset = run.offset
    run.send(view(2 * HOUR_MS - 1, id="behind it"))
    rejected = run.kept.rejected[0]
    assert (rejected.reason, rejected.topic, rejected.partition, rejected.offset) == (
        "too_late",
        "page-views",
        0,
        offset,
    )
    assert run.counts["rejected", "too_late"] == 1
    assert run.end().final()[0].page_views == 1


def test_what_is_said_of_alerts_and_deploys_passes_under_an_origin_of_this_log() -> None:
    here, at = ("alert-decisions/1", 17, 0), BEGINNING
    notes = [
        AlertDecided(here, here, "e", at, "shop", "a", "mute", "Ann", "why", at + 5),
        Deployed(here, here, "e", at, "shop", "7", "train", "note", "https://ci.example/7"),
    ]
    run = Run()
    for late in (0, 24 * HOUR_MS):
        run.send(*notes).mark(late)
    kept = run.send(*notes).mark(24 * HOUR_MS + 1).send(*notes).kept
    offsets = [note.origin for note in kept.notes]
    assert offsets == [("visitor-events/0", offset, 0) for offset in (0, 1, 3, 4, 6, 7)]
    assert [msgspec.structs.replace(note, origin=here) for note in kept.notes] == 3 * notes
    assert [record.reason for record in kept.rejected] == ["too_late", "too_late"]
    assert (run.counts["late", "alert-decisions"], run.counts["late", "deploys"]) == (1, 1)
    assert run.keys_left() == [], "nothing is kept of them here"


@pytest.mark.parametrize(
    "record",
    [
        view(10**15),
        action(-(10**15)),
        order(0, total="ten"),
        order(0, total="1e999999999"),
        order(0, total="NaN"),
    ],
)
def test_what_intake_should_have_stopped_is_rejected_and_not_raised(record: Any) -> None:
    run = Run(Settings(retention_ms=10**16)).send(record)
    assert [rejected.reason for rejected in run.kept.rejected] == ["schema_violation"]
    assert run.keys_left() == []


def test_bytes_that_are_no_record_are_rejected() -> None:
    run = Run()
    for value in (None, b"", b"{}", b"\xff\xfe", b'{"type":"page_view"}', b"[" * 100_000):
        run.kept.take(run.processor.apply(run.offset, BEGINNING, value))
    assert {rejected.reason for rejected in run.kept.rejected} == {"schema_violation"}


def test_everything_is_forgotten_a_retention_after_it_closed() -> None:
    settings = Settings(retention_ms=2 * HOUR_MS)
    run = Run(settings).send(view(0), action(1), order(2), identity(3, "registered"), view(4, visitor="bob"))
    run.send(order(0, "alone", visitor="cy"), view(2 * THE_GAP)).mark(5 * HOUR_MS - 30 * MINUTE_MS + 1)
    run.send(view(3 * HOUR_MS))
    free_ms = 3 * HOUR_MS + THE_GAP + settings.retention_ms
    run.mark(free_ms)
    assert [key[0] for key in run.keys_left()] == ["v"]
    run.mark(free_ms + 1)
    assert run.keys_left() == []
    assert len(run.processor.context.state) == 0


def test_orders_and_identities_are_forgotten_with_their_session() -> None:
    settings = Settings(retention_ms=2 * HOUR_MS)
    facts = identity(THE_GAP, "registered"), order(THE_GAP), order(9 * HOUR_MS, status="paid", revision=2)
    run = Run(settings).send(view(0), *facts)
    free_ms = THE_GAP + settings.retention_ms
    run.mark(free_ms)
    assert [key[0] for key in run.keys_left()] == ["v"]
    run.mark(free_ms + 1)
    assert run.keys_left() == []


def test_a_session_is_revised_up_to_the_retention_and_frozen_behind_it() -> None:
    settings = Settings(retention_ms=2 * HOUR_MS)
    run = Run(settings).send(view(0), view(10 * HOUR_MS)).mark(2 * HOUR_MS)
    run.send(order(0, "o1"))
    assert run.kept.final()[0].outcome == "purchased"
    run.mark(2 * HOUR_MS + THE_GAP + 1)
    run.send(order(THE_GAP + 2, "o2"), order(THE_GAP + 2, "o1", "cancelled", revision=2))
    assert run.end().final()[0].order_ids == ["o1"]


def test_an_order_waits_for_a_late_view() -> None:
    run = Run().send(order(10)).mark(5 * HOUR_MS)
    assert run.kept.revisions == []
    run.send(view(0))
    assert [(session.outcome, session.order_ids) for session in run.kept.final()] == [("purchased", ["o1"])]


def test_a_runaway_session_is_capped_and_bounded() -> None:
    settings = Settings(max_views=20)
    run = Run(settings)
    sizes = []
    for n in range(400):
        run.send(view(n * SECOND_MS, id=f"v{n}"), action(n * SECOND_MS + 1, id=f"a{n}"))
        if n % 100 == 99:
            run.mark(n * SECOND_MS)
            run.resume()
            sizes.append(sum(len(row) for key, row in run.rows.items() if key[:1] == b"v"))
    assert max(sizes) - min(sizes) < 20, "digits of counters only"
    session = run.end().final()[0]
    assert (session.capped, session.page_views, session.interactions) == (True, 400, 400)
    assert (session.exit_reason, session.exit_rule) == ("measurement_gap", "session:capped")
    assert len(session.pages or []) == 20
    assert run.counts["capped", ""] == 1
    assert [enriched.position for enriched in run.kept.enriched] == list(range(1, 401))
    assert run.keys_left() == []


def test_a_session_of_very_many_interactions_is_capped_too() -> None:
    settings = Settings(max_views=5)
    run = Run(settings).send(view(0))
    limit = CLICKS_PER_VIEW * settings.max_views
    run.send(*(action(n, "engagement", id=f"a{n}") for n in range(1, 3 * limit)))
    state = run.processor.context.state
    visitor = state.get(next(key for key in state._records if key[0] == "v"))
    assert len(visitor.clicks) == limit + 1
    session = run.end().final()[0]
    assert (session.capped, session.interactions) == (True, 3 * limit - 1)


def test_late_events_in_a_capped_session_only_count() -> None:
    run = (
        Run(Settings(max_views=5))
        .send(*(view(n * SECOND_MS, id=f"v{n}") for n in range(10)))
        .mark(2 * HOUR_MS)
    )
    run.send(view(1500, id="late"), view(8500, id="later"))
    session = run.end().final()[0]
    assert (session.page_views, len(session.pages or []), session.capped) == (12, 5, True)


def test_orders_of_one_visitor_are_bounded() -> None:
    run = Run(Settings(max_views=5)).send(view(0))
    run.send(*(order(n, f"o{n}") for n in range(100)))
    assert len(run.end().final()[0].order_ids or []) == 5 * CLICKS_PER_VIEW
    assert run.counts["dropped", "orders"] == 100 - 5 * CLICKS_PER_VIEW


def test_clicks_of_a_visitor_beyond_what_a_record_can_hold_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streams.sessions.MAX_CLICKS", 5)
    run = Run().send(*(view(n * 2 * THE_GAP) for n in range(7)))
    assert [(refused.reason, refused.detail) for refused in run.kept.rejected] == [
        ("too_large", "the visitor has 5 clicks already")
    ] * 2
    run.send(view(0))  # a copy of one that is kept
    assert len(run.kept.rejected) == 2
    assert len(run.end().final()) == 5


def test_customers_and_sites_are_told_once_a_minute_how_far_this_partition_has_come() -> None:
    run = Run().send(view(0)).mark(30 * SECOND_MS)
    told = run.kept.marks[-1]
    progress = (Progress("visitor-events/0", 2, BEGINNING + 30 * SECOND_MS),)
    assert told == Mark(1 + 2, progress), "sites are fed by two partitions of the customers' log as well"
    assert run.kept.customer_marks[-1] == Mark(1, progress)
    run.mark(ONE_MINUTE - 1)
    assert run.kept.marks[-1] is told
    assert len(run.kept.customer_marks) == len(run.kept.marks)
    outputs = run.processor.apply(run.offset, 0, _mark(run, 2 * HOUR_MS))
    assert [output.topic for output in outputs][-3:] == ["site-events", "customer-events", "site-events"]
    assert isinstance(outputs[-1].value, Mark), "it comes after all that became due"
    assert (outputs[-1].key, outputs[-1].partition) == ("", EVERY_PARTITION)
    assert run.processor.context.watermark > UNKNOWN_MS


def _mark(run: Run, after: int) -> bytes:
    return msgspec.json.encode(Mark(1, (Progress(UPSTREAM, run.offset, BEGINNING + after),)))


def test_deadlines_act_as_of_their_own_time_however_far_the_watermark_jumps() -> None:
    events = [view(n * THE_GAP * 3, id=f"v{n}") for n in range(4)]
    fine = Run().send(*events)
    for at in range(0, 2 * DAY_MS, 7 * MINUTE_MS):
        fine.mark(at)
    coarse = Run().send(*events)
    written = [entry for entry in fine.end().log if entry[0] == "sessions"]
    assert written == [entry for entry in coarse.end().log if entry[0] == "sessions"]
    assert fine.kept.sessions == coarse.kept.sessions
    assert [m.cells for m in fine.kept.minutes] == [m.cells for m in coarse.kept.minutes]


def test_a_redelivered_record_changes_nothing() -> None:
    run = Run()
    record = msgspec.json.encode(msgspec.structs.replace(view(0), origin=(UPSTREAM, 7, 0)))
    assert run.processor.apply(0, 0, record)
    assert not run.processor.apply(1, 0, record)
    assert run.counts["redelivered", ""] == 1


@pytest.mark.parametrize("read", ["before it closes", "before the time of the refund", "after it"])
def test_a_refund_holds_from_its_own_time_on_whenever_it_was_read(read: str) -> None:
    refund_at = 3 * HOUR_MS
    refund = order(refund_at, "o1", "refunded", revision=2, total="25")
    run = Run().send(view(0), order(1, "o1", total="25"))
    if read == "before it closes":
        run.send(refund)
    run.mark(THE_GAP + 1).mark(refund_at)
    assert [session.revenue for session in run.kept.final()] == ["25"]
    if read == "before the time of the refund":
        run.send(refund)
        assert [session.revenue for session in run.kept.final()] == ["25"], "its time has not come"
    run.mark(refund_at + 1)
    if read == "after it":
        run.send(refund)
    assert [session.revenue for session in run.kept.final()] == ["0"]
    assert run.kept.revisions[-1][1:] == (2, "revised")
    [example] = run.kept.examples
    [correction] = run.kept.corrections
    assert (example.exit.revenue, correction.due_ms) == ("25", BEGINNING + refund_at)
    assert correction.removed is not None
    assert correction.added is not None
    assert (correction.removed.revenue, correction.added.revenue) == ("25", "0")
    run.end()
    assert run.keys_left() == []
