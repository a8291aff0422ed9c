"""Order feeds: orders that cease or come late are named as such, and no page is blamed for them."""

from __future__ import annotations

from schemas.dead_end_alerts import DeadEndAlert
from schemas.site_events import Cell, PageMinute
from streams.detection import DetectorSettings
from streams.order_feeds import OPEN_ABOVE, OrderFeed
from streams.page_records import PageRecord
from streams.settings import MINUTE_MS
from streams.visitors import SEPARATOR
from tests.streams.site_logs import BEGINNING, HORIZON_MS, SITE, Run, decision, minute, ms, page_of

SILENT_FROM = 600
"""Ten hours in which three of ten views of the payment end in an order."""


def paid(number: int, orders: int = 3, stalls: int = 2, views: int = 10) -> PageMinute:
    """Build a minute of the payment, in which so many ordered."""
    cell = Cell("organic", "mobile", False, views, stalls, 0, 0, orders)
    return minute(number, "payment", template="checkout", cells=(cell,))


def usual(until: int) -> list[PageMinute]:
    """Build minutes of a shop in which all is well; nobody orders from most of its pages."""
    pages = [minute(n, f"boots-{k}", template="product") for n in range(until) for k in range(4)]
    steps = [minute(n, "address", views=20, stalls=2, template="checkout") for n in range(until)]
    return [*pages, *steps, *(paid(n) for n in range(min(until, SILENT_FROM)))]


def silent(number: int) -> PageMinute:
    """Build a minute in which who orders seems to stall: nothing is heard of the orders."""
    return paid(number, orders=0, stalls=5)


def heard_late(number: int) -> PageMinute:
    """Build the correction that brings a minute's orders."""
    cell = Cell("organic", "mobile", False, 0, -3, 0, 0, 3)
    return minute(number, "payment", template="checkout", cells=(cell,), correction=True)


def opened(run: Run) -> list[DeadEndAlert]:
    """Alerts as they opened."""
    return [alert for alert in run.alerts if alert.status == "opened"]


def test_orders_that_cease_are_named_and_no_page_is_blamed() -> None:
    until = SILENT_FROM + 120
    run = Run().follow(
        [*usual(until + 60), *map(silent, range(SILENT_FROM, until)), *map(paid, range(until, until + 60))]
    )
    (alert,) = opened(run)
    assert (alert.scope, alert.value, alert.cause, alert.page) == ("site", "orders", "orders_silent", "")
    assert alert.money_at_stake is None, "who has not heard of orders has not lost them"
    assert alert.cause_numbers is not None
    assert alert.cause_numbers["orders"] == 0
    assert alert.changed_at is not None
    assert ms(alert.changed_at) == SILENT_FROM * MINUTE_MS
    assert ms(alert.opened_at) <= (SILENT_FROM + 10) * MINUTE_MS + HORIZON_MS
    assert alert.summary is not None
    assert "look at the feed of orders first" in alert.summary
    last = run.alerts[-1]
    assert (last.alert_id, last.status) == (alert.alert_id, "resolved")
    assert ms(last.updated_at) <= (until + 10) * MINUTE_MS + HORIZON_MS


def test_orders_that_come_late_are_named_late() -> None:
    run = Run().follow(usual(SILENT_FROM))
    for number in range(SILENT_FROM, SILENT_FROM + 60):
        run.mark(number * MINUTE_MS + HORIZON_MS).send(
            silent(number), minute(number, "boots-0", template="product")
        )
        run.send(heard_late(number - 10)) if number >= SILENT_FROM + 10 else None
    run.mark((SILENT_FROM + 70) * MINUTE_MS)
    assert [(alert.scope, alert.value) for alert in opened(run)] == [("site", "orders")]
    last = run.alerts[-1]
    assert last.cause == "orders_late"
    assert last.cause_numbers is not None
    assert last.cause_numbers["late_orders"] > 30
    assert last.summary is not None
    assert last.summary.endswith("orders come, but late.")


def test_a_checkout_that_breaks_for_most_is_blamed_itself() -> None:
    worse = [paid(n, orders=1, stalls=7) for n in range(SILENT_FROM, SILENT_FROM + 60)]
    run = Run().follow([*usual(SILENT_FROM + 60), *worse])
    assert {alert.value for alert in opened(run)}.isdisjoint({"orders"})
    assert {alert.template for alert in opened(run)} == {"checkout"}
    assert {alert.cause for alert in opened(run)} == {"checkout_outage"}


def test_a_few_orders_that_do_not_come_forget_nothing_of_a_checkout_that_loses_many() -> None:
    until = SILENT_FROM + 36
    # Of three minutes one has orders.
    sparse = [paid(n, 0 if n % 3 else 3, 5 if n % 3 else 2) for n in range(SILENT_FROM, until)]
    run = Run().follow([*usual(until), *sparse])
    payment: PageRecord = run.processor.context.state.get(f"p{SITE}{SEPARATOR}{page_of('payment')}")
    assert payment.suspicion.since_ms is not None
    assert payment.suspicion.since_ms - BEGINNING < (SILENT_FROM + 12) * MINUTE_MS


def test_a_checkout_that_nobody_gets_through_is_one_alert() -> None:
    shut = [paid(n, orders=0, stalls=10) for n in range(SILENT_FROM, SILENT_FROM + 120)]
    run = Run().follow([*usual(SILENT_FROM + 120), *shut])
    (alert,) = opened(run)
    assert (alert.template, alert.cause) == ("checkout", "checkout_outage")


def test_another_page_that_breaks_meanwhile_has_its_alert() -> None:
    until = SILENT_FROM + 120
    sick = [
        minute(n, "sizes", template="help", stalls=10 if n >= SILENT_FROM + 30 else 5) for n in range(until)
    ]
    run = Run().follow([*usual(until), *sick, *map(silent, range(SILENT_FROM, until))])
    assert sorted((alert.cause, alert.template) for alert in opened(run)) == [
        ("orders_silent", ""),
        ("page_broke", "help"),
    ]


def test_what_is_learned_stands_still_while_orders_are_silent() -> None:
    until, cell = SILENT_FROM + 240, Cell("organic", "mobile", False, 20, 9)
    express = [
        minute(n, "express", template="product", cells=(Cell("organic", "mobile", False, 20, 8, 0, 0, 1),))
        for n in range(SILENT_FROM)
    ]
    hardly = [minute(n, "express", template="product", cells=(cell,)) for n in range(SILENT_FROM, until)]
    run = Run().follow([*usual(until), *express, *hardly, *map(silent, range(SILENT_FROM, until))])
    numbers = run.alerts[-1].cause_numbers
    assert numbers is not None
    assert numbers["expected_orders"] > 0.95 * 4 * 240


def test_a_shop_whose_orders_are_not_told_is_quiet() -> None:
    run = Run().follow([minute(n, "payment", template="checkout") for n in range(900)])
    assert not run.alerts


def test_evidence_of_a_feed_survives_that_its_processor_starts_anew() -> None:
    run = Run().follow([*usual(SILENT_FROM), *map(silent, range(SILENT_FROM, SILENT_FROM + 4))])
    run.resume()
    run.follow(map(silent, range(SILENT_FROM + 4, SILENT_FROM + 12)))
    (alert,) = opened(run)
    assert alert.changed_at is not None
    assert ms(alert.changed_at) == SILENT_FROM * MINUTE_MS


def test_late_orders_of_before_say_nothing() -> None:
    feed = OrderFeed()
    feed.hear_late(5, BEGINNING)
    assert feed.late == 0
    assert OPEN_ABOVE > feed.evidence == 0.0


def test_a_person_may_mute_the_feed_and_not_dismiss_it() -> None:
    run = Run().follow([*usual(SILENT_FROM), *map(silent, range(SILENT_FROM, SILENT_FROM + 20))])
    (alert,) = opened(run)
    after = (SILENT_FROM + 20) * MINUTE_MS + HORIZON_MS
    run.send(decision(after, alert.alert_id, "dismiss"), decision(after, alert.alert_id, "mute"))
    run.follow(map(silent, range(SILENT_FROM + 20, SILENT_FROM + 90)))
    assert [rejected.reason for rejected in run.rejected] == ["not_possible"]
    assert run.alerts[-1].status == "muted"


def test_nothing_opens_while_the_site_is_still_being_learned() -> None:
    run = Run(detector=DetectorSettings(warm_ms=(SILENT_FROM + 60) * MINUTE_MS))
    run.follow([*usual(SILENT_FROM), *map(silent, range(SILENT_FROM, SILENT_FROM + 50))])
    assert not run.alerts
