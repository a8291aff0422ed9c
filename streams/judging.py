"""Judging: what a minute of a page says, and then of the wider scopes that it is part of.

Minutes come in canonical order: all pages of a minute, then its scopes. One fault is one alert: a page is not
blamed for what has befallen all of its kind, nor a scope for what one page has done to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import log

from streams.alerts import QUIET_MS, Price, Subject, open_alert
from streams.detection import Event, Verdict, observe
from streams.evidence import (
    DecayedSums,
    DetectorSettings,
    SiteState,
    TemplateState,
    clear_evidence,
)
from streams.following import OVER, follow, say
from streams.page_records import (
    Crossed,
    OpenAlert,
    PageRecord,
    ScopeRecord,
    ScopesMinute,
    ScopesRecord,
    SiteRecord,
    Suspicion,
    TemplateRecord,
    WaitingMinute,
    context_names,
    hour_of_week,
    next_score,
    page_of,
    regressions_of,
    site_of,
)
from streams.scopes import CERTAIN, MARGINS, NEARLY_ALL, SITE, Place, add_cells, detector_of, place_of
from streams.settings import HOUR_MS, MINUTE_MS
from streams.stages import Context, Output
from streams.states import KeyedState
from streams.visitors import SEPARATOR

SUSPECT = 2.0
"""Evidence from which a page may be what moves a wider scope."""
MAX_SUSPECTS = 200
RECENT_HALF_LIFE_MS = 10 * MINUTE_MS
"""Of the sums that tell where visitors are lost just now."""
PARTS_MS = HOUR_MS
"""Alerts of pages that are not older when a wider one opens are taken for parts of it."""


class Judge:
    """Decides on alerts.

    Parameters
    ----------
    detector
        How pages are judged.
    score_every_ms
        See `Settings`.
    """

    def __init__(self, detector: DetectorSettings, score_every_ms: int) -> None:
        self._detector = detector
        self._detectors = {kind: detector_of(kind, detector) for kind in MARGINS}
        self._score_every_ms = score_every_ms

    # ---- pages

    def minute(self, context: Context, waiting: WaitingMinute, due_ms: int) -> Iterable[Output]:
        """Handle a minute of a page; its scopes are handled when all pages of the minute are."""
        state, site, minute_ms = context.state, waiting.site, waiting.minute_ms
        of_site = site_of(state, site)
        page, record = page_of(state, of_site, site, waiting.page, waiting.template)
        template = record.template
        template_key = f"t{site}{SEPARATOR}{template}"
        of_template: TemplateRecord = state.get(template_key)
        regressions = regressions_of(state, site)
        stalls, hour = regressions.stalls, hour_of_week(minute_ms)
        predict, add = stalls.predict, stalls.add
        # What befalls all would be learned as everybody's habit within the hour.
        learns = not _wide_of(state, site).watched
        cells: list[tuple[float, int, int]] = []
        views = stalled = 0
        for cell in waiting.cells:
            predicted = predict((template, cell.source, cell.device, cell.first_view, hour), context_names)
            cells.append((predicted.logit, cell.views, cell.stalls))
            if learns:
                add(predicted, cell.views, cell.stalls)
            views += cell.views
            stalled += cell.stalls
        stalls.settle()
        scopes_key = f"w{site}{SEPARATOR}{minute_ms:015d}"
        scopes: ScopesMinute = state.get(scopes_key) or ScopesMinute(site, minute_ms)
        logits = [logit for logit, _, _ in cells]
        counts = add_cells(
            scopes.scopes, template, record.state.effect, zip(logits, waiting.cells, strict=True)
        )
        record.recent.add(counts.stalls - counts.expected, counts.variance, minute_ms, RECENT_HALF_LIFE_MS)
        state.put(scopes_key, scopes, due_ms)
        verdict = observe(self._detector, of_site.state, of_template.state, record.state, cells, minute_ms)
        record.views += views
        record.stalls += stalled
        if verdict.event in ("open", "open_new"):
            # Whether it is the page or something wider shows when the whole minute has been looked at.
            scopes.crossed[page] = Crossed(verdict.event, max(verdict.evidence, verdict.evidence_newborn))
            record.state.alert = None
        outputs = self._page(
            context, of_site, of_template, site, page, record, (views, stalled), verdict, due_ms
        )
        state.put(f"p{site}{SEPARATOR}{page}", record, next_score(of_site, due_ms, self._score_every_ms))
        state.put(template_key, of_template)
        state.put(f"r{site}", regressions)
        state.put(f"s{site}", of_site, of_site.score_ms)
        return outputs

    def _page(
        self,
        context: Context,
        of_site: SiteRecord,
        of_template: TemplateRecord,
        site: str,
        page: str,
        record: PageRecord,
        counts: tuple[int, int],
        verdict: Verdict,
        due_ms: int,
    ) -> Iterable[Output]:
        state = context.state
        if max(verdict.evidence, verdict.evidence_newborn) > SUSPECT:
            wide = _wide_of(state, site)
            if page not in wide.suspects:
                self._suspect(state, wide, site, page, record.recent.at_ms)
                state.put(f"h{site}", wide)
        subject = Subject(site, "page", page, page, record.template)
        event = None if verdict.event in ("open", "open_new") else verdict.event
        status = follow(context, subject, record, counts, verdict, event, due_ms)
        if status is None:
            return ()
        if status in OVER:
            wide = _wide_of(state, site)
            wide.alerting.remove(page)
            state.put(f"h{site}", wide)
        return (say(context, subject, record, status, due_ms, _price(of_site, of_template)),)

    def _suspect(self, state: KeyedState, wide: ScopesRecord, site: str, page: str, at_ms: int) -> None:
        """Note a page; where there are too many, forget those that lose nobody any more."""
        if len(wide.suspects) >= MAX_SUSPECTS:
            losses = [
                (self._recent(state.get(f"p{site}{SEPARATOR}{name}"), at_ms).residual, name)
                for name in wide.suspects
            ]
            losses.sort(reverse=True)
            wide.suspects = [name for _, name in losses[: MAX_SUSPECTS // 2]]
        wide.suspects.append(page)

    @staticmethod
    def _recent(of: PageRecord | ScopeRecord, at_ms: int) -> DecayedSums:
        return of.recent.as_of(at_ms, RECENT_HALF_LIFE_MS)

    def _is_page(self, state: KeyedState, wide: ScopesRecord, site: str, record: PageRecord) -> bool:
        """Tell whether a page is to blame, and no wider scope."""
        at_ms, template = record.recent.at_ms, f"template:{record.template}"
        if any(_covers(name, template) for name in wide.open):
            return False
        mine = self._recent(record, at_ms)
        for name in wide.watched:
            if _covers(name, template):
                of_scope: ScopeRecord = state.get(f"g{site}{SEPARATOR}{name}")
                if place_of(mine, self._recent(of_scope, at_ms)) == "outside":
                    return False
        return True

    # ---- wider scopes

    def scopes(self, context: Context, minute: ScopesMinute, due_ms: int) -> Iterable[Output]:
        """Handle a minute of all wider scopes, when its pages have been handled."""
        state, site = context.state, minute.site
        wide = _wide_of(state, site)
        judged: list[tuple[str, ScopeRecord, Verdict]] = []
        for name, counts in sorted(minute.scopes.items()):
            kind = name.partition(":")[0]
            record: ScopeRecord | None = state.get(f"g{site}{SEPARATOR}{name}")
            if record is None:
                record = ScopeRecord()
                wide.known.append(name)
            pool = wide.pools.setdefault(kind, SiteState())
            record.recent.add(
                counts.stalls - counts.expected, counts.variance, minute.minute_ms, RECENT_HALF_LIFE_MS
            )
            cell = (log(counts.expected / (counts.views - counts.expected)), counts.views, counts.stalls)
            verdict = observe(
                self._detectors[kind], pool, TemplateState(), record.state, [cell], minute.minute_ms
            )
            judged.append((name, record, verdict))
            state.put(f"g{site}{SEPARATOR}{name}", record)
            if verdict.watched != (name in wide.watched):
                (wide.watched.append if verdict.watched else wide.watched.remove)(name)
        outputs: list[Output] = []
        mended = False
        for name, record, verdict in judged:
            event: Event | None = verdict.event
            if event in ("open", "open_new") and (
                mended or not self._is_scope(state, wide, site, name, record, verdict.evidence)
            ):
                record.state.alert = event = None
            counts = minute.scopes[name]
            subject = self._subject(state, wide, site, name, minute.minute_ms)
            status = follow(context, subject, record, (counts.views, counts.stalls), verdict, event, due_ms)
            if status is None:
                continue
            price = self._wide_price(state, site, name)
            if status == "opened":
                wide.open.append(name)
                assert record.alert is not None
                outputs += self._withdraw_parts(context, wide, site, name, record.alert, due_ms)
            elif status in OVER:
                wide.open.remove(name)
                self._clear_parts(state, wide, site, name)
                mended = True
            outputs.append(say(context, subject, record, status, due_ms, price))
            state.put(f"g{site}{SEPARATOR}{name}", record)
        if not mended:
            for page, crossed in minute.crossed.items():
                outputs += self._cross(context, wide, site, page, crossed, due_ms)
        state.put(f"h{site}", wide)
        return outputs

    def _cross(
        self, context: Context, wide: ScopesRecord, site: str, page: str, crossed: Crossed, due_ms: int
    ) -> Iterator[Output]:
        """Open the alert of a page whose evidence is great enough, if it is the page."""
        state = context.state
        key = f"p{site}{SEPARATOR}{page}"
        record: PageRecord = state.get(key)
        if not self._is_page(state, wide, site, record):
            return
        subject = Subject(site, "page", page, page, record.template)
        record.state.alert = crossed.event
        record.alert = open_alert(subject, due_ms, crossed.evidence)
        state.touch([key])
        state.put(subject.key, record.alert, due_ms + QUIET_MS)
        wide.alerting.append(page)
        price = _price(site_of(state, site), state.get(f"t{site}{SEPARATOR}{record.template}"))
        yield say(context, subject, record, "opened", due_ms, price)

    def _is_scope(
        self,
        state: KeyedState,
        wide: ScopesRecord,
        site: str,
        name: str,
        record: ScopeRecord,
        evidence: float,
    ) -> bool:
        """Tell whether a scope is to blame: no page or narrower scope, and not the whole site."""
        at_ms = record.recent.at_ms
        mine = self._recent(record, at_ms)
        if wide.open or mine.residual <= 0.0:  # then what was before still outweighs what is now
            return False
        doubtful: set[Place] = {"inside"} if evidence > CERTAIN else {"inside", "unknown"}
        for page in wide.suspects:
            of_page: PageRecord = state.get(f"p{site}{SEPARATOR}{page}")
            theirs = self._recent(of_page, at_ms)
            is_part = theirs.residual > 0.0 and _covers(name, f"template:{of_page.template}")
            if is_part and place_of(theirs, mine) in doubtful:
                return False
        whole = self._recent(state.get(f"g{site}{SEPARATOR}{SITE}"), at_ms)
        if name != SITE:
            place = place_of(mine, whole)
            sure = place == "inside" or (place == "unknown" and evidence > CERTAIN)
            return sure and mine.variance <= NEARLY_ALL * whole.variance
        for other in wide.known:
            theirs = self._recent(state.get(f"g{site}{SEPARATOR}{other}"), at_ms)
            is_part = theirs.residual > 0.0 and theirs.variance <= NEARLY_ALL * whole.variance
            if is_part and place_of(theirs, whole) in doubtful:
                return False
        return True

    def _subject(self, state: KeyedState, wide: ScopesRecord, site: str, name: str, at_ms: int) -> Subject:
        """Name a scope, and of the pages under suspicion the one that loses most."""
        kind, _, value = name.partition(":")
        worst, page, template = 0.0, "", value if kind == "template" else ""
        if name in wide.open or name in wide.watched:
            for suspect in wide.suspects:
                record: PageRecord = state.get(f"p{site}{SEPARATOR}{suspect}")
                loss = self._recent(record, at_ms).residual
                if loss > worst and _covers(name, f"template:{record.template}"):
                    worst, page, template = loss, suspect, record.template
        return Subject(site, kind, value, page, template)  # type: ignore[arg-type]  # the kinds are those of the schema

    def _withdraw_parts(
        self, context: Context, wide: ScopesRecord, site: str, name: str, alert: OpenAlert, due_ms: int
    ) -> Iterator[Output]:
        """Withdraw young alerts of pages that are parts of what has opened now."""
        state = context.state
        of_site = site_of(state, site)
        for page in list(wide.alerting):
            record: PageRecord = state.get(f"p{site}{SEPARATOR}{page}")
            assert record.alert is not None
            if due_ms - record.alert.opened_ms > PARTS_MS or not _covers(name, f"template:{record.template}"):
                continue
            wide.alerting.remove(page)
            price = _price(of_site, state.get(f"t{site}{SEPARATOR}{record.template}"))
            subject = Subject(site, "page", page, page, record.template)
            yield say(context, subject, record, "withdrawn", due_ms, price, alert.alert_id)
            state.put(f"p{site}{SEPARATOR}{page}", record, next_score(of_site, due_ms, self._score_every_ms))

    @staticmethod
    def _clear_parts(state: KeyedState, wide: ScopesRecord, site: str, name: str) -> None:
        """Forget what pages and other scopes were suspected of while this one was to blame."""
        for other in wide.known:
            key = f"g{site}{SEPARATOR}{other}"
            of_scope: ScopeRecord = state.get(key)
            if of_scope.alert is None:
                clear_evidence(of_scope.state)
                of_scope.suspicion = Suspicion()
                state.touch([key])
        for page in wide.suspects:
            key = f"p{site}{SEPARATOR}{page}"
            record: PageRecord = state.get(key)
            if record.alert is None and _covers(name, f"template:{record.template}"):
                clear_evidence(record.state)
                record.suspicion = Suspicion()
                state.touch([key])

    def _wide_price(self, state: KeyedState, site: str, name: str) -> Price:
        of_site = site_of(state, site)
        kind, _, value = name.partition(":")
        return _price(of_site, state.get(f"t{site}{SEPARATOR}{value}") if kind == "template" else of_site)

    # ---- without views

    def quiet(self, context: Context, key: str, at_ms: int) -> Iterable[Output]:
        """Resolve an alert of which nothing has been seen for long, or look again when that may be so."""
        state = context.state
        site, _, rest = key[1:].partition(SEPARATOR)
        wide = _wide_of(state, site)
        is_wide = rest.startswith(SEPARATOR)
        name = rest.removeprefix(SEPARATOR)
        row = f"{'g' if is_wide else 'p'}{site}{SEPARATOR}{name}"
        record: PageRecord | ScopeRecord = state.get(row)
        alert = record.alert
        assert alert is not None  # whoever resolves it takes this deadline away
        if alert.seen_ms + QUIET_MS > at_ms:
            state.put(key, alert, alert.seen_ms + QUIET_MS)
            return ()
        of_site = site_of(state, site)
        if isinstance(record, PageRecord):
            subject = Subject(site, "page", name, name, record.template)
            price = _price(of_site, state.get(f"t{site}{SEPARATOR}{record.template}"))
            wide.alerting.remove(name)
        else:
            subject, price = (
                self._subject(state, wide, site, name, at_ms),
                self._wide_price(state, site, name),
            )
            wide.open.remove(name)
        said = say(context, subject, record, "resolved", at_ms, price)
        # Or the first view that comes would open it again on what was suspected days ago.
        clear_evidence(record.state)
        state.put(f"h{site}", wide)
        if is_wide:
            state.put(row, record)
        else:
            state.put(row, record, next_score(of_site, at_ms, self._score_every_ms))
            state.put(f"s{site}", of_site, of_site.score_ms)
        return (said,)


def _wide_of(state: KeyedState, site: str) -> ScopesRecord:
    """Record of a site's wider scopes; its caller puts it."""
    return state.get(f"h{site}") or ScopesRecord()


def _covers(name: str, template: str) -> bool:
    """Whether a page of a template has views in a scope; all have of every source and device."""
    return name == template or not name.startswith("template:")


def _price(of_site: SiteRecord, of: TemplateRecord | SiteRecord) -> Price:
    money = of_site.money
    return Price(of.purchased / of.went_on if of.went_on else 0.0, money.average_minor, money.currency)
