"""Enrichment: where a page view stands when it is read, and how it is scored."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from schemas.enriched_page_views import EnrichedPageView
from schemas.visitor_events import ModelWeights
from streams.enrichment import P_EXIT, P_PURCHASE
from streams.features import journeys, score
from streams.settings import HOUR_MS, SECOND_MS
from tests.streams.visitor_logs import SITE, THE_GAP, Kept, Run, action, identity, order, ran, view

WEIGHTS = ModelWeights(
    ("site-events/0", 1, 0),
    SITE,
    P_PURCHASE,
    7,
    -1.0,
    {"depth": 0.5, "cart": 1.5, "gap": 0.25, "elapsed": 0.125, "purchased": 2.0, "template:home": 0.75}
    | {"known_customer": 0.3, "returning": 0.7, "searches": 0.9, "source:paid": 0.6, "same_page": 0.2},
)


def weigh(run: Run, weights: ModelWeights) -> None:
    """Send weights, which have an origin of their own."""
    run._apply(msgspec.json.encode(weights))


def by_event(kept: Kept) -> dict[str, EnrichedPageView]:
    return {enriched.event_id: enriched for enriched in kept.enriched}


def test_a_view_is_written_at_once_with_its_place() -> None:
    run = Run().send(view(0, id="a"), action(500), view(1500, id="b"), view(2 * THE_GAP, id="c"))
    first, second, third = run.kept.enriched
    assert [(e.position, e.seconds_since_previous) for e in run.kept.enriched] == [
        (1, None),
        (2, 1.5),
        (1, None),
    ]
    assert first.session_id == second.session_id != third.session_id
    assert {session.session_id for session in run.end().final()} == {first.session_id, third.session_id}
    assert (first.p_purchase, first.p_exit, first.model_version) == (None, None, None)


def test_it_carries_what_the_page_view_says() -> None:
    record = view(
        0,
        browser="Firefox",
        title="Home",
        ip="10.0.0.0",
        sent_at=1,
        properties=msgspec.Raw(b'{"a":1}'),
        received_at=9,
    )
    run = Run()
    outputs = run.processor.apply(
        0, 0, msgspec.json.encode(msgspec.structs.replace(record, origin=("p/0", 0, 0)))
    )
    (output,) = outputs
    wire = msgspec.json.decode(msgspec.json.encode(output.value))
    assert (output.key, output.received_ms, output.id) == ("ann", 9, wire["id"])
    assert wire["properties"] == {"a": 1}
    assert (wire["browser"], wire["title"], wire["ip"]) == ("Firefox", "Home", "10.0.0.0")
    assert wire["sent_at"] == "1970-01-01T00:00:00.001Z"
    assert "os" not in wire
    assert (
        msgspec.json.decode(msgspec.json.encode(output.value), type=EnrichedPageView).page
        == "shop.example/home"
    )


def test_a_late_view_gets_the_place_that_it_has_then_and_revises_nobody() -> None:
    kept = ran(view(0, id="a"), view(4000, id="c"), view(1000, id="b"), view(5000, id="d"))
    assert {e.event_id: (e.position, e.seconds_since_previous) for e in kept.enriched} == {
        "a": (1, None),
        "c": (2, 4.0),
        "b": (2, 1.0),
        "d": (4, 1.0),
    }


def test_the_customer_is_who_is_known_at_the_view() -> None:
    run = Run().send(
        view(0, id="a"), identity(5, "logged_in", customer_id="c1"), view(9, id="b"), view(3, id="late")
    )
    found = {name: enriched.customer_id for name, enriched in by_event(run.kept).items()}
    assert found == {"a": None, "b": "c1", "late": None}


def test_the_newest_weights_in_the_log_score() -> None:
    run = Run().send(view(0, id="a"))
    weigh(run, WEIGHTS)
    run.send(view(1, id="b"))
    run.resume()
    weigh(run, msgspec.structs.replace(WEIGHTS, origin=("site-events/0", 2, 0), model=P_EXIT, version=9))
    weigh(
        run,
        msgspec.structs.replace(WEIGHTS, origin=("site-events/0", 3, 0), site="other.example", version=50),
    )
    run.send(view(2, id="c"))
    a, b, c = run.kept.enriched
    assert (a.p_purchase, a.model_version) == (None, None)
    assert b.p_purchase is not None
    assert (b.p_exit, b.model_version) == (None, 7)
    assert c.p_exit == c.p_purchase
    assert c.model_version == 9


events = st.lists(
    st.tuples(
        st.sampled_from(
            ("view", "view", "view", "search", "add_to_cart", "remove_from_cart", "error", "order", "login")
        ),
        st.integers(0, 20 * 60).map(lambda seconds: seconds * SECOND_MS),
        st.sampled_from(("home", "product", "cart")),
    ),
    min_size=1,
    max_size=12,
)


def built(drawn: list[tuple[str, int, str]]) -> list[Any]:
    records: list[Any] = []
    at = 0
    for n, (what, pause, page) in enumerate(drawn):
        at += pause
        if what == "view":
            records.append(view(at, page, id=str(n), source="paid" if n == 0 else "internal"))
        elif what == "order":
            records.append(order(at, f"o{n}"))
        elif what == "login":
            records.append(identity(at, "logged_in", id=str(n), customer_id="c"))
        else:
            records.append(action(at, what, id=str(n)))
    return sorted(
        records, key=lambda r: (r.occurred_at, ("View", "Inte", "Orde", "Iden").index(_kind(r)), r.event_id)
    )


def _kind(record: Any) -> str:
    return {"VisitorPageView": "View"}.get(type(record).__name__, type(record).__name__[7:11])


@given(events, st.booleans())
@profile(max_examples=60)
def test_a_view_is_scored_on_what_the_models_learn_from(
    drawn: list[tuple[str, int, str]], resumes: bool
) -> None:
    run = Run()
    weigh(run, WEIGHTS)
    for record in built(drawn):
        run.send(record)
        if resumes:
            run.resume()
    kept = run.end()
    learned = {}
    for example in kept.examples:
        for position, journey in enumerate(journeys(example), 1):
            learned[example.session_id, position] = score(WEIGHTS, journey.features())
    assert {(e.session_id, e.position): e.p_purchase for e in kept.enriched} == pytest.approx(
        learned, abs=1e-12
    )


def test_an_order_is_not_known_at_a_view_of_the_same_instant() -> None:
    run = Run()
    weigh(run, WEIGHTS)
    kept = run.send(view(0, id="a"), order(0), view(0, id="b"), view(1, id="c")).end()
    (example,) = kept.examples
    learned = [score(WEIGHTS, journey.features()) for journey in journeys(example)]
    assert [enriched.p_purchase for enriched in kept.enriched] == pytest.approx(learned, abs=1e-12)


@pytest.mark.parametrize("minutes", [0, 29, 31])
def test_a_visitor_who_was_here_before_is_returning(minutes: int) -> None:
    run = Run().send(view(0), view(minutes * 60 * SECOND_MS, id="again")).mark(3 * HOUR_MS)
    assert [example.returning for example in run.kept.examples] == (
        [False, True] if minutes > 30 else [False]
    )
