"""Closed sessions as purchase associations count them: credit, placebo, ways through the site, and revenue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from schemas.site_events import ExampleView, SessionCorrection, SessionExample
from streams.association_records import MAX_TEMPLATES, SiteAssociations, list_page, next_association
from streams.content_groups import group_reader
from streams.credits import (
    INFORMATION,
    FirstView,
    book_session,
    first_views,
    names_before,
)
from streams.page_records import GroupRecord, PageRecord, Regressions, SiteRecord, TemplateRecord
from streams.page_revenues import Step, book_revenue, passed_by
from streams.placebos import count_places, place_of
from streams.settings import HOUR_MS, Settings
from streams.states import KeyedState
from streams.transitions import DEAD_END, ELSEWHERE, PURCHASE, count_path
from streams.visitors import SEPARATOR


def views_before(views: Sequence[ExampleView], purchased_at: int | None) -> int | None:
    """How many views of a session came before its purchase, or with it; None without one."""
    if purchased_at is None:
        return None
    return sum(view.occurred_at <= purchased_at for view in views)


class CreditBook:
    """Books closed sessions; what it changes of pages is put by its caller.

    Parameters
    ----------
    settings
        See `Settings`.
    """

    def __init__(self, settings: Settings) -> None:
        self._every_ms = settings.associate_every_ms
        # A correction comes when the session's last event is at most the retention behind the watermark.
        self._keep_ms = settings.retention_ms + HOUR_MS
        self._has_groups = bool(settings.content_groups)
        self._group_of: Callable[[str], str | None] = group_reader(settings.content_groups)

    def session(
        self,
        state: KeyedState,
        example: SessionExample,
        regressions: Regressions,
        names: Mapping[str, str],
        records: Mapping[str, PageRecord],
    ) -> None:
        """Book a session by a human.

        Parameters
        ----------
        state, example
            The stage's, and the session.
        regressions
            Of the site; changed.
        names, records
            Page to the name that it goes by, and that to its record; records are changed.
        """
        site, views = example.site, example.views
        before = views_before(views, example.purchased_at)
        of_site: SiteAssociations = state.get(f"a{site}") or SiteAssociations()
        for name, record in records.items():
            if not record.listed:
                record.listed = True
                list_page(state, site, of_site, name)
                of_site.placebo.pages += record.template in INFORMATION
        purchased = before is not None
        shown = [names[view.page] for view in views]
        if self._has_groups:
            self._enter_groups(state, site, of_site, shown)
        known = first_views(
            [(name, view.template) for name, view in zip(shown, views, strict=True)],
            source=example.source,
            returning=example.returning,
            purchased_after=before,
        )
        chances = book_session(regressions.purchases, known, purchased=purchased)
        if chances:
            self._credit(state, site, known, chances, records, purchased)
            placebo = of_site.placebo
            place = place_of(placebo, example.session_id, len(known))
            if place is not None:
                placebo.credit.add(chances[place], purchased)
        count_places(of_site.placebo, known)
        chances = book_session(
            regressions.template_purchases, known, purchased=purchased, names=names_before, left_out=1
        )
        self._credit_templates(state, site, of_site, known, chances, purchased)
        end = PURCHASE if purchased else DEAD_END if example.exit.reason == "dead_end" else ELSEWHERE
        count_path(state, site, [(name, records[name].template) for name in shown[:before]], end)
        state.put(f"a{site}", of_site, next_association(of_site, example.due_ms, self._every_ms))

    def revenue(
        self,
        state: KeyedState,
        of_site: SiteRecord,
        session: SessionExample | SessionCorrection,
        names: Mapping[str, str],
        records: Mapping[str, PageRecord],
        score_ms: int,
    ) -> None:
        """Count the revenue of a session, or what a correction makes of it, once all its pages are put.

        Revenue in another currency than the site's first is left out, as everywhere.
        """
        site = session.site
        key = f"x{site}{SEPARATOR}{session.session_id}"
        if isinstance(session, SessionExample):
            left = session.exit
        else:
            counted = state.get(key)
            if counted is not None and session.removed is not None:
                book_revenue(state, site, counted, score_ms, -1)
                state.delete(key)
            if session.added is None:
                return
            left = session.added
        if session.is_bot or not left.orders or left.currency != of_site.money.currency:
            return
        views = session.views[: views_before(session.views, session.purchased_at)]
        found = [names[view.page] for view in views]
        steps = [Step(name, records[name].template, self._group(state, site, name)) for name in found]
        if steps:
            passed = passed_by(steps, left.revenue, left.orders)
            book_revenue(state, site, passed, score_ms)
            state.put(key, passed, session.due_ms + self._keep_ms)

    def _credit(
        self,
        state: KeyedState,
        site: str,
        views: Sequence[FirstView],
        chances: Sequence[float],
        records: Mapping[str, PageRecord],
        purchased: bool,
    ) -> None:
        """Add a session to the credits of its pages, and to that of each content group at its first page."""
        for view, p in zip(views, chances, strict=True):
            records[view.page].credit.add(p, purchased)
        if self._has_groups:
            first: dict[str, float] = {}
            for view, p in zip(views, chances, strict=True):
                group = self._group_of(view.page)
                if group is not None:
                    first.setdefault(group, p)
            for group, p in first.items():
                key = f"n{site}{SEPARATOR}{group}"
                record: GroupRecord = state.get(key)
                record.credit.add(p, purchased)
                state.put(key, record)

    def _enter_groups(
        self, state: KeyedState, site: str, of_site: SiteAssociations, pages: Sequence[str]
    ) -> None:
        """See that there is a record of each content group of a session's pages."""
        for group in dict.fromkeys(map(self._group_of, pages)):
            if group is not None and group not in of_site.groups:
                of_site.groups.append(group)
                state.put(f"n{site}{SEPARATOR}{group}", GroupRecord())

    @staticmethod
    def _credit_templates(
        state: KeyedState,
        site: str,
        of_site: SiteAssociations,
        views: Sequence[FirstView],
        chances: Sequence[float],
        purchased: bool,
    ) -> None:
        first: dict[str, float] = {}
        for view, p in zip(views, chances, strict=False):
            first.setdefault(view.known[0], p)
        for template, p in first.items():
            key = f"t{site}{SEPARATOR}{template}"
            record: TemplateRecord | None = state.get(key)
            # Of pages beyond those that are kept, the template may have no record.
            if record is not None:
                record.credit.add(p, purchased)
                if not record.listed and len(of_site.templates) < MAX_TEMPLATES:
                    record.listed = True
                    of_site.templates.append(template)
                state.put(key, record)

    def _group(self, state: KeyedState, site: str, page: str) -> str | None:
        """Content group of a page, as far as any session has been there before."""
        group = self._group_of(page)
        return None if group is None or state.get(f"n{site}{SEPARATOR}{group}") is None else group
