"""Pages: the same answer however partitions interleave, alerts that open once and end, counts that add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from random import Random
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.alert_decisions import DecisionAction
from schemas.marks import Mark, Progress
from schemas.site_events import Cell, PageMinute, SessionCorrection, SessionExample
from schemas.timestamps import format_ms
from streams.judging import PageJudge
from streams.page_records import OTHER_PAGES
from streams.processors import PART
from streams.settings import HOUR_MS, MINUTE_MS, Settings
from streams.stages import Context, LogStage, Output
from streams.visitors import SEPARATOR
from tests.streams.site_logs import (
    AT_THE_END,
    BEGINNING,
    HORIZON_MS,
    OF_SESSIONS,
    QUIET_HOURS,
    REST,
    SITE,
    Record,
    Run,
    bought,
    broken,
    correction,
    decision,
    deploy,
    left,
    made_up_session,
    minute,
    minutes,
    ms,
    page_of,
    session,
    shop_traffic,
)

seeds = st.integers(0, 2**32)


def test_it_is_a_stage_with_state() -> None:
    stage: LogStage = Run().stage
    assert stage.log == "site-events"


def test_pages_of_a_minute_are_handled_together_and_no_more_of_them_than_a_part_may_take() -> None:
    count = 5 * PART
    run = Run().send(*(minute(0, f"p{number:04d}") for number in range(count)))
    state, seen = run.processor.context.state, []
    handle = PageJudge.minutes

    def noting(self: PageJudge, context: Context, key: str, due_ms: int) -> Iterable[Output]:
        before = state.popped
        outputs = handle(self, context, key, due_ms)
        seen.append(1 + state.popped - before)
        return outputs

    mark = Mark(1, (Progress("visitor-events/0", count, BEGINNING + HORIZON_MS + 1),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PageJudge, "minutes", noting)
        run.processor.begin(run.offset, BEGINNING, msgspec.json.encode(mark))
        parts = 1
        while run.processor.is_unfinished:
            run.processor.go_on()
            parts += 1
    assert sum(seen) == count
    assert set(seen) == {PART}
    assert parts == count // PART + 1
    whole = state.get(f"g{SITE}{SEPARATOR}site:")
    assert whole.habits.views == 10 * count, "the scopes' minute comes once, after all pages"


# ---- the same answer for every interleaving


SHOPS = 6


@cache
def in_order(seed: int) -> Run:
    """Carry a made-up shop through one partition, all in order of time."""
    return Run().follow(shop_traffic(seed)).end()


def split(records: list[Record], partitions: int, source: Random) -> list[list[Record]]:
    """Spread records over partitions: sessions whole, minutes by their views."""
    parts: list[list[Record]] = [[] for _ in range(partitions)]
    for record in records:
        if not isinstance(record, PageMinute):
            parts[source.randrange(partitions)].append(record)
            continue
        shares: list[list[Cell]] = [[] for _ in range(partitions)]
        for cell in record.cells:
            counts = Counter((source.randrange(partitions), view < cell.stalls) for view in range(cell.views))
            for part in range(partitions):
                stalls = counts[part, True]
                views = stalls + counts[part, False]
                if views:
                    shares[part].append(Cell(cell.source, cell.device, cell.first_view, views, stalls))
        for part, cells in enumerate(shares):
            if cells:
                source.shuffle(cells)
                number = (record.minute_ms - BEGINNING) // MINUTE_MS
                parts[part].append(
                    minute(number, record.template, cells=tuple(cells), correction=record.correction)
                )
    return parts


def told(records: list[Record], every_ms: int, source: Random) -> Iterator[Record | int]:
    """Give one partition's records and marks: a record before the first mark that is greater than its time."""
    waiting = sorted(records, key=lambda record: record.due_ms)
    time = 0
    while waiting:
        time += source.randrange(1, 2 * every_ms)
        batch = [record for record in waiting if record.due_ms < BEGINNING + time]
        del waiting[: len(batch)]
        # What is due at one watermark comes in the order of the stage's keys, which are not ours.
        source.shuffle(batch)
        yield from batch
        yield time
    yield AT_THE_END


def interleave(records: list[Record], partitions: int, every_ms: int, seed: int, resume: float = 0.0) -> Run:
    """Carry records through partitions that come on at random."""
    source = Random(seed)
    run = Run(partitions)
    streams = [told(part, every_ms, source) for part in split(records, partitions, source)]
    running = list(range(partitions))
    while running:
        partition = source.choice(running)
        for _ in range(source.randrange(1, 200)):
            entry = next(streams[partition], None)
            if entry is None:
                running.remove(partition)
                break
            if isinstance(entry, int):
                run.mark(entry, partition)
            else:
                run.send(entry, partition=partition)
            if source.random() < resume:
                run.resume()
    return run


@settings(max_examples=16)
@given(
    seeds,
    st.integers(1, 4),
    st.sampled_from([MINUTE_MS // 3, MINUTE_MS, 20 * MINUTE_MS, 100 * HOUR_MS]),
    st.sampled_from([0.0, 0.0, 0.02]),
)
def test_partitions_interleavings_coarse_marks_and_restarts_change_no_byte(
    seed: int, partitions: int, every_ms: int, resume: float
) -> None:
    expected = in_order(seed % SHOPS)
    run = interleave(shop_traffic(seed % SHOPS), partitions, every_ms, seed, resume)
    assert run.log == expected.log
    assert run.kinds_left() == expected.kinds_left() == REST | OF_SESSIONS
    assert run.rows == expected.rows


def test_the_made_up_traffic_opens_and_resolves_alerts_and_has_scores_to_compare() -> None:
    runs = [in_order(seed) for seed in range(SHOPS)]
    assert sum(("sizes", "opened", 1) in run.said() for run in runs) >= SHOPS // 2
    by_itself = {"opened", "updated", "confirmed", "withdrawn", "resolved", "reopened"}
    assert all({status for _, status, _ in run.said()} <= by_itself for run in runs)
    assert all(len(run.scores) >= 15 for run in runs)


@settings(max_examples=12)
@given(
    seeds,
    st.sampled_from([1, 3, 12]),
    st.sampled_from([MINUTE_MS, 20 * MINUTE_MS, 100 * HOUR_MS]),
    st.sampled_from([0.0, 0.02]),
)
def test_decisions_and_deploys_in_time_change_no_byte_either(
    seed: int, partitions: int, every_ms: int, resume: float
) -> None:
    """Some are said twice, some of alerts that are over or never were, some at the moment when a minute is due."""
    source = Random(seed)
    opened = {alert.alert_id: ms(alert.opened_at) for alert in in_order(seed % SHOPS).alerts}
    records: list[Record] = shop_traffic(seed % SHOPS)
    for name, after in [*opened.items(), ("0123456789abcdef", HOUR_MS)]:
        for _ in range(6):
            action = source.choice(get_args(DecisionAction))
            when = after + source.randrange(90) * MINUTE_MS + source.choice([0, 0, 1, 17])
            said = decision(when, name, action, by="Ann", id=f"d{source.randrange(12)}")
            records += [said] * source.choice([1, 1, 2])
        records.append(deploy(after - source.randrange(HOUR_MS), f"v{source.randrange(9)}", note="sizes"))
    expected = Run().follow(records).end()
    run = interleave(records, partitions, every_ms, seed, resume)
    assert run.log == expected.log
    assert run.kinds_left() == expected.kinds_left() == REST | OF_SESSIONS
    assert run.rows == expected.rows


@settings(max_examples=8)
@given(seeds, st.integers(1, 4), st.sampled_from([MINUTE_MS, 20 * MINUTE_MS, 100 * HOUR_MS]))
def test_corrections_in_time_change_no_byte_either(seed: int, partitions: int, every_ms: int) -> None:
    """An order is cancelled long after its session: it is due when that happened, on every partition."""
    records = shop_traffic(seed % SHOPS)
    source = Random(seed)
    records += [
        correction(
            record.due_ms - BEGINNING + source.randrange(HOUR_MS),
            record.exit,
            left("home"),
            record.session_id,
        )
        for record in records
        if isinstance(record, SessionExample) and source.random() < 0.2
    ]
    assert interleave(records, partitions, every_ms, seed).log == Run().follow(records).end().log


# ---- corrections


def corrected(number: int, views: int, stalls: int, **fields: Any) -> PageMinute:
    return minute(number, views=views, stalls=stalls, correction=True, **fields)


@settings(max_examples=15)
@given(
    st.lists(st.tuples(st.integers(0, 230), st.integers(-3, 3), st.integers(-3, 3)), max_size=20), st.data()
)
def test_corrections_change_counts_and_never_what_is_suspected(
    changes: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    records = [*QUIET_HOURS, *broken(30), *minutes(210, 260)]
    plain = Run().follow(records).end()
    run = Run()
    waiting = {data.draw(st.integers(0, 259)): change for change in changes}
    for number, record in enumerate(records):
        run.follow([record])
        if number in waiting:
            at, views, stalls = waiting[number]
            run.send(
                corrected(at, views, stalls),
                correction(at * MINUTE_MS, left("home"), left("sizes", "served")),
            )
    run.end()
    assert run.alerts == plain.alerts
    last = run.last_scores()[page_of("sizes")]
    assert last.views == max(0, sum(r.cells[0].views for r in records) + sum(c[1] for c in waiting.values()))
    assert last.exits == len(waiting)
    assert (last.exit_reasons or {}).get("served", 0) == len(waiting)


def test_a_correction_that_overtakes_what_it_corrects_never_shows_less_than_nothing() -> None:
    run = Run(2)
    run.send(minute(0, views=3, stalls=1), session(10 * MINUTE_MS, "sizes"), partition=0)
    run.mark(3 * HOUR_MS, partition=0)
    run.send(corrected(0, -3, -1), correction(10 * MINUTE_MS, left("sizes"), None, "s600000"), partition=0)
    run.send(minute(0, "home"), session(20 * MINUTE_MS, "home"), partition=1)
    run.mark(2 * HOUR_MS, partition=1).end()
    last = run.last_scores()
    assert (last[page_of("sizes")].views, last[page_of("sizes")].exits) == (0, 0)
    assert (last[page_of("home")].views, last[page_of("home")].exits) == (10, 1)


def test_a_correction_of_a_page_never_seen_is_told_without_negative_counts() -> None:
    run = Run().send(corrected(0, -3, -1), correction(HORIZON_MS, left("sizes", "served"), None)).end()
    (score,) = run.scores
    assert (score.views, score.exits, score.dead_end_exits, score.exit_reasons) == (0, 0, 0, {})


def test_what_comes_late_is_scored_with_the_next_hour_and_times_never_go_back() -> None:
    run = Run().follow(minutes(0, 130)).mark(5 * HOUR_MS + 1)
    written = len(run.scores)
    run.send(corrected(3, 1, 1), session(90 * MINUTE_MS, "sizes"), correction(MINUTE_MS, None, left("sizes")))
    assert len(run.scores) == written
    run.end()
    times = [ms(score.as_of) for score in run.scores]
    assert times == sorted(times)
    assert len(run.scores) == written + 1
    assert (run.scores[-1].views, run.scores[-1].exits) == (1301, 2)


# ---- counts


def sums(records: list[Record]) -> dict[str, Counter[str]]:
    """Add up plainly what each page's last score must count."""
    pages: dict[str, Counter[str]] = {}
    for record in records:
        if isinstance(record, PageMinute):
            page = pages.setdefault(record.page, Counter())
            page["views"] += sum(cell.views for cell in record.cells)
            continue
        assert isinstance(record, SessionExample | SessionCorrection)
        exits = (
            [(record.exit, 1)]
            if isinstance(record, SessionExample)
            else [(record.removed, -1), (record.added, 1)]
        )
        for exit_, sign in exits:
            if exit_ is not None:
                page = pages.setdefault(exit_.page, Counter())
                page[exit_.reason] += sign
                page["exits"] += 0 if record.is_bot else sign
    return pages


@settings(max_examples=20)
@given(seeds)
def test_counts_at_the_end_are_a_plain_sum(seed: int) -> None:
    source = Random(seed)
    records: list[Record] = [
        minute(source.randrange(300), source.choice("abcd"), source.randrange(1, 9), 0) for _ in range(60)
    ]
    examples = [made_up_session(source, source.randrange(300)) for _ in range(60)]
    for example in source.sample(examples, 20):
        after = example.due_ms - BEGINNING + source.randrange(HOUR_MS)
        bot, name = example.is_bot, example.session_id
        records.append(correction(after, example.exit, left("home", "served"), name, is_bot=bot))
    records += examples
    scores = Run().follow(records).end().last_scores()
    expected = sums(records)
    assert set(scores) >= set(expected)
    for page, counts in expected.items():
        score = scores[page]
        assert (score.views, score.exits) == (counts["views"], counts["exits"])
        assert score.dead_end_exits == counts["dead_end"]
        reasons = {reason: n for reason, n in counts.items() if n and reason not in ("views", "exits")}
        assert (score.exit_reasons or {}) == reasons


def test_bots_count_as_a_reason_and_as_nothing_else() -> None:
    bot = session(0, "sizes", exit_=left("sizes", "bot", revenue="50", currency="USD", orders=1), is_bot=True)
    run = Run().follow([bot, session(MINUTE_MS, "home", exit_=bought("home", "20"))]).end()
    scores = run.last_scores()
    assert (scores[page_of("sizes")].exits, scores[page_of("sizes")].exit_reasons) == (0, {"bot": 1})
    assert scores[page_of("sizes")].expected_exits == 0
    assert scores[page_of("home")].currency == "EUR"


def test_a_capped_session_counts_its_exit_and_is_not_learned_from() -> None:
    capped = session(0, "sizes", exit_=left("sizes", "measurement_gap"), capped=True)
    (score,) = Run().follow([capped]).end().scores
    assert (score.exits, score.dead_end_exits, score.expected_exits) == (1, 0, 0)


def test_only_dead_ends_are_excess_exits() -> None:
    examples = [session(n * MINUTE_MS, "home", "sizes", exit_=left("sizes", "served")) for n in range(60)]
    score = Run().follow(examples).end().last_scores()[page_of("sizes")]
    assert (score.exits, score.dead_end_exits) == (60, 0)
    assert score.excess_exits < 0


def test_views_of_a_session_are_judged_each_and_only_the_last_is_an_exit() -> None:
    scores = Run().follow([session(0, "home", "sizes", "home")]).end().last_scores()
    assert scores[page_of("home")].exits == 1
    assert scores[page_of("sizes")].exits == 0
    assert scores[page_of("home")].expected_exits > scores[page_of("sizes")].expected_exits > 0


def test_beyond_the_cap_pages_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.page_records.MAX_PAGES", 3)
    names = [f"p{n}" for n in range(9)]
    records: list[Record] = [minute(n, name) for n in range(60) for name in names]
    records += [session(n * MINUTE_MS, *names, session_id=f"s{n}") for n in range(60, 65)]
    run = Run().follow(records).end()
    scores = run.last_scores()
    assert set(scores) == {page_of("p0"), page_of("p1"), page_of("p2"), OTHER_PAGES}
    assert sum(score.views for score in scores.values()) == 60 * 9 * 10
    assert (scores[OTHER_PAGES].views, scores[OTHER_PAGES].exits) == (60 * 6 * 10, 5)
    assert run.kinds_left() == REST | OF_SESSIONS
    assert sum(key[:1] == b"p" for key in run.rows) == 4


# ---- scores


def test_scores_are_written_hourly_for_pages_that_have_changed() -> None:
    records = [*minutes(0, 20, "home"), *minutes(0, 200), minute(150, "home")]
    run = Run().follow(records).end()
    hours = [
        (score.page.rpartition("/")[2], ms(score.as_of) // HOUR_MS, score.revision) for score in run.scores
    ]
    assert hours == [
        ("home", 1, 1),
        ("sizes", 1, 1),
        ("sizes", 2, 2),
        ("home", 3, 2),
        ("sizes", 3, 3),
        ("sizes", 4, 4),
    ]


@pytest.mark.parametrize(("number", "hour"), [(54, 1), (55, 2)])
def test_what_is_due_at_the_full_hour_belongs_to_it(number: int, hour: int) -> None:
    (score,) = Run().follow([minute(number)]).end().scores
    assert score.as_of == format_ms(BEGINNING + hour * HOUR_MS)


def test_a_score_waits_until_the_watermark_has_passed_its_hour() -> None:
    run = Run().send(minute(0)).mark(HOUR_MS)
    assert run.scores == []
    assert len(run.mark(HOUR_MS + 1).scores) == 1


def test_the_pace_of_scores_is_a_setting() -> None:
    run = Run(settings=Settings(score_every_ms=10 * MINUTE_MS)).follow(minutes(0, 20)).end()
    assert [ms(score.as_of) // MINUTE_MS for score in run.scores] == [10, 20, 30]
    assert run.kinds_left() == REST
