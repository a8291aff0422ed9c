"""Site minutes: what the pages of a site share in a minute, looked up and put once for all of them."""

from __future__ import annotations

from streams.blame import Blame
from streams.calibrations import Calibrated
from streams.evidence import DetectorSettings
from streams.minute_scopes import MinuteScopes
from streams.page_records import (
    ScopesMinute,
    TemplateRecord,
    hour_of_week,
    next_score,
    regressions_of,
    site_of,
)
from streams.states import KeyedState
from streams.visitors import SEPARATOR


class SiteMinute:
    """Records of a site while pages of one of its minutes are handled; `put` them when they are.

    Nothing else may be handled in between, for what has been looked up would not know of it.

    Parameters
    ----------
    state
        Where they are.
    site, minute_ms, due_ms
        Which minute, by its start (ms), and when it was due (event time, ms).
    score_every_ms
        See `Settings`.

    Attributes
    ----------
    of_site, regressions, blame
        Records of the site.
    scopes, crossed
        Counts by scope, and pages that may have an alert; see `ScopesMinute`.
    hour, score_ms
        Hour of the week, and when pages that change now are scored.
    is_usual
        Whether what happens now is the usual, from which can be learned.
    """

    def __init__(
        self, state: KeyedState, site: str, minute_ms: int, due_ms: int, score_every_ms: int
    ) -> None:
        self.site = site
        self.minute_ms = minute_ms
        self.due_ms = due_ms
        self.of_site = site_of(state, site)
        self.regressions = regressions_of(state, site)
        self.blame = Blame(state, site)
        self.is_usual = self.blame.teaches(minute_ms)
        self.hour = hour_of_week(minute_ms)
        self.score_ms = next_score(self.of_site, due_ms, score_every_ms)
        self.page_prefix = f"p{site}{SEPARATOR}"
        self._state = state
        self._scopes_key = f"w{site}{SEPARATOR}{minute_ms:015d}"
        self._scopes: ScopesMinute = state.get(self._scopes_key) or ScopesMinute(site, minute_ms)
        self.scopes = MinuteScopes(self._scopes.scopes)
        self.crossed = self._scopes.crossed
        self._templates: dict[str, TemplateRecord] = {}
        self._detector: DetectorSettings | None = None

    def template(self, name: str) -> TemplateRecord:
        """Record of a template that is known."""
        record = self._templates.get(name)
        if record is None:
            record = self._templates[name] = self._state.get(f"t{self.site}{SEPARATOR}{name}")
        return record

    def detector(self, detectors: Calibrated) -> DetectorSettings:
        """How pages are judged in this minute. A minute without views sets no threshold anew."""
        if self._detector is None:
            self._detector = detectors.settings(self.of_site.calibration, self.minute_ms)
        return self._detector

    def put(self) -> None:
        """Keep the records, if any page has been handled."""
        if not self._templates:
            return
        put, site = self._state.put, self.site
        self._scopes.scopes = self.scopes.counts()
        put(self._scopes_key, self._scopes, self.due_ms)
        for name, record in self._templates.items():
            put(f"t{site}{SEPARATOR}{name}", record)
        put(f"r{site}", self.regressions)
        put(f"s{site}", self.of_site, self.of_site.score_ms)
