"""Revenue passes pages, touches one of them last, and goes again when orders do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from schemas.site_events import Exit, SessionCorrection, SessionExample
from streams.settings import DAY_MS, HOUR_MS, ContentGroup, Settings
from streams.visitors import SEPARATOR
from tests.streams.site_logs import (
    BEGINNING,
    SITE,
    Record,
    Run,
    bought,
    correction,
    left,
    page_of,
    session,
)

SETTINGS = Settings(content_groups=(ContentGroup("/size*", "guides"), ContentGroup("/faq", "guides")))


def passed(records: Sequence[Record], name: str, kind: str = "p") -> tuple[int, str, str]:
    """Orders, revenue and last touch of a page (or a template, or a group) after records."""
    run = Run(settings=SETTINGS).follow(records)
    found = run.processor.context.state.get(
        f"{kind}{SITE}{SEPARATOR}{page_of(name) if kind == 'p' else name}"
    )
    return (found.revenue.orders, found.revenue.passed, found.revenue.last_touch) if found else (0, "0", "0")


def buyer(
    *pages: str, name: str = "s0", revenue: str = "30", after: int = 0, **fields: Any
) -> SessionExample:
    exit_ = bought(pages[-1], revenue, **fields)
    return session(after, *pages, exit_=exit_, session_id=name, purchased_at=BEGINNING)


def changed(
    record: SessionExample, removed: Exit | None, added: Exit | None, after: int = HOUR_MS
) -> SessionCorrection:
    """A correction as the sessions stage writes it: with the views where there are orders now."""
    views = record.views if added is not None and added.orders else ()
    made = correction(after, removed, added, record.session_id)
    return msgspec.structs.replace(made, views=views, purchased_at=BEGINNING)


def test_every_page_before_the_purchase_and_one_last_touch() -> None:
    records = [buyer("home", "sizes", "product", "cart", "checkout")]
    assert passed(records, "home") == (1, "30", "0")
    assert passed(records, "product") == (1, "30", "30")
    assert passed(records, "checkout") == (1, "30", "0")
    assert passed(records, "sizes", "t") == (1, "30", "0")
    assert passed(records, "product", "t") == (1, "30", "30")


def test_what_is_seen_after_the_purchase_or_without_one_passes_nothing() -> None:
    record = session(
        0, "home", "thanks", exit_=bought("thanks", "30"), purchased_at=BEGINNING - HOUR_MS, session_id="s1"
    )
    assert passed([record], "home") == (1, "30", "30")
    assert passed([record], "thanks") == (0, "0", "0")
    assert passed([session(0, "home", "sizes")], "home") == (0, "0", "0")


@pytest.mark.parametrize("fields", [{"is_bot": True}, {"capped": True}])
def test_bots_and_capped_sessions_are_left_out(fields: Mapping[str, Any]) -> None:
    record = session(0, "home", "sizes", exit_=bought("sizes", "30"), purchased_at=BEGINNING, **fields)
    assert passed([record], "home") == (0, "0", "0")


def test_amounts_are_exact_and_of_one_currency() -> None:
    records = [buyer("home", name=f"s{n}", revenue="0.1", after=n) for n in range(10)]
    records.append(buyer("home", name="dollars", revenue="9", after=20, currency="USD"))
    assert passed(records, "home") == (10, "1.0", "1.0")


def test_a_content_group_counts_a_session_once() -> None:
    assert passed([buyer("sizes", "faq", "product")], "guides", "n") == (1, "30", "0")
    assert passed([buyer("product", "sizes", "faq", "cart")], "guides", "n") == (1, "30", "30")


def test_a_refund_takes_the_revenue_out_again() -> None:
    record = buyer("home", "sizes")
    refund = changed(record, bought("sizes", "30"), bought("sizes", "10"))
    assert passed([record, refund], "home") == (1, "10", "0")
    again = changed(record, bought("sizes", "10"), left("sizes"), 2 * HOUR_MS)
    assert passed([record, refund, again], "home") == (0, "0", "0")
    # What was taken out once is not taken out again.
    elsewhere = changed(record, left("sizes"), left("home"), 3 * HOUR_MS)
    assert passed([record, refund, again, elsewhere], "home") == (0, "0", "0")


def test_an_order_that_comes_late_is_counted_by_the_views_of_the_correction() -> None:
    record = session(0, "home", "sizes")
    late = changed(record, left("sizes"), bought("sizes", "30"))
    assert passed([record, late], "home") == (1, "30", "0")
    assert passed([record, late], "sizes") == (1, "30", "30")


def test_a_session_that_never_was_takes_its_revenue_along() -> None:
    record = buyer("home", "sizes")
    assert passed([record, changed(record, bought("sizes", "30"), None)], "home") == (0, "0", "0")


def test_where_revenue_was_counted_is_forgotten_after_the_retention() -> None:
    run = Run().follow([buyer("home", "sizes")])
    assert "x" in run.kinds_left()
    run.mark(DAY_MS + HOUR_MS)
    assert "x" in run.kinds_left()
    run.mark(DAY_MS + HOUR_MS + 1)
    assert "x" not in run.kinds_left()
