"""What a page learns at the end of an hour's block: its effect, its noise, its margins."""

from math import exp, sqrt

from streams.evidence import (
    COUNTED_INFORMATION,
    FROZEN_ABOVE,
    FROZEN_INFORMATION,
    MAX_EFFECT,
    MAX_NOISE,
    MIN_NOISE,
    MIN_SPREAD,
    NEWBORN_CAP,
    NOISE_KEPT,
    POOLED_BLOCKS,
    POOLED_KEPT,
    RECOVERY_CAP,
    SPREAD_PRIOR,
    ZERO,
    DetectorSettings,
    PageState,
    SiteState,
    TemplateState,
    Triple,
    clear_evidence,
    log_mean_exp,
)


def begin_block(
    settings: DetectorSettings, site: SiteState, template: TemplateState, page: PageState, block: int
) -> None:
    """Close the block that ran and begin another.

    With f = 1/(1 + σ̂²V), the share of a block's evidence that is not explained by noise between blocks (the
    variance inflation of Williams, 1982, *Extra-Binomial Variation in Logistic Linear Models*, used as the
    tempering of Grünwald, 2012, *The Safe Bayesian*):

    - wealth of each shift W = clip(W + Lf, 0, cap), the reflection at 0 of Page (1954), *Continuous
      Inspection Schemes*;
    - noise r = min((R² − V)/V² − u, 9σ̂² + 9/V), a moment estimate of σ² clipped against single faults, with u the
      variance of what is not known of the effect, 1/(1/τ² + Λ), and with weight ω = (Vσ_s²/(1 + Vσ_s²))²;
      σ̂² = (Σωr + 24σ_s²)/(Σω + 24), shrunk to the site's pooled σ_s² (empirical Bayes: Robbins, 1956, *An
      Empirical Bayes Approach to Statistics*);
    - effect β by one Newton step under the prior N(0, τ²), with information Λ that fades in a week
      (a Kalman filter of a constant with forgetting).

    A settled page with evidence learns nothing, or it would learn its fault. A young one does: pages that
    are bad by nature would otherwise alert every day.

    The margin of a newborn page comes from how much its template's other pages differ, (Σβ² + 8τ²)/(n + 8).

    A page that was silent for longer than its memory starts without evidence: what was suspected then says
    nothing about now.

    Parameters
    ----------
    settings, site, template, page
        The detector's records; the last three are changed.
    block
        Number of the new block, greater than the page's last one.

    Examples
    --------
    A page that is known well and has 40 more stalls than expected in an hour moves its effect up a little, and
    widens its noise.

    >>> page = PageState(block=0, residual=40.0, variance=100.0, noise_variance=0.04, information=100.0)
    >>> begin_block(DetectorSettings(), SiteState(), TemplateState(), page, 1)
    >>> round(page.effect, 2), page.noise_variance > 0.04, page.variance
    (0.06, True, 0.0)
    """
    passed = block - page.block if page.block is not None else 0
    if page.variance > 0.0:
        _close(settings, site, template, page, passed)
    if passed * settings.block_ms > settings.memory_ms:
        clear_evidence(page)
    page.block = block
    page.residual = page.variance = page.gain_recovery = 0.0
    page.gain = page.gain_newborn = ZERO
    pooled = site.noise / site.noise_weight
    shrunk = (page.noise + POOLED_BLOCKS * pooled) / (page.noise_weight + POOLED_BLOCKS)
    page.noise_variance = max(MIN_NOISE, min(MAX_NOISE, shrunk))
    sigma = sqrt(page.noise_variance)
    if sigma < settings.noise_whole:
        sigma *= sigma / settings.noise_whole
    sigma *= settings.margin_noise
    error = sqrt(1.0 / (1.0 / settings.prior_variance + page.information))
    page.margin = settings.margin + settings.margin_effect * error + sigma
    if page.newborn:
        # Its own effect is left out: a great fault in a small template would widen its own margin.
        squares = template.effect_squares - (page.effect**2 if page.counted else 0.0)
        others = template.effects - page.counted
        spread = (squares + SPREAD_PRIOR * settings.prior_variance) / (others + SPREAD_PRIOR)
        spread = sqrt(max(MIN_SPREAD, spread))
        page.margin_newborn = settings.margin + settings.margin_newborn * spread + sigma


def _close(
    settings: DetectorSettings, site: SiteState, template: TemplateState, page: PageState, passed: int
) -> None:
    variance, noise_variance = page.variance, page.noise_variance
    share = 1.0 / (1.0 + noise_variance * variance)
    unclipped = [w + gain * share for w, gain in zip(page.wealth, page.gain, strict=True)]
    evidence = log_mean_exp(unclipped[0], unclipped[1], unclipped[2])
    page.wealth = _carry(page.wealth, page.gain, share, settings.wealth_cap)
    page.wealth_newborn = _carry(page.wealth_newborn, page.gain_newborn, share, NEWBORN_CAP)
    recovery = page.wealth_recovery + page.gain_recovery * share
    page.wealth_recovery = min(RECOVERY_CAP, max(0.0, recovery))
    if evidence > FROZEN_ABOVE and page.information > FROZEN_INFORMATION:
        return
    residual = page.residual
    if page.settling:
        page.settling = max(0, page.settling - passed)
    else:
        _learn_noise(site, page, passed, 1.0 / (1.0 / settings.prior_variance + page.information))
    gained = variance * share
    before = page.effect
    faded = page.information * exp(-passed * settings.block_ms / settings.memory_ms)
    page.information = faded + gained
    step = gained / (1.0 / settings.prior_variance + page.information) * residual / variance
    page.effect = max(-MAX_EFFECT, min(MAX_EFFECT, before + step))
    if page.information >= COUNTED_INFORMATION:
        template.effect_squares += page.effect**2 - (before**2 if page.counted else 0.0)
        if not page.counted:
            page.counted = True
            template.effects += 1


def _learn_noise(site: SiteState, page: PageState, passed: int, unknown: float) -> None:
    residual, variance, noise_variance = page.residual, page.variance, page.noise_variance
    pooled = site.noise / site.noise_weight
    weight = (variance * pooled / (1.0 + variance * pooled)) ** 2
    moment = (residual**2 - variance) / variance**2 - unknown
    noise = weight * min(moment, 9.0 * noise_variance + 9.0 / variance)
    kept = NOISE_KEPT**passed
    page.noise = page.noise * kept + noise
    page.noise_weight = page.noise_weight * kept + weight
    # Moments of under-dispersed blocks are negative: the pool must stay above zero to remain a variance.
    site.noise = max(1e-6, site.noise * POOLED_KEPT + noise)
    site.noise_weight = site.noise_weight * POOLED_KEPT + weight


def _carry(wealth: Triple, gain: Triple, share: float, cap: float) -> Triple:
    return (
        min(cap, max(0.0, wealth[0] + gain[0] * share)),
        min(cap, max(0.0, wealth[1] + gain[1] * share)),
        min(cap, max(0.0, wealth[2] + gain[2] * share)),
    )
