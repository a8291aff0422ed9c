"""The metrics port: figures by name, bounded labels, health."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from agents import metrics


@pytest.fixture
def health() -> dict[str, tuple[bool, str]]:
    return {"now": (True, "works")}


@pytest.fixture
def server(health: dict[str, tuple[bool, str]]) -> Iterator[metrics.Server]:
    server = metrics.serve("127.0.0.1", 0, lambda: health["now"])
    yield server
    server.close()


def scrape(server: metrics.Server) -> dict[str, float]:
    with urlopen(f"http://127.0.0.1:{server.port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_counts_of_a_stage_become_metrics_and_are_emptied(server: metrics.Server) -> None:
    before = scrape(server)
    counts = Counter(
        {
            ("rejected", "not_json"): 2,
            ("late", ""): 3,
            ("sessions_closed", "purchased"): 4,
            ("exits", "dead_end"): 6,
            ("exit_rules", "learned"): 11,
            ("served_tables", "late"): 12,
            ("session_revisions", "retracted"): 7,
            ("alert_decisions", "mute"): 8,
            ("alert_decisions", "Ann"): 9,
            ("deploys", ""): 10,
            ("never heard of", "x"): 5,
        }
    )
    metrics.apply_counts("sessions", counts)
    after = scrape(server)

    def grew(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert grew('culdesac_rejected_events_total{reason="not_json"}') == 2
    assert grew('culdesac_late_events_total{stage="sessions"}') == 3
    assert grew('culdesac_closed_sessions_total{outcome="purchased"}') == 4
    assert grew('culdesac_closed_session_exits_total{reason="dead_end"}') == 6
    assert grew('culdesac_closed_session_exit_rules_total{rule="learned"}') == 11
    assert grew('culdesac_served_tables_total{arrived="late"}') == 12
    assert grew('culdesac_session_revisions_total{status="retracted"}') == 7
    assert grew('culdesac_alert_decisions_total{action="mute"}') == 8
    assert grew('culdesac_alert_decisions_total{action="other"}') == 9
    assert grew("culdesac_deploys_total") == 10
    assert grew('culdesac_stage_counts_total{stage="sessions"}') == 5
    assert not counts


def test_unknown_label_values_fold_into_other(server: metrics.Server) -> None:
    before = scrape(server).get('culdesac_events_total{topic="other"}', 0)
    for number in range(50):
        metrics.events.labels(f"topic-{number}").inc()
    figures = scrape(server)
    assert figures['culdesac_events_total{topic="other"}'] - before == 50
    assert not any("topic-1" in name for name in figures)


def test_latency_has_a_bucket_at_the_aim(server: metrics.Server) -> None:
    metrics.enriched_seconds.labels().observe(0.2)
    figures = scrape(server)
    within = figures['culdesac_enriched_seconds_bucket{le="0.25"}']
    assert within - figures['culdesac_enriched_seconds_bucket{le="0.15"}'] >= 1


def test_health_answers_what_it_is_told(server: metrics.Server, health: dict[str, tuple[bool, str]]) -> None:
    url = f"http://127.0.0.1:{server.port}/healthz"
    with urlopen(url) as answer:
        assert (answer.status, answer.read()) == (200, b"works\n")
    health["now"] = (False, "no commit for 60 s")
    with pytest.raises(HTTPError) as refused:
        urlopen(url)
    with refused.value as answer:
        assert (answer.code, answer.read()) == (503, b"no commit for 60 s\n")


def test_another_path_is_told_where_to_look(server: metrics.Server) -> None:
    with pytest.raises(HTTPError) as refused:
        urlopen(f"http://127.0.0.1:{server.port}/")
    with refused.value as answer:
        assert answer.code == 404
        assert b"/healthz" in answer.read()


def test_a_closed_server_gives_its_port_back() -> None:
    first = metrics.serve("127.0.0.1", 0, lambda: (True, ""))
    first.close()
    second = metrics.serve("127.0.0.1", first.port, lambda: (True, ""))
    second.close()
    assert second.port == first.port


def test_every_metric_is_named_by_the_rule_and_has_a_meaning() -> None:
    families = [
        family for family in metrics.registry.collect() if not family.name.startswith(("process_", "python_"))
    ]
    assert len(families) >= 20
    for family in families:
        assert family.name.startswith("culdesac_")
        assert family.documentation[0].isupper()


def test_a_counter_begins_with_zero_so_that_its_first_count_is_an_increase(server: metrics.Server) -> None:
    shown = scrape(server)
    for reason in metrics.REASONS:
        assert f'culdesac_rejected_events_total{{reason="{reason}"}}' in shown


def test_currencies_that_no_one_knows_are_one_series_and_added_up() -> None:
    family = metrics.money_at_stake
    assert family.words("page_broke", "XQZ", 0) == family.words("page_broke", "QQQ", 0)
    assert family.words("page_broke", "EUR", 0) == ("page_broke", "EUR", "0")
