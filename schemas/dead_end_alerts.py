"""Dead-end alerts: pages on which visitors give up more often than they used to."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from schemas.alert_decisions import DecisionAction
from schemas.fields import Count, Currency, Id, Link, Name, Note, NotNegative, Probability
from schemas.money import AmountText
from schemas.timestamps import UtcTime

AlertStatus: TypeAlias = Literal[
    "opened",
    "updated",
    "confirmed",
    "withdrawn",
    "acknowledged",
    "muted",
    "dismissed",
    "resolved",
    "reopened",
]
AlertScope: TypeAlias = Literal["page", "template", "source", "device", "first_view", "site"]
AlertCause: TypeAlias = Literal[
    "page_broke",
    "tag_broke",
    "bot_wave",
    "campaign_mix",
    "site_change",
    "checkout_outage",
    "orders_silent",
    "orders_late",
    "unknown",
]


class AlertCourse(msgspec.Struct, kw_only=True):
    """Counts of a stretch of time while an alert is open."""

    at: Annotated[UtcTime, Meta(description="Event time at which the stretch begins; the next one ends it.")]
    views: Annotated[Count, Meta(description="Labelled views.")]
    exits: Annotated[Count, Meta(description="How many of them went no further.")]
    expected_exits: Annotated[float, Meta(ge=0, description="How many usually would have.")]


class AlertContrast(msgspec.Struct, kw_only=True):
    """Counts of some of the visitors."""

    by: Annotated[str, Meta(description="What they are told apart by: source, device, view, or visitor.")]
    value: Annotated[
        str,
        Meta(
            description="Which of them; of views, first or later ones of a session, of visitors, new or returning."
        ),
    ]
    views: Annotated[Count, Meta(description="Labelled views.")]
    exits: Annotated[
        Count,
        Meta(description="How many of them went no further; by visitor, of closed sessions: final exits."),
    ]
    expected_exits: Annotated[float, Meta(ge=0, description="How many usually would have.")]


class AlertStep(msgspec.Struct, kw_only=True):
    """A page on the way of a session."""

    page: Annotated[str, Meta(description="The page, cut to 120 characters.")]
    seconds: Annotated[Count, Meta(description="When it was seen, in seconds since the session began.")]


class AlertPath(msgspec.Struct, kw_only=True):
    """A session that came to the page: where from, by which way, and what was done."""

    session_id: Annotated[Id, Meta(description="The session, a hash: no visitor is named.")]
    source: Annotated[str, Meta(description="Where it came from.")]
    device: Annotated[str, Meta(description="Kind of device.")]
    returning: Annotated[bool, Meta(description="The visitor had been there before.")]
    steps: Annotated[list[AlertStep], Meta(description="Its last views, at most 12.")]
    actions: Annotated[list[str], Meta(description="Names of its last interactions, at most 8.")]


class AlertDeploy(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A deploy beside an alert; whether it is the cause nobody knows."""

    version: Annotated[Name, Meta(description="What went live.")]
    at: Annotated[UtcTime, Meta(description="Event time of the deploy.")]
    minutes_before_change: Annotated[
        float, Meta(description="From it to when the alert seems to have begun; below 0: it came after.")
    ]
    by: Annotated[Name | None, Meta(description="Who deployed it.")] = None
    note: Annotated[Note | None, Meta(description="What is new, in their own words.")] = None
    url: Annotated[Link | None, Meta(description="Where more is said of it.")] = None


class DeadEndAlert(
    msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="schema", tag="dead-end-alerts/1"
):
    """A page, template or site that loses more visitors than its own past says; the last revision holds."""

    id: Annotated[Id, Meta(description="The alert's id again.")]
    alert_id: Annotated[Id, Meta(description="Hash of site, scope, value and opening.")]
    revision: Annotated[int, Meta(ge=1, description="Grows with each change; the highest holds.")]
    status: Annotated[AlertStatus, Meta(description="What has come of it.")]
    page: Annotated[
        str,
        Meta(description="The page; where the scope is wider the worst one, or empty if none stands out."),
    ]
    template: Annotated[str, Meta(description="Kind of that page.")]
    site: Annotated[Id, Meta(description="Shop that it belongs to.")]
    scope: Annotated[
        AlertScope,
        Meta(
            description="What is broken: a page, all pages of a kind, or all for some visitors, or for all."
        ),
    ]
    opened_at: Annotated[UtcTime, Meta(description="Event time at which it opened.")]
    updated_at: Annotated[UtcTime, Meta(description="Event time of this revision.")]
    reopened_at: Annotated[
        UtcTime | None,
        Meta(
            description="Event time at which it opened again, the last time, within a day after it was over."
        ),
    ] = None
    resolved_at: Annotated[UtcTime | None, Meta(description="Event time at which it was over.")] = None
    cause: Annotated[AlertCause, Meta(description="What seems to be behind it.")]
    log_evidence: Annotated[float, Meta(description="Evidence (natural log of a tempered likelihood ratio).")]
    views: Annotated[Count, Meta(description="Labelled views since it began.")]
    exits: Annotated[Count, Meta(description="How many of them went no further.")]
    expected_exits: Annotated[float, Meta(ge=0, description="How many usually would have.")]
    excess_low: Annotated[float | None, Meta(description="Lower end of the interval of the excess.")] = None
    excess_high: Annotated[float | None, Meta(description="Upper end of it.")] = None
    money_at_stake: Annotated[AmountText | None, Meta(description="What the excess may have cost.")] = None
    currency: Annotated[Currency | None, Meta(description="Currency of the money at stake.")] = None
    value: Annotated[
        str | None,
        Meta(
            description="The template, source or device, where the scope is wider than a page; of a site `orders`"
            " where it is not pages but orders that are missing."
        ),
    ] = None
    part_of: Annotated[Id | None, Meta(description="The wider alert that stands for it now.")] = None
    summary: Annotated[str | None, Meta(description="All that in one sentence.")] = None
    changed_at: Annotated[UtcTime | None, Meta(description="Event time at which it seems to have begun.")] = (
        None
    )
    first_seen_at: Annotated[UtcTime | None, Meta(description="When the page was first seen.")] = None
    cause_numbers: Annotated[
        dict[str, float] | None, Meta(description="What decided on the cause, by name.")
    ] = None
    money_low: Annotated[AmountText | None, Meta(description="Lower end of the interval of the money.")] = (
        None
    )
    money_high: Annotated[AmountText | None, Meta(description="Upper end of it.")] = None
    course: Annotated[
        list[AlertCourse] | None, Meta(description="Views and exits by time, at most 120 stretches.")
    ] = None
    contrasts: Annotated[
        list[AlertContrast] | None, Meta(description="Who leaves: the same by source, device and view.")
    ] = None
    worst_pages: Annotated[
        list[str] | None,
        Meta(description="Where the scope is wider than a page, the pages that lose most in it."),
    ] = None
    sample_sessions: Annotated[
        list[str] | None, Meta(description="Some of the sessions that ended there: those of `paths_ended`.")
    ] = None
    confirmed_at: Annotated[
        UtcTime | None,
        Meta(
            description="Event time at which closed sessions had shown, since it opened the last time, that more "
            "of them end there than usual. Alerts of scopes wider than a page are never confirmed: they stay "
            "provisional."
        ),
    ] = None
    withdrawn_because: Annotated[str | None, Meta(description="Why it was withdrawn, in words.")] = None
    final_views: Annotated[
        Count | None,
        Meta(
            description="Views since it began whose sessions have closed, an hour ago or more; of a page only."
        ),
    ] = None
    final_exits: Annotated[Count | None, Meta(description="How many of them were dead ends.")] = None
    expected_final_exits: Annotated[
        NotNegative | None, Meta(description="How many of them usually would have been.")
    ] = None
    paths_ended: Annotated[
        list[AlertPath] | None, Meta(description="The latest sessions that ended there, at most 20.")
    ] = None
    paths_continued: Annotated[
        list[AlertPath] | None, Meta(description="The latest sessions that went on from there, at most 5.")
    ] = None
    decision: Annotated[
        DecisionAction | None, Meta(description="The last that was decided about it, since it opened.")
    ] = None
    decided_by: Annotated[Name | None, Meta(description="Who decided that.")] = None
    decided_at: Annotated[UtcTime | None, Meta(description="Event time of the decision.")] = None
    why: Annotated[Note | None, Meta(description="Why, in their own words.")] = None
    acknowledged_by: Annotated[
        Name | None, Meta(description="Who acknowledged it, whatever was decided afterwards.")
    ] = None
    acknowledged_at: Annotated[UtcTime | None, Meta(description="Event time of that.")] = None
    muted_until: Annotated[
        UtcTime | None,
        Meta(description="Notify nobody before; the year 9999 where a mute ends when the alert is over."),
    ] = None
    deploys: Annotated[
        list[AlertDeploy] | None,
        Meta(description="At most 5 deploys about the time when it seems to have begun, by their time."),
    ] = None
    upstream_page: Annotated[
        str | None,
        Meta(
            description="The page before it by which those came who are lost, where others are hardly lost there: "
            "look there first. Of a page only, from sessions that have closed since it was suspected."
        ),
    ] = None
    upstream_share: Annotated[
        Probability | None,
        Meta(description="Part of the sessions that ended there that came by `upstream_page`."),
    ] = None
    upstream_usual_share: Annotated[
        Probability | None, Meta(description="Part of the views that were no dead ends that came by it.")
    ] = None
    upstream_lift: Annotated[
        NotNegative | None,
        Meta(description="How many times the first share is the second; both drawn to that of all views."),
    ] = None
    upstream_lift_low: Annotated[
        NotNegative | None, Meta(description="Lower end of its 90 % interval, at least 1.5.")
    ] = None
    quick_backs: Annotated[
        Count | None,
        Meta(
            description="Views from which visitors went back to the page before, within 10 s or to leave, since it "
            "was suspected."
        ),
    ] = None
    expected_quick_backs: Annotated[
        NotNegative | None,
        Meta(
            description="How many were to be expected by what the same visitors do on other pages; where they saw "
            "ten or more from which they could have gone back."
        ),
    ] = None
    purchase_credit: Annotated[
        float | None,
        Meta(
            description="Purchases beyond what was to be expected of sessions that saw it, as in `page-scores`; "
            "only where the interval is below zero: fewer purchase later who have seen it."
        ),
    ] = None
    credit_low: Annotated[float | None, Meta(description="Lower end of its 95 % interval.")] = None
    credit_high: Annotated[float | None, Meta(description="Upper end of it, below zero.")] = None
