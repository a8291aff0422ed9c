"""The made-up shop: what it promises to those who measure alerts on it."""

from __future__ import annotations

import ipaddress
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import islice, pairwise, takewhile
from typing import Any

import orjson
import pytest

from schemas.decoding import decode_input
from streams import shop_catalogue
from streams.shop import (
    Fault,
    PlanError,
    Shop,
    ShopConfig,
    busy_pages,
    demo_plan,
    expected_views_per_hour,
    parse_plan,
    plain_page,
    traffic,
    truth,
)
from streams.shop_catalogue import Catalogue
from streams.shop_faults import HOUR_MS
from streams.shop_hours import Hours, cycle
from streams.shop_visitors import CRAWLERS, FAST_BOT, SOURCES, USER_AGENTS
from streams.sources import SourceReader
from streams.urls import UrlReader
from streams.user_agents import UserAgentReader

GAP_MS = 1_800_000
MONDAY = 1_767_571_200_000  # 2026-01-05T00:00:00Z
ONE_DAY = ShopConfig(start_ms=MONDAY, hours=24)
BOT_AGENTS = {*CRAWLERS, FAST_BOT}
REQUIRED = {
    "page-views": {"event_id", "visitor_id", "occurred_at", "url"},
    "interactions": {"event_id", "visitor_id", "occurred_at", "name"},
    "orders": {"event_id", "order_id", "status", "occurred_at", "channel", "currency", "total"},
    "identities": {"event_id", "kind", "occurred_at", "visitor_id", "identifiers"},
    "consents": {"event_id", "occurred_at", "visitor_id", "purposes"},
    "feedback": {"event_id", "occurred_at", "visitor_id", "kind"},
}
OPTIONAL = {
    "page-views": {"referrer", "title", "user_agent", "ip", "customer_id", "site"},
    "interactions": {"user_agent", "customer_id", "site", "url", "properties"},
    "orders": {"revision", "visitor_id", "customer_id", "store", "cost", "lines", "site"},
    "identities": {"customer_id", "traits"},
    "consents": set(),
    "feedback": {"score", "scale", "text", "order_id"},
}

Event = dict[str, Any]
Events = list[tuple[str, Event]]


@pytest.fixture(scope="module")
def two_days() -> Events:
    return list(traffic(replace(ONE_DAY, hours=48)))


@pytest.fixture(scope="module")
def day(two_days: Events) -> Events:
    # A longer shop begins like a shorter one: a test below says so.
    return [pair for pair in two_days if pair[1]["occurred_at"] < MONDAY + 24 * HOUR_MS]


def people(events: Events) -> Iterator[tuple[str, Event]]:
    return ((topic, event) for topic, event in events if event.get("user_agent") not in BOT_AGENTS)


def views_by_session(events: Events) -> list[list[Event]]:
    """Cut people's page views at gaps over 30 minutes, by a plain sort."""
    by_visitor = defaultdict(list)
    for topic, event in people(events):
        if topic == "page-views":
            by_visitor[event["visitor_id"]].append(event)
    sessions = []
    for views in by_visitor.values():
        sessions.append([views[0]])
        for before, after in pairwise(views):
            if after["occurred_at"] - before["occurred_at"] > GAP_MS:
                sessions.append([])
            sessions[-1].append(after)
    return sessions


def exit_rate(events: Events, page: str, start_ms: int, end_ms: int) -> float:
    outcomes = [
        view is session[-1]
        for session in views_by_session(events)
        for view in session
        if plain_page(view["url"]) == page and start_ms <= view["occurred_at"] < end_ms
    ]
    assert len(outcomes) > 300
    return sum(outcomes) / len(outcomes)


class TestContract:
    def test_events_carry_what_the_contract_requires_and_nothing_unknown(self, day: Events) -> None:
        for topic, event in day:
            fields = set(event)
            assert fields >= REQUIRED[topic], (topic, event)
            assert fields <= REQUIRED[topic] | OPTIONAL[topic], (topic, event)
            assert None not in event.values()
            assert type(event["occurred_at"]) is int
        assert {topic for topic, _ in day} == set(REQUIRED)

    def test_events_pass_the_door(self, day: Events) -> None:
        for topic, event in islice(day, 20_000):
            decoded = decode_input(topic, orjson.dumps(event))
            assert decoded.event_id == event["event_id"]

    def test_every_kind_of_thing_happens(self, two_days: Events) -> None:
        names = Counter(event["name"] for topic, event in two_days if topic == "interactions")
        kinds = Counter(event["kind"] for topic, event in two_days if topic == "identities")
        channels = Counter(event["channel"] for topic, event in two_days if topic == "orders")
        statuses = Counter(event["status"] for topic, event in two_days if topic == "orders")
        expected = {"engagement", "add_to_cart", "remove_from_cart", "checkout_started", "search"}
        assert set(names) >= expected | {"phone_tap", "outbound_click", "store_finder"}
        assert set(kinds) == {"registered", "logged_in"}
        assert set(channels) == {"web", "app", "store", "call_centre", "marketplace", "catalogue"}
        assert set(statuses) == {"placed", "paid", "cancelled", "refunded"}

    def test_orders_add_up_and_their_revisions_count_from_one(self, day: Events) -> None:
        revisions = defaultdict(list)
        for topic, order in day:
            if topic != "orders":
                continue
            lines = sum(Decimal(line["unit_price"]) * line["quantity"] for line in order["lines"])
            assert Decimal(order["total"]) == lines > Decimal(order["cost"]) > 0
            revisions[order["order_id"]].append(order["revision"])
        assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in revisions.values())

    def test_only_web_orders_name_a_visitor_and_all_others_name_a_customer(self, day: Events) -> None:
        orders = [event for topic, event in day if topic == "orders"]
        assert all(("visitor_id" in order) == (order["channel"] == "web") for order in orders)
        assert all("customer_id" in order for order in orders if order["channel"] != "web")

    def test_a_customer_is_named_only_after_he_registered_or_logged_in_in_this_visit(
        self, day: Events
    ) -> None:
        told: dict[str, str] = {}
        named = 0
        for topic, event in day:
            if topic == "identities":
                told[event["visitor_id"]] = event["customer_id"]
            elif topic == "page-views" and "customer_id" in event:
                assert told[event["visitor_id"]] == event["customer_id"]
                named += 1
        assert named > 100

    def test_addresses_belong_to_documentation_networks(self, day: Events) -> None:
        documentation = [
            ipaddress.ip_network(network)
            for network in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
        ]
        for text in {event["ip"] for topic, event in day if topic == "page-views"}:
            address = ipaddress.ip_address(text)
            assert any(address in network for network in documentation), text

    def test_user_agents_are_what_they_say(self) -> None:
        reader = UserAgentReader()
        assert all(reader.read(agent).is_bot for agent in CRAWLERS)
        assert not reader.read(FAST_BOT).is_bot
        for device, agents in USER_AGENTS.items():
            for agent in agents:
                assert reader.read(agent).device == device
                assert reader.read(agent).browser != "other"


class TestOrderAndSeed:
    def test_time_never_runs_back_and_stays_inside_the_hours(self, day: Events) -> None:
        times = [event["occurred_at"] for _, event in day]
        assert all(before <= after for before, after in pairwise(times))
        assert times[0] >= MONDAY
        assert times[-1] < MONDAY + 24 * HOUR_MS

    def test_event_ids_are_unique_in_a_shop_and_between_shops(self, day: Events) -> None:
        ids = {event["event_id"] for _, event in day}
        assert len(ids) == len(day)
        later = replace(ONE_DAY, start_ms=MONDAY + 1, hours=2)
        assert ids.isdisjoint(event["event_id"] for _, event in traffic(later))

    def test_the_same_configuration_gives_the_same_bytes(self) -> None:
        config = replace(ONE_DAY, hours=2)
        first = b"\n".join(orjson.dumps(pair) for pair in traffic(config))
        assert first == b"\n".join(orjson.dumps(pair) for pair in traffic(config))
        assert first != b"\n".join(orjson.dumps(pair) for pair in traffic(replace(config, seed=8)))

    def test_a_longer_shop_begins_like_a_shorter_one_and_an_endless_one_goes_on(self) -> None:
        short = list(traffic(replace(ONE_DAY, hours=3)))
        endless = traffic(replace(ONE_DAY, hours=None))
        assert list(islice(endless, len(short))) == short
        assert next(endless)[1]["occurred_at"] >= MONDAY + 3 * HOUR_MS

    def test_nothing_changes_before_a_fault_begins(self) -> None:
        config = replace(ONE_DAY, start_ms=MONDAY + 10 * HOUR_MS, hours=3)
        fault_ms = config.start_ms + HOUR_MS
        fault = Fault(busy_pages(config, 1, "product")[0], fault_ms, fault_ms + HOUR_MS, 0.4)
        # Events are made when their visit begins, so a fault shows in the log only from its start on.
        plain = list(takewhile(lambda pair: pair[1]["occurred_at"] < fault_ms, traffic(config)))
        faulted = traffic(replace(config, plan=(fault,)))
        assert list(islice(faulted, len(plain))) == plain


class TestTraffic:
    def test_sessions_look_like_a_shops(self, two_days: Events) -> None:
        sessions = views_by_session(two_days)
        placed = sum(
            topic == "orders" and event["channel"] == "web" and event["revision"] == 1
            for topic, event in two_days
        )
        registered = sum(topic == "identities" and event["kind"] == "registered" for topic, event in two_days)
        assert len(sessions) == pytest.approx(48 * 600, rel=0.12)
        assert 4.0 < sum(map(len, sessions)) / len(sessions) < 5.0
        assert 0.028 < placed / len(sessions) < 0.042
        assert 0.014 < registered / len(sessions) < 0.027

    def test_dwell_is_mostly_below_five_minutes_and_never_cuts_a_session(self, two_days: Events) -> None:
        dwells = sorted(
            after["occurred_at"] - before["occurred_at"]
            for session in views_by_session(two_days)
            for before, after in pairwise(session)
        )
        assert 30_000 < dwells[len(dwells) // 2] < 50_000
        assert 0.005 < sum(dwell > 300_000 for dwell in dwells) / len(dwells) < 0.04
        assert dwells[-1] < GAP_MS

    def test_more_come_in_the_evening_than_at_night(self, two_days: Events) -> None:
        by_hour = Counter(
            event["occurred_at"] // HOUR_MS % 24 for topic, event in people(two_days) if topic == "page-views"
        )
        assert 3.0 < by_hour[20] / by_hour[3] < 9.0
        assert sum(cycle(MONDAY + hour * HOUR_MS) for hour in range(168)) / 168 == pytest.approx(1.0)

    def test_the_six_sources_are_recognised_by_what_their_visits_begin_with(self, day: Events) -> None:
        urls, sources = UrlReader(), SourceReader()
        groups: Counter[str] = Counter()
        for session in views_by_session(day):
            first = session[0]
            page = urls.read(first["url"])
            groups[sources.read(first.get("referrer"), page.campaign, page.host).group] += 1
        assert set(groups) == set(SOURCES)
        assert groups["direct"] / sum(groups.values()) == pytest.approx(0.24, abs=0.05)
        assert groups["organic"] / sum(groups.values()) == pytest.approx(0.33, abs=0.05)

    def test_within_a_session_the_referrer_is_the_page_before(self, day: Events) -> None:
        for session in islice(views_by_session(day), 2_000):
            assert all(after["referrer"] == before["url"] for before, after in pairwise(session))

    def test_visitors_return_as_the_same_browser(self, two_days: Events) -> None:
        sessions = views_by_session(two_days)
        visits = Counter(session[0]["visitor_id"] for session in sessions)
        assert 0.1 < 1 - len(visits) / len(sessions) < 0.5
        agents = defaultdict(set)
        for session in sessions:
            agents[session[0]["visitor_id"]].add((session[0]["user_agent"], session[0]["ip"]))
        assert all(len(pairs) == 1 for pairs in agents.values())

    def test_bots_only_view_and_the_unknown_one_is_too_fast_to_be_a_person(self, day: Events) -> None:
        paces = defaultdict(list)
        for topic, event in day:
            if event.get("user_agent") in BOT_AGENTS:
                assert topic == "page-views"
                paces[event["user_agent"], event["visitor_id"]].append(event["occurred_at"])
        fast = [times for (agent, _), times in paces.items() if agent == FAST_BOT]
        assert len(paces) == pytest.approx(24 * 600 * 0.03, rel=0.25)
        assert fast
        assert all(after - before <= 900 for times in fast for before, after in pairwise(times))

    def test_pages_of_a_template_are_visited_by_zipf(self, two_days: Events) -> None:
        views = Counter(
            plain_page(event["url"]) for topic, event in people(two_days) if topic == "page-views"
        )
        ranked = busy_pages(ONE_DAY, 8, "product")
        assert views[ranked[0]] / views[ranked[1]] == pytest.approx(2.0, rel=0.15)
        assert views[ranked[0]] / views[ranked[7]] == pytest.approx(8.0, rel=0.25)

    def test_expected_views_are_what_comes(self, two_days: Events) -> None:
        views = Counter(
            plain_page(event["url"]) for topic, event in people(two_days) if topic == "page-views"
        )
        busy = busy_pages(ONE_DAY, 9)
        ratios = sorted(views[page] / 48 / expected_views_per_hour(ONE_DAY, page) for page in busy)
        # A campaign may send a few hundred to one of them.
        assert 0.85 < ratios[0] <= ratios[-1] < 1.5
        assert ratios[4] == pytest.approx(1.0, abs=0.08)

    def test_noise_has_the_given_spread_and_a_memory_of_hours(self) -> None:
        config = ShopConfig(sigma=0.4, start_ms=MONDAY)
        noisy = Hours(config, Catalogue(config))
        still = Hours(replace(config, sigma=0.0), Catalogue(config))
        first_hour = MONDAY // HOUR_MS
        noise = [
            [a - b for a, b in zip(noisy.logits(hour), still.logits(hour), strict=True)]
            for hour in range(first_hour, first_hour + 200)
        ]
        flat = [value for row in noise for value in row]
        variance = sum(value * value for value in flat) / len(flat)
        lagged = [a * b for row, after in pairwise(noise) for a, b in zip(row, after, strict=True)]
        assert variance == pytest.approx(0.16, rel=0.05)
        assert sum(lagged) / len(lagged) / variance == pytest.approx(0.7, abs=0.03)

    def test_memory_holds_open_visits_however_long_the_shop_runs(self) -> None:
        shop = Shop(replace(ONE_DAY, sessions_per_hour=200, hours=None))
        most = []
        events = iter(shop)
        for day_number in range(1, 5):
            end_ms = MONDAY + day_number * 24 * HOUR_MS
            most.append(0)
            for _, event in events:
                most[-1] = max(most[-1], shop.pending)
                if event["occurred_at"] >= end_ms:
                    break
        assert max(most) < 600
        assert max(most[2:]) < 2 * max(most[:2])
        assert shop._hours.rows < 30


class TestFaults:
    def test_a_fault_adds_its_points_to_the_exit_rate_while_it_lasts(self, day: Events) -> None:
        start_ms, end_ms = MONDAY + 8 * HOUR_MS, MONDAY + 15 * HOUR_MS
        product, category = busy_pages(ONE_DAY, 1, "product")[0], busy_pages(ONE_DAY, 1, "category")[0]
        plan = (Fault(product, start_ms, end_ms, 0.4), Fault(category, start_ms, end_ms, 0.2))
        faulted = list(traffic(replace(ONE_DAY, hours=18, plan=plan)))
        for fault in plan:
            before = exit_rate(day, fault.page, start_ms, end_ms)
            assert exit_rate(faulted, fault.page, start_ms, end_ms) - before == pytest.approx(
                fault.points, abs=0.04
            )
            after = exit_rate(day, fault.page, end_ms, end_ms + 2 * HOUR_MS)
            assert exit_rate(faulted, fault.page, end_ms, end_ms + 2 * HOUR_MS) == pytest.approx(
                after, abs=0.06
            )

    def test_a_fault_on_a_page_that_is_not_there_is_refused_at_once(self) -> None:
        plan = (Fault("shop.example/product/none", MONDAY, MONDAY + 1, 0.4),)
        with pytest.raises(PlanError, match="the shop has no page"):
            traffic(replace(ONE_DAY, plan=plan))

    @pytest.mark.parametrize("seed", [1, 7, 11])
    def test_the_demo_breaks_three_busy_pages_ten_hours_before_the_end(self, seed: int) -> None:
        config = ShopConfig(seed=seed, hours=72)
        plan = demo_plan(config)
        assert len({fault.page for fault in plan}) == 3
        for fault in plan:
            assert expected_views_per_hour(config, fault.page) >= 60
            assert fault.points == 0.4
            assert fault.start_ms == MONDAY + 62 * HOUR_MS
        assert [fault.end_ms - MONDAY for fault in plan] == [68 * HOUR_MS, 72 * HOUR_MS, 72 * HOUR_MS]
        endless = demo_plan(replace(config, hours=None))
        assert all(fault.end_ms > MONDAY + 72 * HOUR_MS for fault in endless)


class TestTruth:
    def test_it_is_json_and_its_faults_are_a_plan(self) -> None:
        config = replace(ONE_DAY, plan=demo_plan(ONE_DAY))
        told = json.loads(json.dumps(truth(config)))
        assert parse_plan(json.dumps(told["faults"]), 0) == tuple(sorted(config.plan, key=lambda f: f.page))
        assert len(told["base_exit"]) == config.pages
        assert told["purchase_effects"][told["placebo"]] == 0.0
        assert sum(effect > 0 for effect in told["purchase_effects"].values()) == 4

    def test_a_page_with_an_effect_causes_purchases(self, monkeypatch: pytest.MonkeyPatch) -> None:
        config = replace(ONE_DAY, start_ms=MONDAY + 9 * HOUR_MS, hours=9, sigma=0.0)

        def buyers_among_those_who_saw(effect: float) -> float:
            monkeypatch.setattr(shop_catalogue, "_EFFECTS", (("content", 0, effect),))
            page = busy_pages(config, 1, "content")[0]
            events = list(traffic(config))
            saw = {
                event["visitor_id"]
                for topic, event in events
                if topic == "page-views" and plain_page(event["url"]) == page
            }
            bought = {event.get("visitor_id") for topic, event in events if topic == "orders"}
            return len(saw & bought) / len(saw)

        assert buyers_among_those_who_saw(2.0) > 1.5 * buyers_among_those_who_saw(0.0)

    def test_the_placebo_is_seen_by_buyers_without_a_cause(self, two_days: Events) -> None:
        placebo = truth(ONE_DAY)["placebo"]
        saw = {
            event["visitor_id"]
            for topic, event in people(two_days)
            if topic == "page-views" and plain_page(event["url"]) == placebo
        }
        visitors = {event["visitor_id"] for topic, event in people(two_days) if topic == "page-views"}
        bought = {event.get("visitor_id") for topic, event in two_days if topic == "orders"}
        assert len(saw & bought) / len(saw) > 1.5 * len(visitors & bought) / len(visitors)
