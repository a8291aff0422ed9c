"""Blame: one fault moves pages, their templates, sources, devices and the site; and it is one of them.

A page is to blame unless what moves is wider; a scope unless it is a page or a narrower scope in it, or the site
around it. As long as that is in doubt nobody is blamed, for evidence grows by the minute.
"""

from __future__ import annotations

from typing import cast

from schemas.dead_end_alerts import AlertScope
from streams.alerts import Finding, Price, Subject
from streams.causes import cause_of
from streams.empirical_nulls import CreditScore, null_spread_of, score
from streams.evidence import DecayedSums, clear_evidence
from streams.order_feeds import FEED
from streams.page_records import (
    PageRecord,
    ScopeRecord,
    ScopesRecord,
    SiteRecord,
    Sizes,
    TemplateRecord,
    final_exits_of,
    site_of,
)
from streams.scopes import FIRST_VIEW, PRIOR, SITE, Place, outside_of, place_of
from streams.settings import HOUR_MS, MINUTE_MS
from streams.states import KeyedState
from streams.symptoms import Habits, MinuteCounts, Suspicion, change_of
from streams.visitors import SEPARATOR

RECENT_HALF_LIFE_MS = 10 * MINUTE_MS
"""Of the sums that tell where visitors are lost just now."""
CERTAIN = 20.0
"""Evidence beyond which an alert waits no longer for it to show where the fault is."""
ACCOUNTED, LATELY_MS = 0.5, 2 * HOUR_MS
"""Where pages with an alert lose this part of what a scope has lost lately, they are to blame."""
NEARLY_ALL = 0.9
"""A scope with this part of the site's variance can't be told from it: the site stands for both."""
HOLD_MS = 12 * HOUR_MS
"""So long a wider scope that has an alert holds back all its pages, and one that is suspected what is learned of
all; after that it is how things are now, and whatever else breaks must be seen again."""
PAGE_OUTSIDE_ABOVE, PAGE_PRIOR = 0.4, 2.0
"""Part of a page's own logit: what moves less around it is not what moves the page; and variance that draws that
logit towards zero."""
MAX_SUSPECTS, MAX_WORST = 200, 5


def add_recent(of: PageRecord | ScopeRecord, counts: MinuteCounts, minute_ms: int) -> None:
    """Add a minute to what was lost lately."""
    of.recent.add(counts.stalls - counts.expected, counts.variance, minute_ms, RECENT_HALF_LIFE_MS)


def recent(of: PageRecord | ScopeRecord, at_ms: int) -> DecayedSums:
    """Give what was lost lately, as of a time; the record stays as it is."""
    return of.recent.as_of(at_ms, RECENT_HALF_LIFE_MS)


def covers(scope: str, template: str) -> bool:
    """Whether pages of a template have views in a scope; all have of every source and device.

    >>> covers("device:mobile", "help"), covers("template:help", "help"), covers("template:cart", "help")
    (True, True, False)
    """
    return scope == f"template:{template}" or not scope.startswith("template:")


class Blame:
    """What is suspected at a site.

    Attributes
    ----------
    wide
        Record of the site's wider scopes; `put` it when it has changed.
    """

    def __init__(self, state: KeyedState, site: str) -> None:
        self._state = state
        self._site = site
        self.wide: ScopesRecord = state.get(f"h{site}") or ScopesRecord()

    def put(self) -> None:
        """Keep the record."""
        self._state.put(f"h{self._site}", self.wide)

    def page_key(self, page: str) -> str:
        """State key of a page."""
        return f"p{self._site}{SEPARATOR}{page}"

    def scope_key(self, scope: str) -> str:
        """State key of a scope."""
        return f"g{self._site}{SEPARATOR}{scope}"

    def page(self, page: str) -> PageRecord:
        """Record of a page that is known."""
        return cast(PageRecord, self._state.get(self.page_key(page)))

    def scope(self, scope: str) -> ScopeRecord:
        """Record of a scope that is known."""
        return cast(ScopeRecord, self._state.get(self.scope_key(scope)))

    def suspect(self, page: str, at_ms: int) -> bool:
        """Note a page; where there are too many, forget those that lose fewest. Tell whether it is new."""
        suspects = self.wide.suspects
        if page in suspects:
            return False
        if len(suspects) >= MAX_SUSPECTS:
            losses = sorted(
                ((recent(self.page(name), at_ms).residual, name) for name in suspects), reverse=True
            )
            self.wide.suspects = suspects = [name for _, name in losses[: MAX_SUSPECTS // 2]]
        suspects.append(page)
        return True

    def holds(self, at_ms: int) -> bool:
        """Tell whether a wider scope is suspected, and has not been for long."""
        since_ms = self.wide.since_ms
        return since_ms is not None and at_ms - since_ms < HOLD_MS

    def teaches(self, at_ms: int) -> bool:
        """Tell whether what happens now is the usual, from which can be learned."""
        return not self.holds(at_ms) and not self.wide.feed.holds(at_ms)

    def are_orders(self, suspicion: Suspicion) -> bool:
        """Tell whether what is lost are orders of which nothing is heard just now."""
        feed = self.wide.feed
        return feed.is_suspected and feed.explains(suspicion)

    def is_feed(self) -> bool:
        """Tell whether the feed of orders is to blame for those that are missing, and nothing that loses more."""
        wide = self.wide
        suspected = [self.page(page).suspicion for page in {*wide.suspects, *wide.alerting}]
        suspected += [self.scope(scope).suspicion for scope in {*wide.watched, *wide.open}]
        others = max(
            (other.missing_orders for other in suspected if not wide.feed.explains(other)), default=0.0
        )
        return others < ACCOUNTED * wide.feed.suspicion.missing_orders

    def watch(self, scope: str, is_watched: bool, at_ms: int) -> None:
        """Note whether there is evidence against a scope."""
        wide = self.wide
        if is_watched != (scope in wide.watched):
            (wide.watched.append if is_watched else wide.watched.remove)(scope)
            if not wide.watched:
                wide.since_ms = None
            elif wide.since_ms is None:
                wide.since_ms = at_ms

    def is_page(self, record: PageRecord) -> bool:
        """Tell whether a page is to blame for what it loses, and no wider scope."""
        at_ms, template = record.recent.at_ms, record.template
        if self.are_orders(record.suspicion):
            return False
        if self.holds(at_ms) and any(covers(scope, template) for scope in self.wide.open):
            return False
        mine, change = recent(record, at_ms), change_of(record.suspicion)
        # Of a page with few views the last minutes tell little.
        moved = max(
            mine.residual / (mine.variance + PRIOR),
            0.0 if change is None else change.excess / (change.variance + PAGE_PRIOR),
        )
        for scope in self.wide.watched:
            if not covers(scope, template):
                continue
            wider = self.scope(scope)
            around = [outside_of(mine, recent(wider, at_ms))]
            if change is not None:
                # What began this minute stands out in a page at once, and in the last minutes of a scope hardly.
                theirs = wider.suspicion.sums_since(change.at_ms)
                around.append(outside_of(DecayedSums(change.excess, change.variance), theirs))
            if any(outside - error > PAGE_OUTSIDE_ABOVE * moved for outside, error in around):
                return False
        return True

    def is_scope(self, scope: str, evidence: float) -> bool:
        """Tell whether a scope is to blame: no page or narrower scope, and not the whole site."""
        record = self.scope(scope)
        # Of a source nobody knows how many orders it brings.
        if self.are_orders(record.suspicion if scope.startswith("template:") else self.wide.feed.suspicion):
            return False
        at_ms = record.recent.at_ms
        mine = recent(record, at_ms)
        is_held = bool(self.wide.open) and self.holds(at_ms)
        if is_held or mine.residual <= 0.0:  # then what was before still outweighs what is now
            return False
        if self.is_accounted_for(scope, record):
            return False
        doubtful: set[Place] = {"inside"} if evidence > CERTAIN else {"inside", "unknown"}
        for page in self.wide.suspects:
            of_page = self.page(page)
            theirs = recent(of_page, at_ms)
            if (
                theirs.residual > 0.0
                and covers(scope, of_page.template)
                and place_of(theirs, mine) in doubtful
            ):
                return False
        whole = mine if scope == SITE else recent(self.scope(SITE), at_ms)
        if scope != SITE:
            place = place_of(mine, whole)
            is_sure = place == "inside" or (place == "unknown" and evidence > CERTAIN)
            return is_sure and mine.variance <= NEARLY_ALL * whole.variance
        for other in self.wide.known:
            theirs = recent(self.scope(other), at_ms)
            is_part = theirs.residual > 0.0 and theirs.variance <= NEARLY_ALL * whole.variance
            if is_part and place_of(theirs, whole) in doubtful:
                return False
        return True

    def is_accounted_for(self, scope: str, record: ScopeRecord) -> bool:
        """Tell whether what a scope has lost lately is mostly lost on pages that have an alert.

        Where there are few views, what was lost in the last minutes tells too little, and evidence grows for hours.
        """
        since_ms = record.suspicion.since_ms
        if since_ms is None or not self.wide.alerting:
            return False
        since_ms = max(since_ms, record.recent.at_ms - LATELY_MS)
        share = 1.0
        if not scope.startswith("template:") and scope != SITE:
            whole = self.scope(SITE).recent.variance
            share = min(1.0, record.recent.variance / whole) if whole > 0.0 else 1.0
        on_pages = 0.0
        for page in self.wide.alerting:
            of_page = self.page(page)
            if covers(scope, of_page.template):
                on_pages += max(0.0, of_page.suspicion.sums_since(since_ms).residual)
        return share * on_pages > ACCOUNTED * record.suspicion.sums_since(since_ms).residual

    def release(self, page: str) -> None:
        """Take a page off those that have an alert, for it is over.

        What wider scopes have lost on it is forgotten: they would alert just when it is mended.
        """
        for scope in self.wide.known:
            record = self.scope(scope)
            if record.alert is None and self.is_accounted_for(scope, record):
                clear_evidence(record.state)
                record.suspicion = Suspicion()
                self._state.touch([self.scope_key(scope)])
        self.wide.alerting.remove(page)

    def page_subject(self, page: str, record: PageRecord) -> Subject:
        """Name what an alert about a page is about."""
        return Subject(self._site, "page", page, page, record.template)

    def scope_subject(self, scope: str, at_ms: int) -> Subject:
        """Name a scope, and of the pages under suspicion the one that loses most there."""
        kind, _, value = scope.partition(":")
        page = next(iter(self._worst(scope, at_ms)), "")
        template = self.page(page).template if page else value if kind == "template" else ""
        return Subject(self._site, cast(AlertScope, kind), value, page, template)

    def page_finding(self, page: str, record: PageRecord) -> Finding:
        """Tell what is known of a page that an alert is about."""
        at_ms, template = record.recent.at_ms, record.template
        of_template: TemplateRecord = self._state.get(f"t{self._site}{SEPARATOR}{template}")
        usual, own = of_template.habits, record.habits
        # What people do on pages is alike on pages that are; where they come from is not.
        habits = Habits(own.views, usual.stalls, usual.idle, own.orphans, sources=own.sources)
        elsewhere = 0.0
        if FIRST_VIEW in self.wide.known:
            whole, mine = recent(self.scope(FIRST_VIEW), at_ms), recent(record, at_ms)
            rest = max(0.0, whole.variance - mine.variance)
            elsewhere = (whole.residual - mine.residual) / (rest + PRIOR)
        cause = cause_of("page", template, record.suspicion, habits, 0.0, elsewhere)
        final = final_exits_of(self._state, self._site, page, record)
        subject, price = self.page_subject(page, record), self.price(template)
        return Finding(subject, price, cause, [], final=final, harm=self._harm(record))

    def _harm(self, record: PageRecord) -> CreditScore | None:
        """Give a page's purchase credit if its interval is below zero, as it would be scored now."""
        # The spread of all pages only widens the interval, and takes the longest to find.
        if score(record.credit).credit_high >= 0.0:
            return None
        sizes: Sizes | None = self._state.get(f"z{self._site}")
        found = score(record.credit, null_spread_of({} if sizes is None else sizes.pages))
        return found if found.credit_high < 0.0 else None

    def scope_finding(self, scope: str, at_ms: int) -> Finding:
        """Tell what is known of a wider scope that an alert is about."""
        record, whole = self.scope(scope), self.scope(SITE)
        kind, _, value = scope.partition(":")
        template = value if kind == "template" else ""
        share = record.habits.views / whole.habits.views if whole.habits.views else 0.0
        cause = cause_of(kind, template, record.suspicion, record.habits, share, 0.0)
        subject = self.scope_subject(scope, at_ms)
        return Finding(subject, self.scope_price(scope), cause, self._worst(scope, at_ms))

    def feed_finding(self) -> Finding:
        """Tell what is known of missing orders: who did not hear of them has not lost them."""
        feed = self.wide.feed
        subject = Subject(self._site, "site", FEED.partition(":")[2], "", "")
        return Finding(subject, Price(0.0, 0.0, None), feed.cause, [], feed.suspicion.since_ms)

    def _worst(self, scope: str, at_ms: int) -> list[str]:
        """Give the suspected pages that lose most in a scope, at most five."""
        losses = []
        for page in self.wide.suspects:
            record = self.page(page)
            loss = recent(record, at_ms).residual
            if loss > 0.0 and covers(scope, record.template):
                losses.append((-loss, page))
        return [page for _, page in sorted(losses)[:MAX_WORST]]

    def price(self, template: str | None = None) -> Price:
        """Tell what a visitor is worth who goes on from pages of a template, or anywhere."""
        of_site = site_of(self._state, self._site)
        of: TemplateRecord | SiteRecord = of_site
        if template is not None:
            of = self._state.get(f"t{self._site}{SEPARATOR}{template}")
        money = of_site.money
        return Price(of.purchased / of.went_on if of.went_on else 0.0, money.average_minor, money.currency)

    def scope_price(self, scope: str) -> Price:
        """Give the same for a scope."""
        kind, _, value = scope.partition(":")
        return self.price(value if kind == "template" else None)
