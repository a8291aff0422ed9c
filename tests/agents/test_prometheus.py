"""A real Prometheus reads our metrics while dead ends are open: its linter is content, every panel has data."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from agents import metrics
from agents.broker import EmbeddedKafka
from agents.dashboards.__main__ import app
from agents.dashboards.building import BOARDS
from agents.dashboards.checking import check, declared
from agents.dashboards.panels import Board, Panel, Query, Row
from agents.dashboards.pictures import draw
from agents.dashboards.prometheus import resolved
from agents.doctor_outside import find_watching
from tests.agents.product import END_MS
from tests.agents.watched_product import HAS_PROMETHEUS, RATE_INTERVAL, WatchedProduct, shop_until

needs_prometheus = pytest.mark.skipif(
    not HAS_PROMETHEUS,
    reason="Prometheus is not installed here; .ci/run installs it",
)

MAY_BE_FLAT = {
    "Restarts within the hour": "the worker is not started again",
    "Records still to be recovered": "its disk and its changelogs are empty",
    "Standstill": "it keeps up",
    "Decisions and deploys": "nobody says anything",
    "Runaways": "the shop's visitors are people",
    "Waiting for Kafka": "the only click is acknowledged between two scrapes",
    "Notices, by what became of them": "the receiver of the example is not there, and is waited for",
}
"""Panels that show no more than zeros in this run, and why."""


@needs_prometheus
def test_the_linter_is_content() -> None:
    metrics.rejected_events.labels("not_json").inc()
    metrics.enriched_seconds.labels().observe(0.1)
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=generate_latest(metrics.registry), capture_output=True
    )
    assert checked.returncode == 0, checked.stderr.decode()
    assert checked.stderr == b""


@pytest.fixture(scope="module")
def watched(kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedProduct]:
    """Give a worker in the middle of an evening on which pages have broken."""
    product = WatchedProduct(kafka.bootstrap, tmp_path_factory.mktemp("watched"), warm_up="1h")
    try:
        product.wait_for("culdesac_healthy == 1")
        product.wait_for("culdesac_collect_kafka_connected == 1 and on () (culdesac_board_connected == 1)")
        product.feed(shop_until(END_MS, hours=4, sessions_per_hour=250, seed=5), parts=4, pause_s=1)
        product.wait_for("sum(culdesac_money_at_stake) > 0")
        product.wait_for("culdesac_model_log_loss_nats and on () (sum(culdesac_lag_records) == 0)")
        product.wait_for('ALERTS{alertname="CuldesacDeadEnds", alertstate="firing"}')
        product.wait_for("sum(increase(culdesac_dead_end_alerts_total[1h])) > 0")
        product.collect()
        yield product
    finally:
        product.close()


@needs_prometheus
@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_every_panel_of_a_board_shows_something(watched: WatchedProduct, board: Board) -> None:
    known = watched.prometheus.metrics() | declared()
    assert [str(fault) for fault in check(board, watched.ask, known, RATE_INTERVAL)] == []
    flat = {
        panel.title
        for panel in board.panels()
        if not any(
            value
            for query in panel.queries
            for series in watched.ask(resolved(query.expr, RATE_INTERVAL))
            for _, value in series.points
        )
    }
    assert flat <= MAY_BE_FLAT.keys()


@needs_prometheus
@pytest.mark.parametrize(
    ("expr", "kind"),
    [
        ("sum(rate(culdesac_events_total[1m])", "syntax"),
        ("rate(culdesac_events_total)", "syntax"),
        ("rate(culdesac_event_total[1m])", "unknown metric"),
        ('rate(culdesac_events_total{topic="page_views"}[1m])', "empty"),
        ("culdesac_healthy / 0 * 0", "empty"),
    ],
)
def test_the_check_sees_what_is_wrong_with_a_panel(watched: WatchedProduct, expr: str, kind: str) -> None:
    board = Board("b", "B", "", (Row("R", (Panel("P", "It is wrong.", (Query(expr, ""),)),)),))
    known = watched.prometheus.metrics() | declared()
    assert [fault.kind for fault in check(board, watched.ask, known)] == [kind]


@needs_prometheus
def test_an_operator_can_check_the_boards_on_a_prometheus(
    watched: WatchedProduct, capsys: pytest.CaptureFixture[str]
) -> None:
    app(["check", watched.url], standalone_mode=False)
    assert capsys.readouterr().out == "every panel shows something\n"
    findings = list(find_watching(watched.url))
    assert [(finding.name, finding.state) for finding in findings] == [
        ("Prometheus", "ok"),
        ("rules", "ok"),
        ("panels", "ok"),
    ], findings


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense"])
def test_an_address_without_prometheus_is_one_line(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        app(["check", url], standalone_mode=False)
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "such as http://localhost:9090" in line


@needs_prometheus
def test_a_board_can_be_drawn(watched: WatchedProduct, tmp_path: Path) -> None:
    file = tmp_path / "board.png"
    [row] = [row for row in BOARDS[0].rows if row.title == "Money"]
    board = Board("money", "Money", "", (row,))
    draw(board, watched.ask, file, "Drawn in a test.", RATE_INTERVAL)
    drawn = file.stat().st_size
    draw(board, lambda expr: [], file, "Drawn in a test.")
    assert drawn > 1.2 * file.stat().st_size, "it shows no more than an empty board"


@needs_prometheus
def test_open_alerts_and_their_money_are_told_by_cause(watched: WatchedProduct) -> None:
    [of_all] = watched.ask("sum(culdesac_open_alerts)")
    [by_cause] = watched.ask("sum(culdesac_open_alerts_by_cause)")
    assert of_all.points[-1] == by_cause.points[-1]
    assert of_all.points[-1][1] > 0
    told = {json.dumps(dict(series.labels)) for series in watched.ask("culdesac:money_at_stake:by_cause > 0")}
    assert any('"cause": "page_broke"' in labels and '"currency": "EUR"' in labels for labels in told)


@needs_prometheus
def test_no_label_names_a_page_or_a_person(watched: WatchedProduct) -> None:
    values = {
        value
        for series in watched.ask('{__name__=~"culdesac_.+"}')
        for label, value in series.labels.items()
        if label not in ("__name__", "instance", "le")
    }
    assert {"page-views", "page_broke", "EUR"} <= values
    odd = {value for value in values if not re.fullmatch(r"[A-Za-z_-]+|\d{1,3}|\d+\.\d+\.\w+", value)}
    assert odd == set()
