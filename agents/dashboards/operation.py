"""The operation dashboard: are the workers well, do they keep up, what do they cost, what do they refuse."""

from __future__ import annotations

from agents.dashboards.panels import Board, Panel, Query, Row

_JOB = 'job=~"$job"'
# Processes beside a job's workers are scraped under its name and their own.
_COLLECT, _NOTIFY, _BOARD = (f'job=~"($job)-{name}"' for name in ("collect", "notify", "board"))
_RATE = "[$__rate_interval]"
_EVENTS = f"culdesac_events_total{{{_JOB}}}"
_CPU = f"culdesac_stage_cpu_seconds_total{{{_JOB}}}"
_ENRICHED = f"culdesac_enriched_seconds_bucket{{{_JOB}}}"

_WORKERS = Row(
    "Workers",
    (
        Panel(
            "Workers that work",
            "How many workers say that work goes on, as /healthz does. It should be as many as you started.",
            (Query(f"sum(culdesac_healthy{{{_JOB}}})", "healthy"),),
            kind="stat",
            unit="none",
            width=4,
        ),
        Panel(
            "Restarts within the hour",
            "How often each worker began anew. One is a deploy; more is a worker that ends again and "
            "again: its exit code stands in its log, and the runbook says what it means.",
            (Query(f"changes(process_start_time_seconds{{{_JOB}}}[1h])", "{{instance}}"),),
            unit="none",
            width=10,
        ),
        Panel(
            "Versions",
            "Workers by version. Two at a time are an upgrade under way; for longer, one that was forgotten.",
            (
                Query(
                    f"count by (version, python) (culdesac_build_info{{{_JOB}}})",
                    "{{version}}, Python {{python}}",
                ),
            ),
            kind="stacked",
            unit="none",
            width=10,
        ),
        Panel(
            "Standstill",
            "For how long records have waited without being applied. Seconds are usual; at 60 a worker "
            "ends itself and starts again.",
            (Query(f"max by (instance) (culdesac_standstill_seconds{{{_JOB}}})", "{{instance}}"),),
            unit="s",
            width=12,
        ),
        Panel(
            "Records still to be recovered",
            "Changelog records that a worker reads before it goes on, after a start on an empty disk or "
            "when it takes over partitions. It should fall to 0 within seconds.",
            (Query(f"sum by (instance) (culdesac_recovering_records{{{_JOB}}})", "{{instance}}"),),
            width=12,
        ),
    ),
)
_FLOW = Row(
    "Does it keep up?",
    (
        Panel(
            "Records read a second",
            "Input by topic, as workers read it. After an outage it is higher than usual until lag is worked off.",
            (Query(f"sum by (topic) (rate({_EVENTS}{_RATE}))", "{{topic}}"),),
            kind="stacked",
            unit="cps",
            width=12,
        ),
        Panel(
            "Lag",
            "Records that are not applied yet, by topic. A line that rises for minutes needs somebody; "
            "the runbook says which topic means what.",
            (Query(f"sum by (topic) (culdesac_lag_records{{{_JOB}}})", "{{topic}}"),),
            width=12,
        ),
        Panel(
            "Watermark behind the clock",
            "How old the time is that each stage has reached, at its slowest partition. Half a minute is "
            "usual; one that grows by a second a second stands still. While the past is replayed it is "
            "large and falls.",
            (Query(f"max by (stage) (culdesac_watermark_delay_seconds{{{_JOB}}})", "{{stage}}"),),
            unit="s",
            width=12,
        ),
        Panel(
            "From a page view to its enriched copy",
            "Time from the append of a page view to the acknowledgement of its enriched copy: of half of "
            "them, and of 99 of 100. Of a backlog it says how long it had waited.",
            (
                Query(f"histogram_quantile(0.5, sum by (le) (rate({_ENRICHED}{_RATE})))", "p50"),
                Query(f"histogram_quantile(0.99, sum by (le) (rate({_ENRICHED}{_RATE})))", "p99"),
            ),
            unit="s",
            width=12,
        ),
    ),
)
_COST = Row(
    "What it costs",
    (
        Panel(
            "CPU by stage",
            "Cores that the steps of each stage use. The runner itself, Kafka's protocol and disks come "
            "on top: see the processes beside it.",
            (Query(f"sum by (stage) (rate({_CPU}{_RATE}))", "{{stage}}"),),
            kind="stacked",
        ),
        Panel(
            "CPU by worker",
            "Cores that each process uses. A worker does its work on one: near 1 it is at its limit and lag grows.",
            (Query(f"rate(process_cpu_seconds_total{{{_JOB}}}{_RATE})", "{{instance}}"),),
        ),
        Panel(
            "Stage CPU an event",
            "Seconds of the stages' CPU for each record read. It should stay level while traffic grows; a"
            " step up after an upgrade is a regression.",
            (Query(f"sum(rate({_CPU}{_RATE})) / (sum(rate({_EVENTS}{_RATE})) > 0)", "an event"),),
            unit="s",
        ),
        Panel(
            "Memory",
            "Resident memory of each worker. It grows with open visitors up to what is held, and is then level.",
            (Query(f"process_resident_memory_bytes{{{_JOB}}}", "{{instance}}"),),
            unit="bytes",
            width=12,
        ),
        Panel(
            "Records a batch",
            "Mean size of the batches that a stage applies. Small ones mean that it keeps up; large ones "
            "that it works off a backlog, which costs less a record.",
            (
                Query(
                    f"sum by (stage) (rate(culdesac_batch_records_sum{{{_JOB}}}{_RATE}))"
                    f" / (sum by (stage) (rate(culdesac_batch_records_count{{{_JOB}}}{_RATE})) > 0)",
                    "{{stage}}",
                ),
            ),
            width=12,
        ),
    ),
)
_REFUSED = Row(
    "What is refused, late, or seen twice",
    (
        Panel(
            "Rejected, by reason",
            "Records a second that could not be used; they lie in `rejected-events` with reason and "
            "position. A rise after a deploy of the shop is a producer that broke.",
            (
                Query(
                    f"sum by (reason) (rate(culdesac_rejected_events_total{{{_JOB}}}{_RATE}))", "{{reason}}"
                ),
            ),
            kind="stacked",
            unit="cps",
        ),
        Panel(
            "Share rejected",
            "Rejected records for each record read. Above 1 % somebody sends what nobody can read.",
            (
                Query(
                    f"sum(rate(culdesac_rejected_events_total{{{_JOB}}}{_RATE}))"
                    f" / (sum(rate({_EVENTS}{_RATE})) > 0)",
                    "rejected",
                ),
            ),
            unit="percentunit",
        ),
        Panel(
            "Late, by stage",
            "Events a second that came behind the watermark. They are counted and revise what was said; "
            "many of them mean a producer that sends in lumps, or clocks that differ.",
            (Query(f"sum by (stage) (rate(culdesac_late_events_total{{{_JOB}}}{_RATE}))", "{{stage}}"),),
            unit="cps",
        ),
        Panel(
            "Seen twice",
            "Events a second that had come before, by stage (producers that send again), and records that"
            " we wrote twice and applied once (a worker that was killed). Neither changes a result.",
            (
                Query(
                    f"sum by (stage) (rate(culdesac_duplicate_events_total{{{_JOB}}}{_RATE}))", "{{stage}}"
                ),
                Query(
                    f"sum by (stage) (rate(culdesac_redelivered_records_total{{{_JOB}}}{_RATE}))",
                    "{{stage}}, written twice",
                ),
            ),
            unit="cps",
            width=12,
        ),
        Panel(
            "Runaways",
            "Sessions within the hour that had more views than is believed of a person and were capped. A"
            " robot that does not say so; its sessions are left out of what is judged.",
            (Query(f"sum(increase(culdesac_capped_sessions_total{{{_JOB}}}[1h]))", "capped"),),
            width=12,
        ),
    ),
)

_BESIDE = Row(
    "Beside the workers",
    (
        Panel(
            "Collected, by answer",
            "Requests a second that collectors answered, by HTTP status. 200 and 202 are in Kafka; 429 is too much "
            "of one network or site, 503 a Kafka that does not take it; other 4xx have no business here.",
            (
                Query(
                    f"sum by (status) (rate(culdesac_collect_requests_total{{{_COLLECT}}}{_RATE}))",
                    "{{status}}",
                ),
            ),
            kind="stacked",
            unit="cps",
            width=6,
        ),
        Panel(
            "Waiting for Kafka",
            "Bytes that collectors hold until Kafka has acknowledged them. At `in_flight_mb` they tell trackers to "
            "come again.",
            (Query(f"sum by (instance) (culdesac_collect_in_flight_bytes{{{_COLLECT}}})", "{{instance}}"),),
            unit="bytes",
            width=6,
        ),
        Panel(
            "Notices, by what became of them",
            "Changes of alerts within the hour, by receivers' kind. Those that are undelivered stand on the "
            "board's first page with the reason; left out is what no route wants.",
            (
                Query(
                    f"sum by (kind, outcome) (increase(culdesac_notices_total{{{_NOTIFY}}}[1h]))",
                    "{{kind}}, {{outcome}}",
                ),
            ),
            unit="none",
            width=6,
        ),
        Panel(
            "Open boards",
            "Pages of the board that browsers keep open now, and whether the board reads Kafka (1) or says that it "
            "does not answer (0).",
            (
                Query(f"sum(culdesac_board_open_pages{{{_BOARD}}})", "open pages"),
                Query(f"min(culdesac_board_connected{{{_BOARD}}})", "reads Kafka"),
            ),
            unit="none",
            width=6,
        ),
    ),
)

OPERATION = Board(
    "culdesac-operation",
    "Culdesac: operation",
    "Are the workers well, do they keep up, what do they cost, what do they refuse, and who runs beside them.",
    (_WORKERS, _FLOW, _COST, _REFUSED, _BESIDE),
)
