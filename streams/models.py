"""The models stage: learns from closed sessions how probable a purchase and an exit are, publishes weights.

Each session is predicted before it is learned, so what the reports say was measured on sessions that the
model had not seen. It had seen all others that closed before, which is a little more than the weights knew
that scored the views while the session ran.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate
from typing import Any, Final, NamedTuple

import msgspec

from schemas.model_reports import ModelReport
from schemas.model_snapshots import ModelName, ModelSnapshot
from schemas.site_events import SessionExample
from schemas.timestamps import format_ms
from schemas.visitor_events import ModelWeights, Origin, SiteNote
from streams.features import journeys
from streams.formats import StateFormat, unchanged
from streams.propensities import Learner, Lesson, Propensity
from streams.record_ids import record_id
from streams.settings import Settings
from streams.stages import EVERY_PARTITION, Context, Output

FIRST_EXAMPLES: Final = 200
"""A new model is published after so many sessions, before its first snapshot is due."""
BASELINE: Final = "rate so far of the template, with and without a cart"


class ChosenView(NamedTuple):
    """A view to learn from.

    Attributes
    ----------
    position
        Place in its session, from 1.
    occurred_at
        Its time (ms).
    features, rule
        What was known at it, and the little of that which the baseline may know.
    weight
        How many views it stands for.
    """

    position: int
    occurred_at: int
    features: dict[str, float]
    rule: str
    weight: float


class OtherMinute(msgspec.Struct, tag_field="type", tag="page_minute", frozen=True, gc=False):
    """A page's minute, of which nothing is read but where it came from: that halves its decoding."""

    origin: Origin


class OtherCorrection(msgspec.Struct, tag_field="type", tag="session_correction", frozen=True, gc=False):
    """The same of a correction."""

    origin: Origin


class Models:
    """Learns ``p_purchase`` and ``p_exit`` for each site, and publishes both now and then.

    ``p_purchase`` is the probability that an order follows the view in the same session, learned from views
    before the first order. ``p_exit`` is the probability that no page view follows in the same session.

    Snapshots fall due at multiples of `snapshot_every_ms` of event time, if anything was learned since the
    last, and besides once after the first `FIRST_EXAMPLES` sessions.

    Parameters
    ----------
    settings
        `learn_views` and `snapshot_every_ms` count here.

    Attributes
    ----------
    state_types
        ``m``, site and model: a `Propensity`; two for each site.
    """

    name = "models"
    log = "site-events"
    outputs: tuple[str, ...] = ("model-snapshots", "model-reports", "visitor-events")
    record_type = SessionExample | OtherMinute | OtherCorrection | SiteNote
    # From the third on, time at a site is that of customers as well; see `Pages.state_format`.
    state_format = StateFormat(3, {1: unchanged, 2: unchanged})

    def __init__(self, settings: Settings) -> None:
        self.state_types: Mapping[str, type] = {"m": Propensity}
        self._learn_views = settings.learn_views
        self._every_ms = settings.snapshot_every_ms
        self._learner = Learner()

    def step(self, context: Context, record: Any) -> Iterable[Output]:
        """Learn from a closed session; other records, bots and capped sessions are passed over."""
        if not isinstance(record, SessionExample) or record.is_bot or record.capped:
            return ()
        chosen = list(choose_views(record, self._learn_views))
        outputs = self._learn(context, record, "p_purchase", purchase_lessons(record, chosen))
        outputs += self._learn(context, record, "p_exit", exit_lessons(record, chosen))
        return outputs

    def due(self, context: Context, key: str, deadline_ms: int) -> Iterable[Output]:
        """Publish what was learned since the last snapshot."""
        propensity: Propensity = context.state.get(key)
        outputs = publish(context, propensity, deadline_ms)
        propensity.due_ms = None
        context.state.put(key, propensity)
        return outputs

    def advanced(self, context: Context, before_ms: int) -> Iterable[Output]:
        """Do nothing: what hangs on time here is a deadline."""
        return ()

    def _learn(
        self, context: Context, example: SessionExample, model: ModelName, lessons: list[Lesson]
    ) -> list[Output]:
        if not lessons:
            return []
        key = f"m{example.site}|{model}"
        propensity: Propensity | None = context.state.get(key)
        if propensity is None:
            propensity = Propensity(example.site, model)
        self._learner.learn(propensity, lessons)
        context.count("learned_views", model, len(lessons))
        if propensity.due_ms is None:
            # Sessions that were handed over late must not bring snapshots closer together.
            latest_ms = max(example.due_ms, propensity.published_ms)
            propensity.due_ms = (latest_ms // self._every_ms + 1) * self._every_ms
        context.state.put(key, propensity, propensity.due_ms)
        if propensity.version == 0 and propensity.examples >= FIRST_EXAMPLES:
            return publish(context, propensity, example.due_ms)
        return []


def publish(context: Context, propensity: Propensity, at_ms: int) -> list[Output]:
    """Write down a propensity as of `at_ms`: a snapshot, a report, and weights for all who score."""
    propensity.version = version = propensity.version + 1
    propensity.published_ms = at_ms
    site, model = propensity.site, propensity.model
    # Copied, since learning goes on in the same dict while the outputs wait to be written.
    weights = dict(propensity.weights)
    name, key, as_of = f"{site}:{model}", f"{site}|{model}", format_ms(at_ms)
    snapshot_id = record_id(name)
    snapshot = ModelSnapshot(
        id=snapshot_id,
        revision=version,
        site=site,
        model=model,
        version=version,
        features=weights,
        intercept=0.0,
        trained_on=propensity.measures.updates,
        as_of=as_of,
    )
    measures, baseline = propensity.measures, propensity.baseline
    for gauge, value in (
        ("auprc", measures.auprc()),
        ("baseline_auprc", baseline.auprc()),
        ("log_loss", measures.log_loss()),
        ("baseline_log_loss", baseline.log_loss()),
        ("calibration_error", measures.calibration_error()),
        ("examples", measures.updates),
    ):
        if value is not None:
            context.gauges[f"model_{gauge}", model] = value
    report = ModelReport(
        id=record_id(f"{name}:{version}"),
        site=site,
        model=model,
        version=version,
        as_of=as_of,
        examples=measures.updates,
        positives=measures.happenings,
        auprc=measures.auprc(),
        auroc=measures.auroc(),
        log_loss=measures.log_loss(),
        calibration_error=measures.calibration_error(),
        baseline=BASELINE,
        baseline_auprc=baseline.auprc(),
        baseline_log_loss=baseline.log_loss(),
        baseline_calibration_error=baseline.calibration_error(),
    )
    exported = ModelWeights(context.origin(), site, model, version, 0.0, weights)
    return [
        Output("model-snapshots", key, snapshot, snapshot_id, at_ms, version),
        Output("model-reports", key, report, report.id, at_ms),
        Output("visitor-events", site, exported, name, at_ms, version, EVERY_PARTITION),
    ]


def choose_views(example: SessionExample, learn_views: int) -> Iterator[ChosenView]:
    """Choose views of a session to learn from: a view at position d with probability min(1, k / 2d).

    Of a session of four views that is `learn_views` (k), and of longer ones little more. The choice looks at
    the position alone: to take k of a session's n views would choose by its length, which the visitor's first
    view does not know, and which is what ``p_exit`` is asked. The places are drawn together (systematic
    sampling: Madow and Madow, 1944, *On the Theory of Systematic Sampling*) by a hash of the session's id, so
    they are the same whenever the log is read. Each view stands in the measures for as many as its chance was
    against it (Horvitz and Thompson, 1952, *A Generalization of Sampling Without Replacement From a Finite
    Universe*).

    Parameters
    ----------
    example
        The session.
    learn_views
        How many views to choose of a session of four, about; 0 chooses none.
    """
    chosen = _positions(example.session_id, len(example.views), learn_views)
    if not chosen:
        return
    last = chosen[-1]
    for position, (view, journey) in enumerate(zip(example.views, journeys(example), strict=True), 1):
        if position in chosen:
            rule = f"{journey.template}+cart" if journey.in_cart else journey.template
            weight = max(1.0, 2 * position / learn_views)
            yield ChosenView(position, view.occurred_at, journey.features(), rule, weight)
            if position == last:
                return


def purchase_lessons(example: SessionExample, chosen: Iterable[ChosenView]) -> list[Lesson]:
    """Lessons on whether an order followed. Views at or after (≥) the first order have no part in it."""
    purchased_at = example.purchased_at
    return [
        Lesson(view.features, view.rule, purchased_at is not None, view.weight)
        for view in chosen
        if purchased_at is None or view.occurred_at < purchased_at
    ]


def exit_lessons(example: SessionExample, chosen: Iterable[ChosenView]) -> list[Lesson]:
    """Lessons on whether a view was the last of its session."""
    last = len(example.views)
    return [Lesson(view.features, view.rule, view.position == last, view.weight) for view in chosen]


def _positions(name: str, views: int, learn_views: int) -> list[int]:
    """Places (from 1) where the chances summed up so far pass a whole number, from a start that is drawn."""
    start = int.from_bytes(blake2b(name.encode(), digest_size=7).digest(), "big") / 2**56
    sums = _chances(learn_views, views)
    return [place for place in range(1, views + 1) if int(sums[place] + start) > int(sums[place - 1] + start)]


@lru_cache(4096)
def _chances(learn_views: int, views: int) -> tuple[float, ...]:
    return tuple(accumulate((learn_views / (2 * place) for place in range(1, views + 1)), initial=0.0))
