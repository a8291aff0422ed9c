from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from schemas.marks import Mark, Progress
from schemas.model_reports import ModelReport
from schemas.model_snapshots import ModelSnapshot
from schemas.site_events import (
    Cell,
    ExampleAction,
    ExampleView,
    Exit,
    PageMinute,
    SessionCorrection,
    SessionExample,
)
from schemas.visitor_events import ModelWeights
from streams.features import journeys, score
from streams.models import FIRST_EXAMPLES, Models, choose_views, exit_lessons, purchase_lessons
from streams.processors import LogProcessor
from streams.propensities import Learner, Propensity
from streams.settings import HOUR_MS, MINUTE_MS, Settings
from streams.stages import EVERY_PARTITION, Output

BEGINNING = 1_767_571_200_000
QUARTER = 15 * MINUTE_MS
EXIT = Exit("shop.example", "home", "dead_end", "none")


def session(number: int, length: int = 4, **changes: Any) -> SessionExample:
    at = BEGINNING + number * MINUTE_MS
    usual = SessionExample(
        origin=("visitor-events/0", number, 0),
        site="shop.example",
        session_id=f"session-{number}",
        due_ms=at + 35 * MINUTE_MS,
        source="paid",
        device="mobile",
        is_bot=False,
        returning=False,
        views=tuple(ExampleView(at + 10_000 * n, f"p{n}", "product") for n in range(length)),
        actions=(),
        exit=EXIT,
    )
    return msgspec.structs.replace(usual, **changes)


def shopping(number: int, rng: random.Random) -> SessionExample:
    """A session in a world where carts come from products, orders from carts, and content ends visits."""
    at = started_at = BEGINNING + number * MINUTE_MS
    views, actions, in_cart, purchased_at = [], [], False, None
    template = rng.choice(["home", "product", "content"])
    while True:
        views.append(ExampleView(at, f"{template}-{rng.randrange(9)}", template))
        if template == "product" and rng.random() < 0.3:
            actions.append(ExampleAction(at + 5_000, "add_to_cart"))
            in_cart = True
        if template == "checkout" and rng.random() < 0.6:
            purchased_at = at + 7_000
        leaving = {"content": 0.7, "checkout": 0.2 if purchased_at is None else 0.9}.get(template, 0.25)
        if rng.random() < leaving or len(views) == 30:
            break
        at += rng.randrange(9_000, 60_000)
        template = rng.choice(["cart", "checkout"] if in_cart else ["home", "product", "category", "content"])
    return session(
        number,
        views=tuple(views),
        actions=tuple(actions),
        purchased_at=purchased_at,
        due_ms=started_at + HOUR_MS,
        returning=rng.random() < 0.3,
    )


def mark(at: int) -> Mark:
    return Mark(1, (Progress("visitor-events/0", 2**40, at),))


def run(processor: LogProcessor, log: Iterable[Any], first_offset: int = 0) -> list[Output]:
    encode = msgspec.json.encode
    return [
        output
        for offset, record in enumerate(log, first_offset)
        for output in processor.apply(offset, BEGINNING, encode(record))
    ]


def fresh(**settings: Any) -> LogProcessor:
    return LogProcessor(Models(Settings(**settings)), 0)


def of_type(outputs: Iterable[Output], type_: type) -> list[Output]:
    return [output for output in outputs if isinstance(output.value, type_)]


def test_a_session_is_scored_by_a_model_that_has_not_learned_it() -> None:
    processor = fresh()
    log = [shopping(number, random.Random(number)) for number in range(60)]
    run(processor, log[:-1])
    before = msgspec.json.decode(
        msgspec.json.encode(processor.context.state.get("mshop.example|p_exit")), type=Propensity
    )
    lessons = exit_lessons(log[-1], list(choose_views(log[-1], 2)))
    for lesson in lessons:
        p = Learner().predict(before, lesson.features)
        before.measures.update(p, lesson.happened, lesson.weight)
    run(processor, log[-1:], 59)
    after = processor.context.state.get("mshop.example|p_exit")
    assert msgspec.json.encode(after.measures) == msgspec.json.encode(before.measures)
    assert after.weights != before.weights


def test_labels_are_what_came_later_in_the_session() -> None:
    record = session(0, length=4, purchased_at=BEGINNING + 20_000)
    chosen = list(choose_views(record, 1_000))
    assert [view.position for view in chosen] == [1, 2, 3, 4]
    # The third view is at the instant of the order: it and what follows say nothing about purchasing.
    assert [lesson.happened for lesson in purchase_lessons(record, chosen)] == [True, True]
    assert [lesson.happened for lesson in exit_lessons(record, chosen)] == [False, False, False, True]
    without = msgspec.structs.replace(record, purchased_at=None)
    assert [lesson.happened for lesson in purchase_lessons(without, chosen)] == [False] * 4
    assert [view.features for view in chosen] == [journey.features() for journey in journeys(record)]


@pytest.mark.parametrize("length", [1, 2, 5, 20])
def test_views_are_chosen_by_position_alone_whatever_the_length_of_the_session(length: int) -> None:
    records = [session(number, length=length) for number in range(500)]
    hits = Counter(view.position for record in records for view in choose_views(record, 2))
    assert hits[1] == 500
    for position in range(2, length + 1):
        assert hits[position] / 500 == pytest.approx(1 / position, abs=0.06)


def test_chosen_views_stand_for_all_views() -> None:
    chosen = [view for number in range(400) for view in choose_views(session(number, length=10), 2)]
    assert sum(view.weight for view in chosen) == pytest.approx(4_000, rel=0.05)
    assert len(chosen) == pytest.approx(400 * 2.93, rel=0.05)
    assert list(choose_views(session(0), 0)) == []


def test_bots_capped_sessions_and_other_records_teach_nothing() -> None:
    processor = fresh()
    origin = ("visitor-events/0", 100, 0)
    log = [
        session(0, is_bot=True),
        session(1, capped=True),
        session(2, length=0),
        PageMinute(origin, "shop.example", "p1", "product", 0, 1, (Cell("paid", "mobile", True, 9, 3),)),
        SessionCorrection(("visitor-events/0", 101, 0), "shop.example", "session-0", 1, False, EXIT, EXIT),
        mark(BEGINNING + HOUR_MS),
    ]
    assert run(processor, log) == []
    assert processor.context.state.drain() == []


def test_the_first_snapshot_comes_after_the_first_examples() -> None:
    processor = fresh()
    early = run(processor, [session(number) for number in range(FIRST_EXAMPLES - 1)])
    assert early == []
    outputs = run(processor, [session(FIRST_EXAMPLES)], FIRST_EXAMPLES)
    assert [(output.topic, output.id, output.revision) for output in outputs] == [
        ("model-snapshots", "shop.example:p_purchase", 1),
        ("model-reports", "shop.example:p_purchase:1", 1),
        ("visitor-events", "shop.example:p_purchase", 1),
        ("model-snapshots", "shop.example:p_exit", 1),
        ("model-reports", "shop.example:p_exit:1", 1),
        ("visitor-events", "shop.example:p_exit", 1),
    ]
    assert [output.partition for output in outputs] == [None, None, EVERY_PARTITION] * 2
    origins = [output.value.origin for output in of_type(outputs, ModelWeights)]
    assert origins == [("site-events/0", FIRST_EXAMPLES, 0), ("site-events/0", FIRST_EXAMPLES, 1)]


def test_then_a_snapshot_comes_every_quarter_of_an_hour_of_event_time_if_something_was_learned() -> None:
    log: list[Any] = []
    for number in range(100):
        log += [session(number), mark(BEGINNING + (number + 36) * MINUTE_MS)]
    log += [mark(BEGINNING + hours * HOUR_MS) for hours in range(3, 30)]
    snapshots = [
        output for output in of_type(run(fresh(), log), ModelSnapshot) if output.value.model == "p_exit"
    ]
    times = [output.time_ms for output in snapshots]
    # Sessions close from 00:35 to 02:14; silence after that publishes nothing again.
    assert times == [BEGINNING + QUARTER * n for n in range(3, 10)]
    assert [output.revision for output in snapshots] == list(range(1, 8))
    assert [output.value.version for output in snapshots] == list(range(1, 8))


def test_sessions_handed_over_late_bring_snapshots_no_closer_together() -> None:
    late = BEGINNING + 10 * HOUR_MS
    log: list[Any] = [mark(late)]
    for number in range(50):
        log += [session(number, due_ms=BEGINNING + number), mark(late + number + 1)]
    times = [o.time_ms for o in of_type(run(fresh(), log), ModelSnapshot) if o.value.model == "p_exit"]
    assert all(after - before >= QUARTER for before, after in pairwise(times))


def test_a_model_that_is_interrupted_anywhere_goes_on_bit_for_bit() -> None:
    log: list[Any] = []
    for number in range(260):
        log.append(shopping(number, random.Random(number)))
        if number % 7 == 0:
            log.append(mark(BEGINNING + (number + 60) * MINUTE_MS))
    whole = fresh()
    expected = run(whole, log)
    rows = dict(whole.context.state.drain())
    assert len(of_type(expected, ModelSnapshot)) > 20
    for cut in (1, 120, 240, len(log) - 1):
        first = fresh()
        outputs = run(first, log[:cut])
        backing = {key: row for key, row in first.context.state.drain() if row is not None}
        fence = msgspec.json.decode(msgspec.json.encode(first.fence), type=type(first.fence))
        second = LogProcessor(Models(Settings()), 0, backing, fence=fence)
        second.context.state.restore(backing.items())
        outputs += run(second, log[cut:], cut)
        assert msgspec.json.encode(outputs) == msgspec.json.encode(expected)
        assert dict(second.context.state.drain()) == rows


def test_the_same_log_gives_the_same_models_to_another_stage_value() -> None:
    log = [shopping(number, random.Random(number)) for number in range(210)]
    assert msgspec.json.encode(run(fresh(), log)) == msgspec.json.encode(run(fresh(), log))


def test_published_weights_score_as_the_model_predicts_and_do_not_change_afterwards() -> None:
    processor = fresh()
    log = [shopping(number, random.Random(number)) for number in range(300)]
    outputs = of_type(run(processor, log[: FIRST_EXAMPLES + 20]), ModelWeights)
    frozen = msgspec.json.encode(outputs)
    assert {output.value.model for output in outputs} == {"p_purchase", "p_exit"}
    run(processor, [mark(BEGINNING + 100 * HOUR_MS)], 300)
    for model in ("p_purchase", "p_exit"):
        propensity = processor.context.state.get(f"mshop.example|{model}")
        exported = ModelWeights(("", 0, 0), "shop.example", model, 1, 0.0, dict(propensity.weights))
        for journey in journeys(log[-1]):
            features = journey.features()
            assert score(exported, features) == pytest.approx(
                Learner().predict(propensity, features), abs=1e-12
            )
    run(processor, log[FIRST_EXAMPLES + 20 :], 301)
    assert msgspec.json.encode(outputs) == frozen


def test_in_a_world_that_can_be_learned_reports_stand_well_above_their_baselines() -> None:
    rng = random.Random(5)
    log: list[Any] = [shopping(number, rng) for number in range(3_000)]
    reports = {
        output.value.model: output.value
        for output in of_type(run(fresh(), [*log, mark(BEGINNING + 100 * HOUR_MS)]), ModelReport)
    }
    purchase, leaving = reports["p_purchase"], reports["p_exit"]
    assert purchase.auprc > 2.5 * purchase.positives / purchase.examples
    assert purchase.auroc > 0.75
    assert purchase.calibration_error < 0.06
    assert leaving.auprc > leaving.baseline_auprc
    assert leaving.auprc > 0.5 > leaving.positives / leaving.examples
    assert leaving.calibration_error < 0.06


def test_what_is_measured_on_chosen_views_holds_for_all_views() -> None:
    rng = random.Random(6)
    processor = fresh()
    log = [shopping(number, rng) for number in range(3_000)]
    run(processor, log)
    measures = processor.context.state.get("mshop.example|p_exit").measures
    views = sum(len(record.views) for record in log)
    assert measures.updates < 0.8 * views
    assert measures.positive_rate() == pytest.approx(3_000 / views, abs=0.01)
    assert sum(measures.expected) / measures.total == pytest.approx(3_000 / views, abs=0.02)


def test_state_is_two_records_a_site_of_bounded_size() -> None:
    processor = fresh()
    rng = random.Random(7)
    for number in range(1_000):
        wild = [f"template-{rng.randrange(10**6)}" for _ in range(5)]
        views = tuple(ExampleView(BEGINNING + n, name, name) for n, name in enumerate(wild))
        record = session(number, views=views, source=f"source-{number}", device=f"device-{number}")
        processor.apply(number, BEGINNING, msgspec.json.encode(record))
    rows = dict(processor.context.state.drain())
    assert sorted(rows) == [b"mshop.example|p_exit", b"mshop.example|p_purchase"]
    for key in rows:
        assert len(processor.context.state.get(key.decode()).weights) < 1_200
    assert max(len(row or b"") for row in rows.values()) < 100_000
