"""Draw the dashboards' pictures from a run of the product: ``python -m tests.agents.draw_dashboards``.

The evening of a made-up shop with planted dead ends is played at high speed to a worker on a real Kafka, which a
real Prometheus scrapes each second.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from agents.broker import EmbeddedKafka
from agents.dashboards.building import BOARDS
from agents.dashboards.checking import check, declared
from agents.dashboards.pictures import draw
from tests.agents.product import ROOT
from tests.agents.watched_product import HOUR_MS, RATE_INTERVAL, WatchedProduct, shop_until

FOLDER = ROOT / "deploy" / "pictures"


def main() -> None:
    """Play, look whether every panel shows something, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=12.0, help="of the shop")
    parser.add_argument("--seconds", type=float, default=90.0, help="in which they are played, at least")
    parser.add_argument("--sessions-per-hour", type=float, default=300.0)
    given = parser.parse_args()
    parts = max(1, int(given.seconds / 3))
    # Whole days before now, so that the evening is one whenever this runs.
    end_ms = int(time.time()) // 86_400 * 86_400_000 - 3 * HOUR_MS
    events = shop_until(end_ms, given.hours, given.sessions_per_hour, seed=11)
    with EmbeddedKafka() as kafka, tempfile.TemporaryDirectory() as folder:
        product = WatchedProduct(kafka.bootstrap, Path(folder), warm_up="3h")
        try:
            product.wait_for("culdesac_healthy == 1")
            began = time.monotonic()
            product.feed(events, parts, given.seconds / parts)
            fed_s = time.monotonic() - began
            product.wait_for("sum(culdesac_lag_records) == 0", 300)
            product.collect()
            time.sleep(5)  # the last figures are scraped
            known = product.prometheus.metrics() | declared()
            note = (
                f"Drawn from this board's queries to a real Prometheus, not by Grafana: {given.hours:g} hours of a "
                f"made-up shop with planted dead ends, {len(events):,} events, played in {fed_s:.0f} s."
            )
            for board in BOARDS:
                for fault in check(board, product.ask, known, RATE_INTERVAL):
                    raise SystemExit(str(fault))
                name = board.uid.removeprefix("culdesac-")
                draw(board, product.ask, FOLDER / f"{name}.png", note, RATE_INTERVAL)
        finally:
            product.close()


if __name__ == "__main__":
    main()
