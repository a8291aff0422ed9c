"""The demo: a real Kafka, a worker, the board and a made-up shop that breaks, and what is found of it."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import msgspec

from agents.alerts import AlertReader
from agents.broker import EmbeddedKafka
from agents.demo_findings import Findings
from agents.demo_view import Figures, View
from agents.guarded_process import GuardedProcess
from agents.scrapes import Scrape, as_counts, scrape
from agents.settings import PREFIX, WorkerSettings
from agents.topics import ensure_topics
from schemas.timestamps import format_ms
from schemas.topics import PartitionCounts
from streams.shop import ShopConfig, demo_plan, expected_views_per_hour

PAGES = 80
"""Few, so that the busy ones are busy although the traffic is no more than a small machine can play fast."""
HOURS = 72
"""Length of the shop's past, which ends now."""
PACED_HOURS = 10.0
"""Its last hours, in which pages break, are played at a pace; what is before goes as fast as it can."""
PACED_SHARE = 0.7
"""Share of the demo's time for them."""
GRACE_S = 90.0
"""How much longer the worker may take to come to the end of the traffic."""
END_MS = 3 * 60_000
"""So near (event time) to the end of the traffic the worker is done: minutes are judged when they are complete."""
TICK_S = 0.5
ROOT = Path(__file__).parents[1]


def run_demo(seconds: float, speed: float | None, sessions_per_hour: float, seed: int) -> int:
    """Run the demo, and clear everything away.

    Parameters
    ----------
    seconds
        How long traffic runs.
    speed
        Hours of the shop an hour of ours in its paced part; None: so that its last ten hours fit in.
    sessions_per_hour, seed
        Of the shop.

    Returns
    -------
    int
        0 if every planted dead end whose time was up was found, else 1; 130 and 143 after SIGINT and SIGTERM.
    """
    paced_s = seconds * PACED_SHARE
    paced_hours = PACED_HOURS if speed is None else min(float(HOURS), speed * paced_s / 3600)
    with _interruptible() as interrupted, ExitStack() as stack:
        try:
            demo = Demo(stack, sessions_per_hour, seed)
            return demo.run(seconds, paced_hours, paced_hours * 3600 / paced_s)
        except KeyboardInterrupt:
            return 128 + interrupted[-1]


class Demo:
    """The parts of a demo, each ended when `stack` is.

    Parameters
    ----------
    stack
        Ends what was started, in whatever way we end; processes also end with a kill -9 of ours.
    sessions_per_hour, seed
        Of the shop.
    """

    def __init__(self, stack: ExitStack, sessions_per_hour: float, seed: int) -> None:
        self._stack = stack
        start_ms = int(time.time() - HOURS * 3600) * 1000
        config = ShopConfig(
            seed=seed, sessions_per_hour=sessions_per_hour, pages=PAGES, hours=HOURS, start_ms=start_ms
        )
        self.config = replace(config, plan=demo_plan(config))
        views_per_hour = {fault: expected_views_per_hour(config, fault.page) for fault in self.config.plan}
        self.findings = Findings(views_per_hour)
        self.view = stack.enter_context(View())
        self._logs: dict[str, Path] = {}
        self._metrics_port = _free_port()
        self._settled: Scrape | None = None
        self._before: tuple[float, float] = (time.monotonic(), 0.0)

    def run(self, seconds: float, paced_hours: float, speed: float) -> int:
        """Start everything, look on until the traffic is over and worked off, and sum up."""
        view = self.view
        view.show(Figures("starting Kafka"))
        kafka = self._stack.enter_context(EmbeddedKafka(announce=view.say))
        settings = WorkerSettings(
            kafka=kafka.bootstrap, partitions=PartitionCounts(inputs=2, visitors=2, outputs=2)
        )
        view.show(Figures("starting the worker"))
        worker = self._start_worker(settings)
        ensure_topics(settings)
        board = self._start_board(settings)
        shop = self._start_shop(settings, paced_hours, speed)
        reader = self._stack.enter_context(AlertReader(settings))
        ends_at = time.monotonic() + seconds
        end_ms = self.config.end_ms or 0
        figures = Figures("starting the worker")
        ended: int | None = None
        while True:
            for alert in reader.poll(TICK_S):
                self.findings.take(alert)
            figures = self._look(figures, ends_at)
            view.show(figures)
            if (code := worker.wait(0)) is not None:
                return self._fail("worker", code)
            if (code := board.wait(0)) is not None:
                return self._fail("board", code)
            if ended is None and (ended := shop.wait(0)) not in (None, 0):
                return self._fail("shop", ended or 1)
            over = ended == 0 and figures.now_ms is not None and figures.now_ms >= end_ms - END_MS
            late_s = time.monotonic() - ends_at
            if late_s > 0 and ended is None:
                shop.signal(signal.SIGTERM)
            if over or late_s > GRACE_S or (late_s > 0 and figures.lag == 0 and ended is not None):
                break
        for alert in reader.poll(2 * TICK_S):
            self.findings.take(alert)
        return self._sum_up(figures)

    def _look(self, before: Figures, ends_at: float) -> Figures:
        """Ask the worker how it is."""
        found = scrape(self._metrics_port)
        left_s = ends_at - time.monotonic()
        planted, others = self.findings.planted(), self.findings.unplanted()
        if found is None or not found.total("culdesac_events_total"):
            return Figures(before.phase, left_s, planted=planted, others=others)
        delay_s = found.greatest("culdesac_watermark_delay_seconds", stage="pages")
        now_ms = None if delay_s is None else int((time.time() - delay_s) * 1000)
        paced_ms = self.config.plan[0].start_ms if self.config.plan else 0
        phase = "three quiet days, fast" if (now_ms or 0) < paced_ms else "pages break"
        lag = int(found.total("culdesac_lag_records"))
        if self._settled is None and phase == "pages break" and lag < 1_000:
            self._settled = found
        page_views = found.total("culdesac_events_total", topic="page-views")
        (at, counted), now = self._before, time.monotonic()
        self._before = (now, page_views)
        return Figures(
            phase if left_s > 0 else "finishing",
            left_s,
            now_ms,
            int(page_views),
            int(found.total("culdesac_events_total")),
            (page_views - counted) / max(now - at, TICK_S),
            int(found.total("culdesac_open_sessions")),
            as_counts(found.by("culdesac_closed_sessions_total", "outcome")),
            as_counts(found.by("culdesac_rejected_events_total", "reason")),
            lag,
            None
            if self._settled is None
            else found.quantile("culdesac_enriched_seconds", 0.99, self._settled),
            planted,
            others,
        )

    def _sum_up(self, figures: Figures) -> int:
        planted, others = self.findings.planted(), self.findings.unplanted()
        self.view.finish(
            msgspec.structs.replace(figures, phase="over", left_s=0, planted=planted, others=others)
        )
        is_well, text = self.findings.verdict(figures.now_ms or 0)
        self.view.say(text)
        return 0 if is_well else 1

    def _fail(self, name: str, code: int) -> int:
        said = self._logs[name].read_text(errors="replace").strip().splitlines()
        self.view.stop()
        self.view.say(f"The {name} ended with exit code {code}: {said[-1] if said else 'it said nothing'}")
        return 1

    def _start(self, name: str, settings: WorkerSettings, *words: str, **variables: str) -> GuardedProcess:
        """Start one of our commands in a folder of its own, with nobody's settings but these."""
        folder = Path(tempfile.mkdtemp(prefix=f"culdesac-{name}-"))
        self._logs[name] = folder / "log"
        process = GuardedProcess(folder, self._logs[name], temporary=True)
        self._stack.callback(process.close)
        unset = [word for variable in os.environ if variable.startswith(PREFIX) for word in ("-u", variable)]
        ours = {"PYTHONPATH": str(ROOT), "CULDESAC_KAFKA": settings.kafka, **variables}
        environment = [f"{variable}={value}" for variable, value in ours.items()]
        process.start("env", *unset, *environment, sys.executable, "-m", "agents", *words)
        return process

    def _start_worker(self, settings: WorkerSettings) -> GuardedProcess:
        counts = msgspec.structs.asdict(settings.partitions)
        return self._start(
            "worker",
            settings,
            "worker",
            CULDESAC_DATA_DIR="data",
            CULDESAC_PARTITIONS=",".join(f"{kind}={count}" for kind, count in counts.items()),
            CULDESAC_METRICS_PORT=str(self._metrics_port),
            CULDESAC_SITE=self.config.site,
        )

    def _start_board(self, settings: WorkerSettings) -> GuardedProcess:
        port = _free_port()
        board = self._start("board", settings, "board", f"--port={port}", CULDESAC_BOARD_METRICS_PORT="0")
        self.view.say(f"Board: http://127.0.0.1:{port}/ (until the demo ends)")
        return board

    def _start_shop(self, settings: WorkerSettings, paced_hours: float, speed: float) -> GuardedProcess:
        config = self.config
        options = {
            "--seed": config.seed,
            "--sessions-per-hour": config.sessions_per_hour,
            "--pages": PAGES,
            "--hours": HOURS,
            "--start": format_ms(config.start_ms),
            "--plant": "demo",
            "--quick-hours": HOURS - paced_hours,
            "--speed": speed,
            "--kafka": settings.kafka,
        }
        return self._start("shop", settings, "shop", *(f"{name}={value}" for name, value in options.items()))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Turn SIGTERM into what Ctrl-C does, so that everything is cleared away; gives the signals that came."""
    came = [signal.SIGINT.value]

    def interrupt(number: int, frame: FrameType | None) -> None:
        came.append(number)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
