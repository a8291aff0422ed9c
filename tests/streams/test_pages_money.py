"""Pages: what is at stake, in which currency, and who would have bought."""

from __future__ import annotations

import pytest

from streams.settings import HOUR_MS
from streams.visitors import SEPARATOR
from tests.streams.site_logs import BEGINNING, QUIET_HOURS, SITE, Run, bought, broken, correction, session


def test_money_is_counted_in_the_first_currency_alone() -> None:
    buyers = [
        session(n, "sizes", "cart", exit_=bought("cart", "30"), session_id=f"e{n}", purchased_at=BEGINNING)
        for n in range(4)
    ]
    dollars = session(9, "sizes", "cart", exit_=bought("cart", "9000", "USD"), purchased_at=BEGINNING)
    others = [session(20 + n, "sizes", "cart", session_id=f"o{n}") for n in range(15)]
    run = Run().follow([*buyers, dollars, *others, *QUIET_HOURS, *broken(30)])
    alert = run.alerts[-1]
    excess = alert.exits - alert.expected_exits
    assert alert.currency == "EUR"
    # Five of twenty who went on from there bought, for 30 each.
    assert float(alert.money_at_stake or 0) == pytest.approx(excess * 5 / 20 * 30, rel=0.01)


def test_a_correction_takes_money_back() -> None:
    buyers = [
        session(n, "sizes", "cart", exit_=bought("cart", "30"), session_id=f"e{n}", purchased_at=BEGINNING)
        for n in range(4)
    ]
    refunds = [correction(HOUR_MS + n, bought("cart", "30"), bought("cart", "0"), f"e{n}") for n in range(3)]
    alert = Run().follow([*buyers, *refunds, *QUIET_HOURS, *broken(30)]).alerts[-1]
    excess = alert.exits - alert.expected_exits
    assert float(alert.money_at_stake or 0) == pytest.approx(excess * 30 / 4, rel=0.01)


def test_without_an_order_there_is_no_currency_and_no_money() -> None:
    run = Run().follow([*QUIET_HOURS, *broken(30), session(0, "sizes")]).end()
    assert (
        {alert.money_at_stake for alert in run.alerts} == {alert.currency for alert in run.alerts} == {None}
    )
    assert {score.money_at_stake for score in run.scores} == {None}


@pytest.mark.parametrize(
    ("pages", "purchased", "went_on"),
    [
        (("sizes", "cart"), None, {"sizes": (1, 0), "cart": (0, 0)}),
        (("sizes", "cart"), 1, {"sizes": (1, 1), "cart": (1, 1)}),
        (("sizes", "cart", "sizes"), 1, {"sizes": (1, 1), "cart": (1, 1)}),
        (("sizes", "cart", "home"), 0, {"sizes": (1, 1), "cart": (0, 0), "home": (0, 0)}),
    ],
    ids=["no purchase", "at the last view", "seen again behind it", "all but the first behind it"],
)
def test_who_goes_on_from_a_template_and_buys(
    pages: tuple[str, ...], purchased: int | None, went_on: dict[str, tuple[int, int]]
) -> None:
    example = session(0, *pages)
    if purchased is not None:
        example = session(0, *pages, purchased_at=example.views[purchased].occurred_at)
    run = Run().follow([example])
    get = run.processor.context.state.get
    found = {name: get(f"t{SITE}{SEPARATOR}{name}") for name in went_on}
    assert {name: (record.went_on, record.purchased) for name, record in found.items()} == went_on
