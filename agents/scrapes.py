"""Scrapes: figures read back from a worker's metrics port."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.error import URLError
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]


class Scrape:
    r"""Figures of one moment, by name and labels.

    Parameters
    ----------
    text
        What ``/metrics`` answered.

    Examples
    --------
    >>> scrape = Scrape('a_total{x="1"} 2\na_total{x="2"} 3\n')
    >>> scrape.total("a_total"), scrape.by("a_total", "x")
    (5.0, {'1': 2.0, '2': 3.0})
    """

    def __init__(self, text: str = "") -> None:
        self._figures: dict[str, dict[Labels, float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self._figures.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value

    def total(self, name: str, **labels: str) -> float:
        """Sum over all time series that have these labels; 0 where there are none."""
        wanted = labels.items()
        found = [figure for key, figure in self._figures.get(name, {}).items() if wanted <= dict(key).items()]
        return float(sum(found))

    def greatest(self, name: str, **labels: str) -> float | None:
        """Greatest of the time series that have these labels; None where there are none."""
        wanted = labels.items()
        found = [figure for key, figure in self._figures.get(name, {}).items() if wanted <= dict(key).items()]
        return max(found, default=None)

    def by(self, name: str, label: str) -> dict[str, float]:
        """Add up by the values of one label."""
        sums: dict[str, float] = {}
        for key, figure in self._figures.get(name, {}).items():
            value = dict(key).get(label, "")
            sums[value] = sums.get(value, 0.0) + figure
        return sums

    def quantile(self, name: str, q: float, since: Scrape) -> float | None:
        """Quantile of a histogram's observations since an earlier scrape: the upper bound of its bucket.

        None where nothing was observed; infinite where it lies above all buckets.
        """
        before = since.by(f"{name}_bucket", "le")
        buckets = [
            (float(bound), count - before.get(bound, 0.0))
            for bound, count in self.by(f"{name}_bucket", "le").items()
        ]
        buckets.sort()
        if not buckets or buckets[-1][1] <= 0:
            return None
        wanted = q * buckets[-1][1]
        return next(bound for bound, count in buckets if count >= wanted)


def scrape(port: int, timeout_s: float = 2.0) -> Scrape | None:
    """Ask a worker on this machine; None if it does not answer."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=timeout_s) as answer:
            return Scrape(answer.read().decode())
    except (URLError, OSError):
        return None


def as_counts(figures: Mapping[str, float]) -> dict[str, int]:
    """Figures that are whole, without those that are 0."""
    return {name: round(figure) for name, figure in figures.items() if figure}
