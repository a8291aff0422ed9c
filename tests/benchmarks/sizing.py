"""Sizing: events a second to workers, partitions, memory, disk and brokers, computed from measured figures.

``python -m tests.benchmarks.sizing`` prints the table with its assumptions, as `deploy/sizing.md` holds it. The
figures stand in `figures.toml` beside this file, each with the command that measured it; nothing else is measured.
"""

from __future__ import annotations

import math
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FIGURES = Path(__file__).with_name("figures.toml")
EVENTS_PER_S = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
KEPT_DAYS = 7
DAY_S = 86_400
STATE_HOURS = 24
"""A session can be revised for so long (`retention`), so its state is kept."""

# What nobody measured here: choices and common sense, printed with the table.
UTILISATION = 0.6
REPLICAS = 3
WORKERS_PER_PARTITION = 0.5
BROKER_MB_PER_S = 50.0
BROKER_DISK_TB = 8.0
BROKER_PARTITIONS = 4_000
DISK_HEADROOM = 2.0


@dataclass(frozen=True)
class Size:
    """What a load needs.

    Attributes
    ----------
    events_per_s, views_per_s
        The load: all events, and the page views among them.
    workers
        Processes, each of which uses one core.
    partitions
        Of inputs, visitors and outputs each.
    memory_gb, state_gb
        Of one worker: memory, and the local disk for its state.
    brokers
        How many, with `written_mb_per_s` written to all of them together, copies included, and
        `broker_disk_tb` kept by all of them together.
    sites
        Over how many sites it has to be spread at least.
    """

    events_per_s: float
    views_per_s: float
    workers: int
    partitions: int
    memory_gb: float
    state_gb: float
    brokers: int
    written_mb_per_s: float
    broker_disk_tb: float
    sites: int


def load_figures(file: Path = FIGURES) -> dict[str, Any]:
    """Read the measured figures."""
    return tomllib.loads(file.read_text())


def site_ceiling_views_per_s(figures: dict[str, Any], rate: str) -> float:
    """Page views a second that one site can have: pages and models hold a site in one partition each.

    A worker may have nothing to do but both of them; their share of a worker's CPU is their share of all stages'
    CPU, for what the stages do not account for (broker connection, encoding) grows with them.

    Parameters
    ----------
    figures
        As `load_figures` gives them.
    rate
        Which measurement: ``sparse`` or ``dense`` traffic. Dense minutes cost less a view, being counts.
    """
    stages = figures[rate]["stage_cpu_s_per_100k_page_views"]
    cpu_s_per_view = (
        figures[rate]["worker_cpu_s_per_100k_page_views"]
        * (stages["pages"] + stages["models"])
        / sum(stages.values())
        / 1e5
    )
    return UTILISATION / float(cpu_s_per_view)


def size(events_per_s: float, figures: dict[str, Any]) -> Size:
    """Compute what a load needs."""
    views_per_s = events_per_s / figures["events_per_page_view"]
    cpu_s_per_view = figures["worker_cpu_s_per_100k_page_views"] / 1e5
    workers = max(2, math.ceil(views_per_s * cpu_s_per_view / UTILISATION))
    partitions = 2 ** math.ceil(math.log2(max(4.0, workers / WORKERS_PER_PARTITION)))
    views_per_worker = views_per_s / workers
    units = math.ceil(partitions / workers) + 2
    records_mb = units * figures["records_in_memory"] / 1e5 * figures["mb_per_100k_open_visitors"]
    state = views_per_worker * STATE_HOURS * 3600 * figures["local_state_bytes_per_page_view"] * DISK_HEADROOM
    written = figures["bytes_per_page_view"]
    all_written = sum(written.values()) * views_per_s * REPLICAS
    logs = sum(size for topic, size in written.items() if not topic.endswith("-changelog"))
    changelogs = sum(written.values()) - logs
    kept = views_per_s * DAY_S * (logs * KEPT_DAYS + changelogs * DISK_HEADROOM) * REPLICAS
    topics = 15 * partitions * REPLICAS
    brokers = max(
        REPLICAS,
        math.ceil(all_written / 1e6 / BROKER_MB_PER_S),
        math.ceil(kept * 1.25 / 1e12 / BROKER_DISK_TB),
        math.ceil(topics / BROKER_PARTITIONS),
    )
    return Size(
        events_per_s,
        views_per_s,
        workers,
        partitions,
        (figures["worker_base_mb"] + records_mb) / 1e3,
        state / 1e9,
        brokers,
        all_written / 1e6,
        kept / 1e12,
        math.ceil(views_per_s / site_ceiling_views_per_s(figures, "dense")),
    )


def table(figures: dict[str, Any]) -> str:
    """Write the table and what it assumes, as Markdown."""
    written = figures["bytes_per_page_view"]
    ceilings = {rate: site_ceiling_views_per_s(figures, rate) for rate in ("sparse", "dense")}
    rows = [
        f"| {s.events_per_s:,.0f} | {s.workers:,} | {s.partitions:,} | {s.memory_gb:.1f} GB "
        f"| {s.state_gb:,.0f} GB | {s.brokers:,} | {s.written_mb_per_s:,.0f} MB/s | {s.broker_disk_tb:,.1f} TB "
        f"| {s.sites:,} |"
        for s in (size(events, figures) for events in EVENTS_PER_S)
    ]
    return _PAGE.format(
        rows="\n".join(rows),
        figures=figures,
        all_bytes=sum(written.values()),
        changelog_bytes=sum(size for topic, size in written.items() if topic.endswith("-changelog")),
        sparse=ceilings["sparse"],
        dense=ceilings["dense"],
        sparse_events=ceilings["sparse"] * figures["events_per_page_view"],
        dense_events=ceilings["dense"] * figures["events_per_page_view"],
        utilisation=UTILISATION,
        replicas=REPLICAS,
        kept_days=KEPT_DAYS,
        headroom=DISK_HEADROOM,
        broker_mb=BROKER_MB_PER_S,
        broker_tb=BROKER_DISK_TB,
        broker_partitions=BROKER_PARTITIONS,
    )


_PAGE = """\
# Sizing

Made by `python -m tests.benchmarks.sizing > deploy/sizing.md` from `tests/benchmarks/figures.toml`. No row beyond
what one machine of two cores carries was run as a whole: this is arithmetic on measured costs.

| events/s | workers (a core each) | partitions | memory a worker | local disk a worker | brokers \
| written, all brokers | kept, all brokers | sites, at least |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
{rows}

Measured:

- a worker with all stages takes {figures[worker_cpu_s_per_100k_page_views]:g} CPU seconds per 100,000 page views
  ({figures[worker_measured]});
- {figures[events_per_page_view]:g} events come with a page view; they and what follows from them are
  {all_bytes:,.0f} bytes a page view over all topics, uncompressed, {changelog_bytes:,.0f} of them changelogs;
- {figures[mb_per_100k_open_visitors]:g} MB per 100,000 visitors in memory, of which a unit holds at most
  {figures[records_in_memory]:,}; {figures[local_state_bytes_per_page_view]:,} bytes a page view on the local disk;
- an empty disk is filled again at {figures[recovery_records_per_s]:,} changelog records a second.

Assumed, not measured:

- workers run at {utilisation:.0%}, so that a backlog can be worked off, and one takes one core, for Python does;
  there are two at least, for one may go;
- twice as many partitions as workers, as a power of two. No more than 256 have metrics of their own, and beyond
  some hundred workers an installation for each group of sites (`topic_prefix`) is easier to live with;
- {replicas} copies; records are kept for {kept_days} days, changelogs take {headroom:g} times a day's writing;
- a broker takes {broker_mb:g} MB/s of writing, copies included, {broker_tb:g} TB of disk filled to 80 %, and
  {broker_partitions:,} partitions. Mostly the disk decides: `retention.ms` of `visitor-events` and
  `enriched-page-views` is what to shorten, and the time that workers may be away goes with the former;
- the mix of the made-up shop: sessions of about four views, and interactions. Longer sessions cost more.

Where more workers do not help: **one site lies in one partition** of pages and of models, so that sums over its
pages are plain sums. A worker that does nothing else (`CULDESAC_STAGES=pages,models`) carries {sparse:,.0f} page
views a second of one site ({sparse_events:,.0f} events/s) by what it costs at
{figures[sparse][sessions_per_hour]:,} sessions an hour, where nearly every view is a count of its own, and
{dense:,.0f} ({dense_events:,.0f} events/s) by what it costs at {figures[dense][sessions_per_hour]:,}, where counts
begin to hold several. The last column says over how many sites a load has to be spread by the latter.
"""


def main() -> None:
    """Print the table."""
    sys.stdout.write(table(load_figures()))


if __name__ == "__main__":
    main()
