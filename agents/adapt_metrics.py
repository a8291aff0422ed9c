"""Metrics of culdesac adapt: what it has counted anyway, shown when it is asked.

Labels are bounded words: input topics and typed reasons, never a raw topic or what stands in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.adapters import Adaptation

STANDSTILL_S = 60.0
"""A step takes less, also while Kafka is waited for: who takes longer does no work."""


class Adapting(Collector):
    """How adapting goes.

    Parameters
    ----------
    adaptation
        Counts.
    clock
        In seconds.

    Attributes
    ----------
    lag
        Raw records that are still to be read, of the partitions that this process has.
    stepped_at
        When the last batch was done, by the clock.

    Examples
    --------
    >>> from streams.segment_archives import SegmentArchive
    >>> shown = Adapting(Adaptation(SegmentArchive()), clock=lambda: 0.0)
    >>> [metric.name for metric in shown.collect()][:2]
    ['culdesac_adapt_raw_records', 'culdesac_adapt_events']
    >>> shown.health()
    (True, 'adapts')
    """

    def __init__(self, adaptation: Adaptation, clock: Callable[[], float] = time.monotonic) -> None:
        self.lag = 0
        self._adaptation = adaptation
        self._clock = clock
        self.stepped_at = clock()
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def stepped(self, lag: int) -> None:
        """Note that a batch is done, and how many records are left."""
        self.lag = lag
        self.stepped_at = self._clock()

    def health(self) -> tuple[bool, str]:
        """Tell whether work goes on, and say so in a line."""
        waited_s = self._clock() - self.stepped_at
        if waited_s > STANDSTILL_S:
            return False, f"no batch was done for {waited_s:.0f} s"
        return True, "adapts"

    def collect(self) -> Iterator[Metric]:
        """Give the figures of now."""
        counted = self._adaptation
        yield CounterMetricFamily("culdesac_adapt_raw_records", "Raw records read", value=counted.records)
        events = CounterMetricFamily("culdesac_adapt_events", "Events written", labels=["topic"])
        for topic, number in sorted(counted.written.items()):
            events.add_metric([topic], number)
        yield events
        rejected = CounterMetricFamily("culdesac_adapt_rejected", "Raw records refused", labels=["reason"])
        for reason, number in sorted(counted.rejected.items()):
            rejected.add_metric([reason], number)
        yield rejected
        yield GaugeMetricFamily("culdesac_adapt_lag_records", "Raw records still to be read", value=self.lag)
