"""Baselines: what the detector takes for usual, taught by a person who says that an alert is no dead end."""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, log, sqrt
from typing import Literal

from streams.cell_regressions import CellRegression
from streams.evidence import (
    FROZEN_INFORMATION,
    MAX_EFFECT,
    DetectorSettings,
    PageState,
    TemplateState,
    clear_evidence,
)
from streams.note_records import Baseline
from streams.scopes import FIRST_VIEW, SITE
from streams.symptoms import Suspicion, change_of

PRIOR = 0.25
"""Variance that draws what is taught towards nothing, as much as one view of an even chance: where all visitors
stall there would be no end to it. No more than that, for a person has said that the rise is real. (A page of which
nobody at all goes on alerts again after a day or two.)"""
SETTLING = 6
"""Hours (blocks) in which nothing is learned of noise after that."""
STEPS, LONGEST_STEP, NEAR = 20, 1.0, 1e-4
"""Newton's steps at most, the longest of them (logit), and the one after which no other follows."""
REOPENED_EVIDENCE = DetectorSettings().threshold
"""Evidence (nats) of an alert that a person opens again: as much as opens one."""
_MOST = 1.0 - 1e-6


def excess_logit(suspicion: Suspicion) -> tuple[float, float]:
    """Tell by how much more visitors stall since the change point, as a logit, and how well that is known.

    The mode of the posterior: the first of Newton's steps is R/(V + ¼), with R = Σ(y − m) and V = Σm(1 − m) of the
    counts since then, and the next ones are the same with m moved by what was found (McCullagh and Nelder, 1989,
    *Generalized Linear Models*, iterated weighted least squares). One alone would leave a page that went from .5 to
    .9 with a quarter of what it was to be taught.

    Returns
    -------
    tuple
        The logit, at least 0, and Σm(1 − m) at the level found.

    Examples
    --------
    >>> from streams.symptoms import MinuteCounts
    >>> suspicion = Suspicion()
    >>> for minute, stalls in enumerate((5, 5, 9, 9, 9, 9)):
    ...     suspicion.gather(MinuteCounts(views=100, stalls=10 * stalls), 50.0, minute * 60_000)
    >>> logit, variance = excess_logit(suspicion)
    >>> round(logit, 2), round(log(0.9 / 0.1), 2), round(variance)
    (2.18, 2.2, 36)
    """
    change = change_of(suspicion)
    if change is None or change.excess <= 0.0:
        return 0.0, 0.0
    since = [bucket for bucket in suspicion.series if bucket.start_ms >= change.at_ms and bucket.views > 0]
    logits = []
    for bucket in since:
        usual = max(1.0 - _MOST, min(_MOST, bucket.expected / bucket.views))
        logits.append(log(usual / (1.0 - usual)))
    shift = variance = 0.0
    for _ in range(STEPS):
        excess, variance = -PRIOR * shift, 0.0
        for bucket, logit in zip(since, logits, strict=True):
            p = 1.0 / (1.0 + exp(-logit - shift))
            excess += bucket.stalls - bucket.views * p
            variance += bucket.views * p * (1.0 - p)
        step = max(-LONGEST_STEP, min(LONGEST_STEP, excess / (variance + PRIOR)))
        shift = max(0.0, min(MAX_EFFECT, shift + step))
        if abs(step) < NEAR:
            break
    return shift, variance


def teach(page: PageState, template: TemplateState, suspicion: Suspicion) -> None:
    """Take what is seen since the change point for usual: the effect moves, and all evidence is forgotten.

    What is known of the new level is what was seen of it: information V/(1 + σ̂²V), at most so much that the page
    learns on although there is evidence; of noise it says nothing at first. A page that was judged by its peers is
    judged by its own past from now on.

    Parameters
    ----------
    page, template
        The detector's records of a page and of its template; changed.
    suspicion
        What the alert counts.

    Examples
    --------
    >>> from streams.symptoms import MinuteCounts
    >>> suspicion, page = Suspicion(), PageState(effect=0.3, information=500.0, wealth=(9.0, 9.0, 9.0))
    >>> suspicion.gather(MinuteCounts(views=100, stalls=73), 50.0, 0)
    >>> teach(page, TemplateState(), suspicion)
    >>> round(page.effect, 2), round(page.information, 1), page.wealth
    (1.28, 11.1, (0.0, 0.0, 0.0))
    """
    page.newborn = False
    shift, variance = excess_logit(suspicion)
    if shift <= 0.0:
        forget_suspicion(page)
        return
    known = min(FROZEN_INFORMATION, variance / (1.0 + page.noise_variance * variance))
    effect = max(-MAX_EFFECT, min(MAX_EFFECT, page.effect + shift))
    _settle(page, template, effect, known)
    page.settling = SETTLING


def move_scope(stalls: CellRegression, scope: str, templates: Iterable[str], by: float) -> None:
    """Let visitors of a wider scope stall more often as a matter of course.

    What is usual of a scope stands in the regression of all pages: if only the scope's own record knew of it, each
    page and each other scope would go on to show the same excess.

    Parameters
    ----------
    stalls
        Regression of the site's stalls; changed.
    scope, templates
        Such as ``device:mobile``; all templates of the site.
    by
        Logit.

    Examples
    --------
    >>> stalls = CellRegression()
    >>> stalls.move_all(-0.5), move_scope(stalls, "site:", [], 0.5)
    (None, None)
    >>> stalls.regression.weights
    [0.0]
    """
    if scope == SITE:
        stalls.move_all(by)
    elif scope == FIRST_VIEW:
        stalls.move([f"{template}:first" for template in templates], by)
    else:
        stalls.move([scope], by)


def take_back(page: PageState, template: TemplateState, before: Baseline) -> None:
    """Let the baseline from before a dismissal hold again; what was learned since then is forgotten."""
    _settle(page, template, before.effect, before.information)
    page.newborn = before.newborn


def suspect_again(page: PageState, test: Literal["open", "open_new"]) -> None:
    """Give an alert that a person opens again as much evidence as opens one: it is over when the repair is seen."""
    clear_evidence(page)
    evidence = (REOPENED_EVIDENCE, REOPENED_EVIDENCE, REOPENED_EVIDENCE)
    if test == "open_new":
        page.alert, page.wealth_newborn = "open_new", evidence
    else:
        page.alert, page.wealth = "open", evidence


def _settle(page: PageState, template: TemplateState, effect: float, information: float) -> None:
    # Neither of these two is a matter of calibration.
    settings = DetectorSettings()
    if page.counted:
        template.effect_squares += effect**2 - page.effect**2
    weight = 1.0 / settings.prior_variance
    wider = sqrt(1.0 / (weight + information)) - sqrt(1.0 / (weight + page.information))
    page.margin += settings.margin_effect * wider
    page.effect, page.information = effect, information
    forget_suspicion(page)


def forget_suspicion(page: PageState) -> None:
    """Forget all evidence, and what the hour that runs would teach of the same views."""
    clear_evidence(page)
    page.residual = page.variance = 0.0
