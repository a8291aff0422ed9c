"""Blocks: what a page is taught at once, beside what it learns by itself."""

from __future__ import annotations

from streams.blocks import begin_block, take_as_usual
from streams.evidence import HOUR_MS, MAX_EFFECT, DetectorSettings, PageState, SiteState, TemplateState


def test_what_is_taken_as_usual_is_not_learned_again_at_the_end_of_the_hour() -> None:
    page = PageState(block=0, effect=0.1, information=40.0, residual=50.0, variance=60.0)
    take_as_usual(TemplateState(), page, 1.0, 60.0)
    begin_block(DetectorSettings(), SiteState(), TemplateState(), page, 1)
    assert page.effect == 1.1


def test_a_template_s_spread_knows_the_new_effect_of_a_page_that_counts_for_it() -> None:
    template = TemplateState(effect_squares=3.0, effects=4)
    for counted, squares in ((False, 3.0), (True, 3.0 - 0.25 + 2.25)):
        take_as_usual(template, PageState(effect=0.5, counted=counted), 1.0, 20.0)
        assert (template.effect_squares, template.effects) == (squares, 4)


def test_it_is_sure_of_no_more_than_it_has_seen() -> None:
    settings = DetectorSettings()
    margins = []
    for variance in (2.0, 50.0, 10_000.0):
        page = PageState(block=0, information=30.0, noise_variance=0.04)
        take_as_usual(TemplateState(), page, 30.0, variance)
        assert page.effect == MAX_EFFECT
        begin_block(settings, SiteState(), TemplateState(), page, HOUR_MS // settings.block_ms)
        margins.append(page.margin)
    assert margins == sorted(margins, reverse=True)
    assert len(set(margins)) == 3
