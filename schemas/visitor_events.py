"""Visitor events: everything that is known of a visitor, in one log by visitor (internal topic)."""

from __future__ import annotations

import msgspec

from schemas.alert_decisions import DecisionAction
from schemas.fields import JsonObject
from schemas.marks import Mark

Origin = tuple[str, int, int]
"""Where a record came from: upstream partition (``page-views/3``), offset there, running number."""


class VisitorPageView(msgspec.Struct, tag_field="type", tag="page_view", frozen=True, omit_defaults=True):
    """A page view after intake: normalised, classified, pseudonymised.

    Times are event time in ms, but for `received_at`, when it was appended to the input topic. `came_from` is the
    page of a referrer of the shop's own.
    """

    origin: Origin
    event_id: str
    visitor_id: str
    occurred_at: int
    url: str
    page: str
    template: str
    source: str
    device: str
    site: str
    browser: str = ""
    os: str = ""
    is_bot: bool = False
    referrer: str | None = None
    title: str | None = None
    campaign: str | None = None
    customer_id: str | None = None
    user_agent: str | None = None
    ip: str | None = None
    sent_at: int | None = None
    received_at: int | None = None
    properties: JsonObject = None
    came_from: str | None = None


class VisitorInteraction(
    msgspec.Struct, tag_field="type", tag="interaction", frozen=True, omit_defaults=True
):
    """Something that a visitor did on a page. `seconds` is the time on page of an ``engagement``."""

    origin: Origin
    event_id: str
    visitor_id: str
    occurred_at: int
    name: str
    site: str
    page: str = ""
    template: str = ""
    source: str = ""
    device: str = ""
    is_bot: bool = False
    customer_id: str | None = None
    seconds: float = 0.0


class VisitorOrder(msgspec.Struct, tag_field="type", tag="order", frozen=True, omit_defaults=True):
    """One revision of an order that names a visitor. `total` is an exact decimal string."""

    origin: Origin
    event_id: str
    visitor_id: str
    occurred_at: int
    order_id: str
    status: str
    channel: str
    currency: str
    total: str
    site: str
    revision: int = 1
    customer_id: str | None = None


class VisitorIdentity(msgspec.Struct, tag_field="type", tag="identity", frozen=True, omit_defaults=True):
    """A visitor registered, logged in or out, or was unlinked from a customer."""

    origin: Origin
    event_id: str
    visitor_id: str
    occurred_at: int
    kind: str
    site: str
    customer_id: str | None = None


class ModelWeights(msgspec.Struct, tag_field="type", tag="model_weights", frozen=True):
    """Weights to score with from here on, sent into every partition by the models stage.

    `weights` maps a feature's name to its weight; the score is the logistic function of
    `intercept` plus the sum over the features of weight times value.
    """

    origin: Origin
    site: str
    model: str
    version: int
    intercept: float
    weights: dict[str, float]


class ServedTable(msgspec.Struct, tag_field="type", tag="served_table", frozen=True):
    """Where leaving after reading is being served, as learned by the pages stage; sent into every partition.

    Attributes
    ----------
    version
        Of the site's tables, from 1.
    from_ms
        Sessions that close at this event time or later (≥) are judged by it, until the next one holds.
    templates, pages
        To the least place in the histogram of engaged time (≥) that counts as read. A page goes before its
        template; -1: never on this page.
    """

    origin: Origin
    site: str
    version: int
    from_ms: int
    templates: dict[str, int]
    pages: dict[str, int]


class AlertDecided(msgspec.Struct, tag_field="type", tag="alert_decision", frozen=True, omit_defaults=True):
    """Somebody has decided about an alert.

    Attributes
    ----------
    came_from
        Its origin where it first stood, in the input topic; `origin` is that of the log that it is in.
    until_ms
        When a mute ends (event time); None: when the alert is over.
    """

    origin: Origin
    came_from: Origin
    event_id: str
    occurred_at: int
    site: str
    alert_id: str
    action: DecisionAction
    by: str | None = None
    why: str | None = None
    until_ms: int | None = None

    @property
    def due_ms(self) -> int:
        """When it is due (event time): when it happened."""
        return self.occurred_at


class Deployed(msgspec.Struct, tag_field="type", tag="deploy", frozen=True, omit_defaults=True):
    """Another version of a site went live; `came_from` as of decisions."""

    origin: Origin
    came_from: Origin
    event_id: str
    occurred_at: int
    site: str
    version: str
    by: str | None = None
    note: str | None = None
    url: str | None = None

    @property
    def due_ms(self) -> int:
        """When it is due (event time): when it happened."""
        return self.occurred_at


SiteNote = AlertDecided | Deployed
"""What is said of a site, not of a visitor: sessions passes it on as it is."""

VisitorEvent = (
    VisitorPageView
    | VisitorInteraction
    | VisitorOrder
    | VisitorIdentity
    | ModelWeights
    | ServedTable
    | SiteNote
    | Mark
)
