"""The board's pages: what is known, put into templates; whole pages, and the parts of them that change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from agents.board_hub import Hub
from agents.board_words import ACTIONS, CONTRASTS, DECIDED, REASONS, RULES, STATES, action_names, explained
from agents.summary_view import cause, minute, said_of, subject
from schemas.dead_end_alerts import DeadEndAlert
from schemas.timestamps import format_ms
from streams.board import ShownAlert
from streams.board_courses import Lines, course_lines, history_lines
from streams.board_sankeys import sankey_of

FILES = Path(__file__).parent / "board_files"
ALERTS_SHOWN, DRIVING_SHOWN, PAGES_SHOWN = 100, 20, 50
"""So many at a time; a page says how many more there are."""


class Part(NamedTuple):
    """A part of a page that changes by itself.

    Attributes
    ----------
    key
        What it depends on: with the same key it is the same for whoever looks.
    html
        With an id, and told to take the place of what has the same id.
    within
        Id of the part that holds this one; where that is sent, this need not be.
    """

    key: str
    html: str
    within: str | None = None


class Pages:
    """Renders the board.

    Parameters
    ----------
    hub
        What is known.
    asks
        Whether a token is asked for, so that one can log out.
    """

    def __init__(self, hub: Hub, asks: bool = False) -> None:
        self._hub = hub
        self._asks = asks
        environment = Environment(
            loader=FileSystemLoader(FILES / "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
        )
        environment.filters.update(
            money=money, minute=minute, cause=cause, said=_said, number=_number, moment=_moment, tail=_tail
        )
        environment.globals.update(
            link=link,
            subject=_subject,
            hub=hub,
            asks=asks,
            REASONS=REASONS,
            STATES=STATES,
            ACTIONS=ACTIONS,
            DECIDED=DECIDED,
        )
        self._environment = environment
        self._rows: dict[str, tuple[str, str]] = {}

    def index(self, site: str | None, parts: Mapping[str, Part], seen: str = "") -> str:
        """Render the first page, of one site or of all, with its parts; `seen` names what it is given with."""
        rows = {name: part.html for name, part in parts.items()}
        return self._page(
            "index.html", site, parts=rows, live=link("/live", view="index", site=site, seen=seen)
        )

    def index_parts(self, site: str | None) -> dict[str, Part]:
        """Render what changes on the first page, by id."""
        board = self._hub.board
        shown = board.open_alerts(site)
        names = [f"alert-{one.alert.alert_id}" for one in shown[:ALERTS_SHOWN]]
        rows = {name: self._row(one) for name, one in zip(names, shown, strict=False)}
        minutes = board.traffic.minutes(site)
        now_ms = board.traffic.newest_ms(site)
        traffic = [
            [slot.at_ms // 1000 for slot in minutes],
            [slot.views for slot in minutes],
            [slot.dead_ends for slot in minutes],
        ]
        totals = {
            "open": len(shown),
            "stake": _stakes(shown),
            "views": sum(slot.views for slot in minutes),
            "sessions": sum(slot.sessions for slot in minutes),
            "purchases": sum(slot.purchases for slot in minutes),
            "dead_ends": sum(slot.dead_ends for slot in minutes),
            "now": None if now_ms is None else minute(format_ms(now_ms)),
        }
        over = board.over_alerts(site)
        driving = board.driving(site)
        parts = {
            "banner": self.banner(),
            "totals": self._part("totals", totals=totals),
            "traffic": self._part("traffic", values=json.dumps(traffic, separators=(",", ":"))),
            "alerts": Part(
                " ".join(names) + f"|{len(shown)}|{self._hub.loading}",
                self._render("alerts", rows=[row.html for row in rows.values()], all=len(shown)),
            ),
            **rows,
            "undelivered": self._part("undelivered", notices=board.undelivered(site)),
            "over": self._part("over", over=over),
            "driving": self._part("driving", driving=driving[:DRIVING_SHOWN], all=len(driving)),
        }
        self._rows = {name: known for name, known in self._rows.items() if len(self._rows) < 5_000}
        return parts

    def alert(self, alert_id: str, form_key: str, parts: Mapping[str, Part], seen: str) -> str | None:
        """Render an alert's page with its parts; None where there is no such alert."""
        shown = self._hub.board.alert(alert_id)
        if shown is None:
            return None
        return self._page(
            "alert.html",
            shown.alert.site,
            shown=shown,
            parts={name: part.html for name, part in parts.items()},
            actions=action_names(shown.alert.status),
            form_key=form_key,
            live=link("/live", view="alert", id=alert_id, seen=seen),
        )

    def alert_parts(self, alert_id: str) -> dict[str, Part]:
        """Render what changes on an alert's page, by id."""
        parts = {"banner": self.banner()}
        shown = self._hub.board.alert(alert_id)
        if shown is None:
            return parts
        alert = shown.alert
        parts["state"] = self._part("state", shown=shown, alert=alert)
        parts["figures"] = self._part("figures", alert=alert)
        parts["course"] = self._part("course", alert=alert, values=course_values(alert))
        parts["evidence"] = self._part(
            "evidence", alert=alert, numbers=explained(alert.cause_numbers or {}), rule=RULES[alert.cause]
        )
        parts["leaving"] = self._part("leaving", groups=_groups(alert))
        parts["paths"] = self._part("paths", alert=alert)
        return parts

    def pages(self, site: str | None, text: str, start: int) -> str:
        """Render the list of pages that contain a text, from a place on."""
        return self._page("pages.html", site, text=text, **self._list(site, text, start))

    def page_rows(self, site: str | None, text: str, start: int) -> str:
        """Render only the list itself."""
        return self._render("page_list", site=site, text=text, **self._list(site, text, start))

    def page(self, site: str, page: str, parts: Mapping[str, Part], seen: str = "") -> str | None:
        """Render a page's page with its parts; None where nothing is known of it."""
        if len(parts) == 1:
            return None
        return self._page(
            "page.html",
            site,
            page=page,
            parts={name: part.html for name, part in parts.items()},
            live=link("/live", view="page", site=site, id=page, seen=seen),
        )

    def page_parts(self, site: str, page: str) -> dict[str, Part]:
        """Render what changes on a page's page, by id; the banner alone where nothing is known of it."""
        parts = {"banner": self.banner()}
        board = self._hub.board
        score, credit = board.score(site, page), board.credit(site, page)
        alerts = board.alerts_of(site, page)
        neighbours = board.visits.neighbours(site, page)
        if score is None and credit is None and not alerts and not neighbours.views:
            return parts
        points = board.history(site, page).points()
        values = values_of(history_lines(points)) if len(points) > 1 else "null"
        parts["totals"] = self._part("page_totals", site=site, score=score)
        parts["alerts"] = self._part("page_alerts", alerts=alerts)
        parts["history"] = self._part("page_history", points=points, values=values)
        parts["points"] = self._part("page_points", points=points)
        parts["reasons"] = self._part("page_reasons", score=score)
        parts["credit"] = self._part("page_credit", credit=credit, placebo=board.placebo(site))
        # Of a busy page they change with every session: once a minute of the shop is often enough to be read.
        key = f"{board.traffic.newest_ms(site)}|{self._hub.loading}"
        for name, values_ in (
            ("sankey", {"sankey": sankey_of(neighbours), "visits": len(board.visits)}),
            ("neighbours", {"site": site}),
        ):
            html = self._render(f"page_{name}", neighbours=neighbours, **values_)
            parts[name] = Part(key, html)
        return parts

    def banner(self) -> Part:
        """Say how the reading goes."""
        return self._part("banner")

    def message(self, title: str, text: str) -> str:
        """Render a page that says one thing."""
        return self._page("message.html", None, title=title, text=text)

    def login(self, place: str, text: str) -> str:
        """Render the page that asks for the token."""
        return self._environment.get_template("login.html").render(
            place=place, text=text, site=None, sites=[]
        )

    def answer(self, text: str, is_well: bool) -> str:
        """Say what came of a form."""
        return self._render("answer", text=text, is_well=is_well)

    def _list(self, site: str | None, text: str, start: int) -> dict[str, Any]:
        found = self._hub.board.scores(site, text)
        return {
            "found": found[start : start + PAGES_SHOWN],
            "start": start,
            "all": len(found),
            "step": PAGES_SHOWN,
        }

    def _row(self, shown: ShownAlert) -> Part:
        """Render an alert's row; as long as nothing has changed, it is the one of before."""
        alert, waiting, in_vain = shown
        name = f"alert-{alert.alert_id}"
        key = f"{alert.revision}:{waiting.event_id if waiting else ''}:{in_vain}"
        known = self._rows.get(name)
        if known is None or known[0] != key:
            known = self._rows[name] = (key, self._render("row", shown=shown, alert=alert, name=name))
        return Part(key, known[1], "alerts")

    def _part(self, template: str, **values: Any) -> Part:
        html = self._render(template, **values)
        return Part(html, html)

    def _render(self, part: str, **values: Any) -> str:
        return self._environment.get_template(f"parts/{part}.html").render(**values)

    def _page(self, template: str, site: str | None, **values: Any) -> str:
        sites = self._hub.board.sites()
        values.setdefault("live", link("/live", view="banner"))
        banner = self.banner().html
        return self._environment.get_template(template).render(
            site=site, sites=sites, banner=banner, **values
        )


def link(path: str, **query: object) -> str:
    """Make an address of ours.

    Examples
    --------
    >>> link("/page", site="shop", page="shop/a b"), link("/", site=None)
    ('/page?site=shop&page=shop%2Fa+b', '/')
    """
    given = {name: str(value) for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path


def money(amount: str | Decimal | None, currency: str | None) -> str:
    """Write an amount in whole units, as far as that says anything.

    Examples
    --------
    >>> money("1234.01", "EUR"), money("0.5", "EUR"), money(None, None)
    ('1,234 EUR', '0.50 EUR', '')
    """
    if amount is None:
        return ""
    try:
        value = Decimal(amount)
    except InvalidOperation:
        return ""
    text = f"{value:,.0f}" if abs(value) >= 10 or value == 0 else f"{value:,.2f}"
    return f"{text} {currency or ''}".strip()


def course_values(alert: DeadEndAlert) -> str:
    """Give an alert's lines and markers to the chart, as JSON."""
    marks: list[tuple[str, str | None]] = [
        ("change", alert.changed_at),
        ("alert", alert.reopened_at or alert.opened_at),
        *((f"deploy {deploy.version}"[:40], deploy.at) for deploy in alert.deploys or ()),
        ("resolved", alert.resolved_at),
    ]
    given = [[name, at[:16] + "Z"] for name, at in marks if at]
    return values_of(course_lines(alert.course or ()), given)


def values_of(lines: Lines, marks: list[list[str]] | None = None) -> str:
    """Give lines to the chart, as JSON."""
    return json.dumps({"lines": list(lines), "marks": marks or []}, separators=(",", ":"))


def _stakes(shown: list[ShownAlert]) -> list[tuple[Decimal, str]]:
    """Add up money at stake by currency, the most first."""
    sums: dict[str, Decimal] = {}
    for one in shown:
        if one.alert.money_at_stake and one.alert.currency:
            sums[one.alert.currency] = sums.get(one.alert.currency, Decimal(0)) + one.stake
    return sorted(((amount, currency) for currency, amount in sums.items()), reverse=True)


def _groups(alert: DeadEndAlert) -> list[tuple[str, list[Any]]]:
    """Who leaves, by what they are told apart."""
    groups: dict[str, list[Any]] = {}
    for contrast in alert.contrasts or ():
        groups.setdefault(contrast.by, []).append(contrast)
    return [(CONTRASTS.get(by, by), rows[:12]) for by, rows in groups.items()]


def _subject(alert: DeadEndAlert) -> str:
    return subject(alert.scope, alert.value, alert.page)


def _said(alert: DeadEndAlert) -> str:
    said: Mapping[str, Any] = msgspec.structs.asdict(alert)
    return said_of(said)


def _moment(at_ms: int) -> str:
    return minute(format_ms(at_ms))


def _tail(text: str, number: int = 40) -> str:
    """Give the end of a long name: addresses differ there."""
    return text if len(text) <= number else f"…{text[1 - number :]}"


def _number(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
