"""The detector opens on what broke, stays silent on what did not, and resolves when it is mended."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.blocks import begin_block
from streams.detection import (
    DetectorSettings,
    PageState,
    SiteState,
    TemplateState,
    Verdict,
    common_movement,
    observe,
)
from streams.evidence import DAY_MS, HOUR_MS

MINUTE_MS = 60_000
#: Epoch milliseconds of a real day: clocks that start at 0 hide overflows.
BEGINNING = 1_767_571_200_000
ONE_DAY_LATER = BEGINNING + DAY_MS
TWO_DAYS_LATER = BEGINNING + 2 * DAY_MS
THREE_DAYS_LATER = BEGINNING + 3 * DAY_MS
ONE_YEAR_LATER = BEGINNING + 365 * DAY_MS

Cells = list[tuple[float, int, int]]


def logit(p: float) -> float:
    return math.log(p / (1 - p))


@dataclass
class Site:
    """Some pages of one template, each with a view a minute or so, and the truth beside them."""

    seed: int = 1
    pages: int = 4
    views_a_minute: int = 2
    settings: DetectorSettings = field(default_factory=DetectorSettings)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.site, self.template = SiteState(), TemplateState()
        self.states = [PageState() for _ in range(self.pages)]
        self.events: list[tuple[int, int, str]] = []
        self.verdict: Verdict | None = None

    def play(self, from_ms: int, to_ms: int, p: Callable[[int], float] = lambda _: 0.25) -> "Site":
        for at_ms in range(from_ms, to_ms, MINUTE_MS):
            for number, page in enumerate(self.states):
                y = sum(self.rng.random() < p(number) for _ in range(self.views_a_minute))
                cells = [(logit(0.25), self.views_a_minute, y)]
                verdict = observe(self.settings, self.site, self.template, page, cells, at_ms)
                if verdict.event is not None:
                    self.events.append((at_ms, number, verdict.event))
                if number == 0:
                    self.verdict = verdict
        return self


def broken_first_page(number: int) -> float:
    return 0.65 if number == 0 else 0.25


def test_a_quiet_site_has_no_alert_in_a_week() -> None:
    assert Site(pages=3, views_a_minute=1).play(BEGINNING, BEGINNING + 7 * DAY_MS).events == []


def test_forty_points_more_stalls_on_one_page_are_found_within_the_hour() -> None:
    site = Site().play(BEGINNING, TWO_DAYS_LATER)
    site.play(TWO_DAYS_LATER, TWO_DAYS_LATER + HOUR_MS, broken_first_page)
    assert [(number, event) for _, number, event in site.events] == [(0, "open")]


def test_an_open_alert_resolves_after_the_mend_and_opens_again_with_the_next_fault() -> None:
    site = Site().play(BEGINNING, TWO_DAYS_LATER)
    for fault in range(2):
        begin = TWO_DAYS_LATER + fault * 12 * HOUR_MS
        site.play(begin, begin + 3 * HOUR_MS, broken_first_page)
        site.play(begin + 3 * HOUR_MS, begin + 12 * HOUR_MS)
    assert [event for _, _, event in site.events] == ["open", "resolve", "open", "resolve"]
    assert site.events[1][0] - (TWO_DAYS_LATER + 3 * HOUR_MS) < HOUR_MS
    assert site.states[0].alert is None


def test_what_resolves_leaves_no_evidence_behind() -> None:
    site = Site().play(BEGINNING, TWO_DAYS_LATER)
    site.play(TWO_DAYS_LATER, TWO_DAYS_LATER + HOUR_MS, broken_first_page)
    at_ms = TWO_DAYS_LATER + HOUR_MS
    while site.states[0].alert is not None:
        site.play(at_ms, at_ms + MINUTE_MS)
        at_ms += MINUTE_MS
    page = site.states[0]
    assert (page.wealth, page.gain, page.wealth_recovery, page.gain_recovery) == ((0, 0, 0), (0, 0, 0), 0, 0)


def test_nothing_opens_within_the_first_day_but_what_stays_broken_opens_right_after() -> None:
    site = Site().play(BEGINNING, BEGINNING + 18 * HOUR_MS)
    site.play(BEGINNING + 18 * HOUR_MS, ONE_DAY_LATER + HOUR_MS, broken_first_page)
    assert [(at_ms >= ONE_DAY_LATER, event) for at_ms, _, event in site.events] == [(True, "open")]


def test_watched_comes_before_the_alert_and_names_no_event() -> None:
    site = Site().play(BEGINNING, TWO_DAYS_LATER)
    at_ms, before = TWO_DAYS_LATER, None
    while not site.events:
        before = site.verdict
        site.play(at_ms, at_ms + MINUTE_MS, broken_first_page)
        at_ms += MINUTE_MS
    assert before is not None
    assert before.event is None
    assert before.watched == (before.evidence > 6.0)
    assert site.verdict is not None
    assert site.verdict.watched


def test_a_movement_of_the_whole_template_is_not_a_page_s_fault_but_a_wider_scope_s() -> None:
    def shifted(_: int) -> float:
        return 0.42

    pages = Site(pages=12).play(BEGINNING, TWO_DAYS_LATER).play(TWO_DAYS_LATER, THREE_DAYS_LATER, shifted)
    assert pages.events == []
    wide = Site(pages=1, views_a_minute=24, settings=DetectorSettings(common=False, margin=0.1))
    wide.play(BEGINNING, TWO_DAYS_LATER).play(TWO_DAYS_LATER, THREE_DAYS_LATER, shifted)
    assert wide.events[0][2] == "open"
    assert wide.events[0][0] - TWO_DAYS_LATER < 2 * HOUR_MS


def test_a_scope_without_common_mode_keeps_no_common_sums() -> None:
    site = Site(pages=2, settings=DetectorSettings(common=False)).play(BEGINNING, BEGINNING + HOUR_MS)
    assert site.site.common == site.template.common == site.states[0].common == PageState().common


def test_a_page_bad_from_birth_is_found_as_newborn_and_one_present_at_the_start_is_not() -> None:
    site = Site(pages=3).play(BEGINNING, TWO_DAYS_LATER)
    site.states[0] = PageState()
    site.play(TWO_DAYS_LATER, TWO_DAYS_LATER + 6 * HOUR_MS, lambda n: 0.9 if n == 0 else 0.25)
    assert [number for _, number, _ in site.events] == [0]
    assert site.states[0].newborn
    assert not site.states[1].newborn


def test_the_newborn_test_finds_what_the_page_s_own_history_hides() -> None:
    site = Site(pages=3).play(BEGINNING, TWO_DAYS_LATER)
    site.states[0] = PageState()
    # The page's effect has learned the fault in its first hours, as it must for pages that are just so.
    site.play(TWO_DAYS_LATER, TWO_DAYS_LATER + DAY_MS, lambda n: 0.6 if n == 0 else 0.25)
    assert [(number, event) for _, number, event in site.events] == [(0, "open_new")]


@pytest.mark.parametrize("threshold_newborn", [5.0, 8.0, 11.5])
def test_how_strict_a_site_is_with_its_pages_says_nothing_of_newborn_ones(threshold_newborn: float) -> None:
    settings = DetectorSettings(threshold=1000.0, threshold_newborn=threshold_newborn)
    site = Site(pages=3, settings=settings).play(BEGINNING, TWO_DAYS_LATER)
    site.states[0] = PageState()
    site.play(TWO_DAYS_LATER, TWO_DAYS_LATER + DAY_MS, lambda n: 0.6 if n == 0 else 0.25)
    assert [(number, event) for _, number, event in site.events] == [(0, "open_new")]


def test_a_newborn_page_grows_up_after_a_week() -> None:
    site = Site(pages=2, views_a_minute=1).play(BEGINNING, TWO_DAYS_LATER)
    site.states[0] = PageState()
    for day in range(9):
        begin = TWO_DAYS_LATER + day * DAY_MS
        site.play(begin, begin + 10 * MINUTE_MS)
        assert site.states[0].newborn == (day < 7)


def test_a_silence_of_a_year_does_no_harm() -> None:
    site = Site().play(BEGINNING, TWO_DAYS_LATER)
    site.play(TWO_DAYS_LATER, TWO_DAYS_LATER + HOUR_MS, broken_first_page)
    assert [event for _, _, event in site.events] == ["open"]
    site.play(ONE_YEAR_LATER, ONE_YEAR_LATER + DAY_MS)
    assert [(number, event) for _, number, event in site.events] == [(0, "open"), (0, "resolve")]
    site.play(ONE_YEAR_LATER + DAY_MS, ONE_YEAR_LATER + DAY_MS + 2 * HOUR_MS, broken_first_page)
    assert [event for _, _, event in site.events] == ["open", "resolve", "open"]


@pytest.mark.parametrize(("silent_blocks", "kept"), [(7 * 24, True), (7 * 24 + 1, False)])
def test_suspicion_is_forgotten_after_a_silence_longer_than_the_memory(
    silent_blocks: int, kept: bool
) -> None:
    page = PageState(block=0, wealth=(7.0, 7.0, 7.0), gain=(0.5, 0.5, 0.5), variance=1.0)
    begin_block(DetectorSettings(), SiteState(), TemplateState(), page, silent_blocks)
    assert (page.wealth[0] > 7.0) == kept
    assert (page.wealth == (0.0, 0.0, 0.0)) != kept


@pytest.mark.parametrize("at_ms", [0, BEGINNING // 1000, BEGINNING, BEGINNING * 100, 253_402_300_740_000])
def test_any_clock_gives_the_same_verdicts(at_ms: int) -> None:
    start = at_ms // DAY_MS * DAY_MS
    site = Site(pages=2).play(start, start + DAY_MS)
    reference = Site(pages=2).play(BEGINNING, ONE_DAY_LATER)
    assert site.verdict == reference.verdict


def test_a_late_minute_does_not_close_the_block_that_runs() -> None:
    site = Site(pages=1).play(BEGINNING, BEGINNING + HOUR_MS + 5 * MINUTE_MS)
    page = site.states[0]
    block, variance = page.block, page.variance
    observe(site.settings, site.site, site.template, page, [(0.0, 1, 0)], BEGINNING + 59 * MINUTE_MS)
    assert page.block == block
    assert page.variance > variance


def test_one_flood_of_stalls_is_tempered_and_does_not_excuse_the_other_pages() -> None:
    site = Site(pages=4).play(BEGINNING, TWO_DAYS_LATER)
    before = [site.site.common.residual, site.template.common.residual]
    verdict = observe(
        site.settings, site.site, site.template, site.states[0], [(logit(0.25), 5000, 5000)], TWO_DAYS_LATER
    )
    assert verdict.event == "open"
    # The evidence is bounded by the noise between hours: twenty times the flood says hardly more.
    other = Site(pages=4).play(BEGINNING, TWO_DAYS_LATER)
    greater = observe(
        other.settings,
        other.site,
        other.template,
        other.states[0],
        [(logit(0.25), 100_000, 100_000)],
        TWO_DAYS_LATER,
    )
    assert greater.evidence < 1.1 * verdict.evidence
    after = [site.site.common.residual, site.template.common.residual]
    assert after == pytest.approx(before, rel=0.1, abs=1.0)
    site.play(TWO_DAYS_LATER + MINUTE_MS, TWO_DAYS_LATER + 12 * HOUR_MS)
    assert {number for _, number, _ in site.events} == {0}
    assert site.states[0].alert is None


def test_the_page_itself_is_left_out_of_its_common_movement() -> None:
    settings, site, template = DetectorSettings(), SiteState(), TemplateState()
    pages = [PageState(), PageState()]
    for minute in range(30):
        observe(settings, site, template, pages[0], [(0.0, 10, 6)], BEGINNING + minute * MINUTE_MS)
        observe(settings, site, template, pages[1], [(0.0, 10, 5)], BEGINNING + minute * MINUTE_MS)
    now_ms = BEGINNING + 30 * MINUTE_MS
    assert abs(common_movement(settings, site, template, pages[0], now_ms)) < 1e-9
    assert common_movement(settings, site, template, pages[1], now_ms) > 0.1


minutes_of_cells = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 30 * DAY_MS // MINUTE_MS),
        st.lists(
            st.tuples(st.floats(-50, 50), st.integers(1, 10_000), st.floats(0, 1)), min_size=1, max_size=3
        ),
    ),
    max_size=60,
)


@given(minutes_of_cells)
def test_serialise_and_resume_at_every_step_equals_an_uninterrupted_run(
    minutes: list[tuple[int, int, list[tuple[float, int, float]]]],
) -> None:
    settings = DetectorSettings(warm_ms=0, newborn_after_ms=HOUR_MS)
    whole = [PageState(), PageState(), PageState(), TemplateState(), SiteState()]
    resumed = [PageState(), PageState(), PageState(), TemplateState(), SiteState()]
    for page, minute, shares in sorted(minutes, key=lambda row: row[1]):
        cells = [(x, n, int(n * share)) for x, n, share in shares]
        verdicts = []
        resumed = [msgspec.json.decode(msgspec.json.encode(r), type=type(r)) for r in resumed]
        for records in (whole, resumed):
            template, site, state = records[3], records[4], records[page]
            assert isinstance(template, TemplateState)
            assert isinstance(site, SiteState)
            assert isinstance(state, PageState)
            at_ms = BEGINNING + minute * MINUTE_MS
            verdicts.append(observe(settings, site, template, state, cells, at_ms))
        assert verdicts[0] == verdicts[1]
        assert all(math.isfinite(v) for v in (verdicts[0].evidence, verdicts[0].expected))
    assert msgspec.json.encode(whole) == msgspec.json.encode(resumed)


@given(minutes_of_cells)
def test_carried_evidence_is_bounded_whatever_comes(
    minutes: list[tuple[int, int, list[tuple[float, int, float]]]],
) -> None:
    settings, site, template, page = DetectorSettings(), SiteState(), TemplateState(), PageState()
    for _, minute, shares in sorted(minutes, key=lambda row: row[1]):
        cells = [(x, n, int(n * share)) for x, n, share in shares]
        observe(settings, site, template, page, cells, BEGINNING + minute * MINUTE_MS)
    assert all(0.0 <= w <= settings.wealth_cap for w in page.wealth)
    assert 0.0025 <= page.noise_variance <= 1.0
    assert len(msgspec.json.encode(page)) < 1000


def test_a_settled_page_learns_nothing_from_a_suspicious_block_and_a_young_one_does() -> None:
    settings, site, template = DetectorSettings(), SiteState(), TemplateState()

    def suspicious(information: float) -> PageState:
        page = PageState(block=0, information=information, residual=30.0, variance=25.0, wealth=(9.0,) * 3)
        begin_block(settings, site, template, page, 1)
        return page

    assert suspicious(26.0).effect == 0.0
    assert suspicious(25.0).effect > 0.0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"block_ms": 0}, "detector: block_ms (0) must be greater than 0"),
        ({"prior_variance": float("nan")}, "detector: prior_variance (nan) must be greater than 0"),
        ({"close": 10.0}, "detector: close (10.0) must be below threshold (10.0)"),
        (
            {"threshold_newborn": 12.0},
            "detector: threshold_newborn (12.0) must be above close (4.0) and below 12.0",
        ),
    ],
)
def test_a_bad_setting_is_one_clear_line(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=r"^detector: ") as error:
        msgspec.structs.replace(DetectorSettings(), **wrong)
    assert str(error.value) == message
