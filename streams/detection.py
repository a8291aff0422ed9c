"""Dead-end detection: a page has begun to lose more visitors than its context explains.

The test is a tempered mixture e-CUSUM with a learned noise floor. For every view with expected stall
probability m the null hypothesis allows m₀ = logistic(logit m + κ), a margin κ above what is expected. For a
shift Δ the likelihood ratio of "odds are e^Δ times higher" to the null is e^{yΔ}/(1 + m₀(e^Δ − 1)), whose
mean under the null is at most 1: an e-value. Products of e-values are a wager against the null, which by
Ville (1939, *Étude critique de la notion de collectif*) reaches 1/α with probability at most α, at whatever
moment one looks (Shafer, Shen, Vereshchagin and Vovk, 2011, *Test Martingales, Bayes Factors and p-Values*;
Waudby-Smith and Ramdas, 2024, *Estimating Means of Bounded Random Variables by Betting*). Reflected at zero
it detects a change whose moment is unknown (Page, 1954, *Continuous Inspection Schemes*; Shin, Ramdas and
Rinaldo, 2023, *E-Detectors*). Three shifts are mixed with equal weights (Robbins, 1970, *Statistical Methods
Related to the Law of the Iterated Logarithm*), so none has to be chosen.

Those theorems hold for independent views. Real pages are noisier, so evidence within a block is tempered and
the margin has a noise term (`streams.blocks`): what can be claimed is the false-alert rate that the benchmark
measures, not a proof.

One call handles one page-minute. Its cells share one estimate of the common movement, and the evidence is
looked at once, so the answer does not depend on how views of a minute were interleaved.
"""

from collections.abc import Sequence
from math import exp, log, log1p
from typing import Literal

import msgspec

from streams.blocks import begin_block
from streams.evidence import (
    SHIFTS,
    DecayedSums,
    DetectorSettings,
    PageState,
    SiteState,
    TemplateState,
    clear_evidence,
    log_mean_exp,
)
from streams.regressions import MAX_LOGIT

__all__ = [
    "DecayedSums",
    "DetectorSettings",
    "Event",
    "PageState",
    "SiteState",
    "TemplateState",
    "Verdict",
    "common_movement",
    "observe",
]

Event = Literal["open", "open_new", "resolve"]

_GROWTH = tuple(exp(shift) - 1.0 for shift in SHIFTS)
_NO_EVIDENCE = -9.0


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What a page-minute says.

    Parameters
    ----------
    evidence, evidence_newborn
        S, and S of the newborn test (−9 where it does not run), in nats, after the minute.
    event
        ``open`` and ``open_new`` (the newborn test) open the page's one alert, ``resolve`` ends it.
    watched
        Evidence of either test is above the watch level.
    expected
        Stalls expected of the minute's views, with the page's effect and the common movement.
    """

    evidence: float
    evidence_newborn: float
    event: Event | None
    watched: bool
    expected: float


def common_movement(
    settings: DetectorSettings, site: SiteState, template: TemplateState, page: PageState, minute_ms: int
) -> float:
    """Return c, the logit by which a page's template moves now, judged by the template's other pages.

    c = (R_T − R_p + k·c_s)/(V_T − V_p + k) with c_s = (R_s − R_p)/(V_s − V_p + k), k the prior weight: one
    Newton step of a logit, shrunk from the template to the site and from the site to 0 (empirical Bayes in
    two levels: Efron and Morris, 1975, *Data Analysis Using Stein's Estimator*). The page itself is left out,
    or a fault on a template's greatest page would excuse itself. Moves the decayed sums to the minute.

    Examples
    --------
    >>> site = SiteState(common=DecayedSums(150.0, 950.0, 0))
    >>> template = TemplateState(common=DecayedSums(90.0, 450.0, 0))
    >>> common_movement(DetectorSettings(), site, template, PageState(), 0)
    0.195
    """
    half_life_ms = settings.half_life_ms
    own, near, wide = page.common, template.common, site.common
    if own.at_ms < minute_ms:
        own.decay_to(minute_ms, half_life_ms)
    # These two are moved by the first of a minute's pages.
    if near.at_ms < minute_ms:
        near.decay_to(minute_ms, half_life_ms)
    if wide.at_ms < minute_ms:
        wide.decay_to(minute_ms, half_life_ms)
    prior = settings.common_prior
    residual, variance, limit = own.residual, own.variance, settings.common_limit
    around, beside = wide.variance - variance, near.variance - variance
    # What is left after taking the page out of a sum that it was in may be −1e-17.
    at_site = (wide.residual - residual) / ((around if around > 0.0 else 0.0) + prior)
    movement = (near.residual - residual + prior * at_site) / ((beside if beside > 0.0 else 0.0) + prior)
    return limit if movement > limit else -limit if movement < -limit else movement


def observe(
    settings: DetectorSettings,
    site: SiteState,
    template: TemplateState,
    page: PageState,
    cells: Sequence[tuple[float, int, int]],
    minute_ms: int,
) -> Verdict:
    """Weigh one minute of one page, and change the three records accordingly.

    Memory: nothing beyond the records. Minutes should come in order; a late one
    counts in the block that runs.

    Parameters
    ----------
    settings
        The same for all calls of a site and scope.
    site, template, page
        The records that the page belongs to; for wider scopes keep separate ones, since their noise differs.
    cells
        For each context cell the expected logit x (without page, learned from the same label), views n ≥ 1,
        and stalls y with 0 ≤ y ≤ n. The order must be canonical: floating-point sums depend on it.
    minute_ms
        Start of the minute, epoch milliseconds.

    Returns
    -------
    Verdict
        With S = log mean_k exp(W_k + L_k/(1 + σ̂²V)).

    Examples
    --------
    Two days at the expected rate, then one hour with all visitors stuck.

    >>> records = DetectorSettings(), SiteState(), TemplateState(), PageState()
    >>> quiet = [observe(*records, [(0.0, 4, 2)], minute * 60_000) for minute in range(2880)]
    >>> {verdict.event for verdict in quiet}
    {None}
    >>> broken = [observe(*records, [(0.0, 4, 4)], minute * 60_000) for minute in range(2880, 2940)]
    >>> [verdict.event for verdict in broken].index("open")
    5
    """
    if site.start_ms is None:
        site.start_ms = minute_ms
    if page.born_ms is None:
        page.born_ms = minute_ms
        page.newborn = minute_ms - site.start_ms > settings.newborn_after_ms
    block = minute_ms // settings.block_ms
    # A late minute of an earlier block must not close the one that runs.
    if page.block is None or block > page.block:
        begin_block(settings, site, template, page, block)
    movement = common_movement(settings, site, template, page, minute_ms) if settings.common else 0.0
    if page.newborn and minute_ms - page.born_ms >= settings.newborn_age_ms and page.alert != "open_new":
        page.newborn = False

    effect, newborn = page.effect, page.newborn
    moved, margin = exp(movement), exp(page.margin)
    margin_newborn = exp(page.margin_newborn - effect) if newborn else 1.0
    recovering = page.alert == "open"
    worse = exp(page.recovery_shift) if recovering else 1.0
    e0, e1, e2 = _GROWTH
    l0, l1, l2 = page.gain
    n0, n1, n2 = page.gain_newborn
    stalls = 0
    still = still_variance = expected = variance = recovery = 0.0
    for logit, n, y in cells:
        logit += effect
        odds = exp(MAX_LOGIT if logit > MAX_LOGIT else -MAX_LOGIT if logit < -MAX_LOGIT else logit)
        m = odds / (1.0 + odds)
        still += n * m
        still_variance += n * m * (1.0 - m)
        odds *= moved
        m = odds / (1.0 + odds)
        expected += n * m
        variance += n * m * (1.0 - m)
        null = odds * margin
        null /= 1.0 + null
        l0 -= n * log1p(null * e0)
        l1 -= n * log1p(null * e1)
        l2 -= n * log1p(null * e2)
        if newborn:
            null = odds * margin_newborn  # without the page's effect: its peers are the measure
            null /= 1.0 + null
            n0 -= n * log1p(null * e0)
            n1 -= n * log1p(null * e1)
            n2 -= n * log1p(null * e2)
        if recovering:
            recovery += n * log((1.0 + odds * worse) / (1.0 + odds))
        stalls += y

    d0, d1, d2 = SHIFTS
    page.residual += stalls - expected
    page.variance += variance
    share = 1.0 / (1.0 + page.noise_variance * page.variance)
    w0, w1, w2 = page.wealth
    l0, l1, l2 = l0 + d0 * stalls, l1 + d1 * stalls, l2 + d2 * stalls
    s0, s1, s2 = w0 + l0 * share, w1 + l1 * share, w2 + l2 * share
    # What speaks against a fault must not speak against one that begins in the middle of a block.
    if s0 < 0.0:
        w0 = l0 = s0 = 0.0
    if s1 < 0.0:
        w1 = l1 = s1 = 0.0
    if s2 < 0.0:
        w2 = l2 = s2 = 0.0
    page.wealth, page.gain = (w0, w1, w2), (l0, l1, l2)
    evidence = log_mean_exp(s0, s1, s2) if s0 or s1 or s2 else 0.0
    evidence_newborn = _NO_EVIDENCE
    if newborn:
        w0, w1, w2 = page.wealth_newborn
        n0, n1, n2 = n0 + d0 * stalls, n1 + d1 * stalls, n2 + d2 * stalls
        b0, b1, b2 = w0 + n0 * share, w1 + n1 * share, w2 + n2 * share
        if b0 < 0.0:
            w0 = n0 = b0 = 0.0
        if b1 < 0.0:
            w1 = n1 = b1 = 0.0
        if b2 < 0.0:
            w2 = n2 = b2 = 0.0
        page.wealth_newborn, page.gain_newborn = (w0, w1, w2), (n0, n1, n2)
        evidence_newborn = log_mean_exp(b0, b1, b2)
    if settings.common and evidence < settings.left_out and evidence_newborn < settings.left_out:
        surplus = stalls - still
        for common in (page.common, template.common, site.common):
            common.residual += surplus
            common.variance += still_variance

    event: Event | None = None
    top = evidence if evidence >= evidence_newborn else evidence_newborn
    if (
        page.alert is None
        and evidence <= settings.threshold
        and evidence_newborn <= settings.threshold_newborn
    ):
        return Verdict(evidence, evidence_newborn, None, top > settings.watch, expected)
    best = d0 if s0 >= s1 and s0 >= s2 else d1 if s1 >= s2 else d2
    shift = 0.5 * (page.margin + best)
    if page.alert is None:
        if minute_ms - site.start_ms >= settings.warm_ms:
            event = page.alert = "open" if evidence > settings.threshold else "open_new"
            page.gain_recovery = page.wealth_recovery = 0.0
            page.recovery_shift = shift
    elif page.alert == "open":
        # The sum of log p(y | expected)/p(y | expected, logit + shift), floored at 0 like the evidence.
        page.gain_recovery += recovery - page.recovery_shift * stalls
        if evidence > settings.threshold:
            page.recovery_shift = max(page.recovery_shift, shift)
        recovered = page.wealth_recovery + page.gain_recovery * share
        if recovered < 0.0:
            page.gain_recovery = page.wealth_recovery = 0.0
        if recovered > settings.recover or evidence < settings.close:
            event = "resolve"
        if event is not None and evidence_newborn >= settings.close:
            # A young page has learned its fault as its own habit; beside its template it is still broken.
            event, page.alert = None, "open_new"
    elif evidence_newborn < settings.close:
        event = "resolve"
    if event == "resolve":
        page.alert = None
        clear_evidence(page)
    return Verdict(evidence, evidence_newborn, event, top > settings.watch, expected)
