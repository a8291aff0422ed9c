"""What the board costs who looks at it: first paint, main thread an update, and from Kafka to the screen.

    python -m tests.benchmarks.board [--updates 20]

A hundred open alerts and a thousand pages on a real Kafka, in Debian's Chromium; its peer in the same run is a
board of one page and one alert. Times are of this machine; what its host took of it stands beside them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

from agents.broker import EmbeddedKafka
from tests.agents.board_bench import chromium, open_page, served
from tests.agents.test_board import folder_records
from tests.agents.test_board_kafka import Bench
from tests.benchmarks.figures import Stolen, say

Records = list[tuple[str, dict[str, Any]]]
PAINTS = 5


def main() -> None:
    """Measure both boards."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--updates", type=int, default=20)
    updates = parser.parse_args().updates
    many = [(topic, value) for topic, value in folder_records() if value.get("site") == "big.example"]
    alerts = [record for record in many if record[0] == "dead-end-alerts"]
    pages = [record for record in many if record[0] == "page-scores"]
    with EmbeddedKafka() as kafka:
        measure(kafka, alerts[:1] + pages[:1], updates)
        measure(kafka, many, updates)


def measure(kafka: EmbeddedKafka, records: Records, updates: int) -> None:
    """Print the figures of a board of these records."""
    alerts = [value for topic, value in records if topic == "dead-end-alerts"]
    size = {"alerts": len(alerts), "pages": sum(topic == "page-scores" for topic, _ in records)}
    bench, stolen = Bench(kafka), Stolen()
    bench.put(*records)
    environment = {"CULDESAC_KAFKA": kafka.bootstrap, "CULDESAC_TOPIC_PREFIX": bench.prefix}
    with served(**environment) as address, chromium() as browser:
        tab = open_page(browser)
        paints = []
        for _ in range(PAINTS):
            tab.goto(f"{address}/?site=big.example")
            tab.locator(".alert").nth(len(alerts) - 1).wait_for()
            paints.append(tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        say("board_first_paint_ms", statistics.median(paints), most=round(max(paints)), **size)
        cdp = tab.context.new_cdp_session(tab)
        cdp.send("Performance.enable")
        tab.evaluate(
            "window.longest = 0; new PerformanceObserver((list) => list.getEntries().forEach((task) => {"
            "window.longest = Math.max(window.longest, task.duration); })).observe({type: 'longtask'})"
        )

        def busy_s() -> float:
            found = {one["name"]: one["value"] for one in cdp.send("Performance.getMetrics")["metrics"]}
            return float(found["TaskDuration"])

        before, delays = busy_s(), []
        for number in range(updates):
            alert = dict(alerts[number % len(alerts)])
            exits = 10_000 + number
            alert |= {"revision": 1_000 + number, "exits": exits, "views": 20_000, "status": "updated"}
            bench.put(("dead-end-alerts", alert))
            sent_at = time.monotonic()
            row = tab.locator(".alert", has_text=f"{exits:,} of 20,000 views")
            row.wait_for()
            delays.append(1000 * (time.monotonic() - sent_at))
        spent_ms = 1000 * (busy_s() - before) / updates
        say(
            "board_update_main_thread_ms",
            spent_ms,
            longest_task=round(tab.evaluate("window.longest")),
            **size,
        )
        say("board_kafka_to_screen_ms", statistics.median(delays), most=round(max(delays)), **size)
        tab.context.close()
    say("board_host_took_share", stolen.share(), **size)


if __name__ == "__main__":
    main()
