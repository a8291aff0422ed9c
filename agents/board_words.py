"""The board's words: what states, reasons and numbers are called before people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schemas.alert_decisions import DecisionAction
from schemas.dead_end_alerts import AlertCause, AlertStatus
from streams.board import OVER
from streams.evidence_packs import CAUSES

STATES: Final[dict[AlertStatus, str]] = {
    "opened": "open",
    "updated": "open",
    "confirmed": "confirmed",
    "withdrawn": "withdrawn",
    "acknowledged": "acknowledged",
    "muted": "muted",
    "dismissed": "dismissed",
    "resolved": "resolved",
    "reopened": "open again",
}
RULES: Final[dict[AlertCause, str]] = CAUSES
"""Each cause as a sentence."""
ACTIONS: Final[dict[DecisionAction, tuple[str, str]]] = {
    "acknowledge": ("Acknowledge", "I look into it."),
    "mute": ("Mute", "No updates for a while."),
    "unmute": ("Unmute", "Updates again."),
    "dismiss": ("Dismiss", "It is no dead end: it is usual from now on."),
    "reopen": ("Reopen", "It is not over."),
}
DECIDED: Final[dict[DecisionAction, str]] = {
    "acknowledge": "Acknowledged",
    "mute": "Muted",
    "unmute": "No more muted",
    "dismiss": "Dismissed",
    "reopen": "Opened again",
}
REASONS: Final[dict[str, str]] = {
    "purchased": "purchased",
    "registered": "registered",
    "handed_off": "handed off (store finder, phone, payment)",
    "served": "served (found what they came for)",
    "bot": "bot",
    "measurement_gap": "measurement gap",
    "bought_later": "bought later",
    "dead_end": "dead end",
    "none": "left, no reason known",
    "entered": "entered the site here",
}
CONTRASTS: Final[dict[str, str]] = {
    "source": "By source",
    "device": "By device",
    "view": "First page of a visit, or a later one",
    "visitor": "New or returning visitors (closed sessions)",
}
_NUMBERS: Final[dict[str, str]] = {
    "idle_part": "Of those lost beyond the usual, how many did nothing at all",
    "usually_idle": "How many of the usual exits do nothing",
    "orphans_part": "Of those lost, how many came back as somebody new",
    "missing_orders_part": "Orders that are missing, as a part of those lost",
    "elsewhere_logit": "How much worse other pages are at the same time (logit)",
    "share_growth": "How many times its usual share the source brings that loses most",
    "source_logit": "How much worse that source is (logit)",
    "others_logit": "How much worse all other sources are (logit)",
    "orders": "Orders that came in",
    "expected_orders": "Orders that were to be expected",
    "late_orders": "Orders that came late",
}


def explained(numbers: Mapping[str, float]) -> list[tuple[str, float]]:
    """Name the numbers that decided on a cause.

    Examples
    --------
    >>> explained({"orders": 3.0, "another": 1.0})
    [('Orders that came in', 3.0), ('another', 1.0)]
    """
    return [(_NUMBERS.get(name, name.replace("_", " ")), value) for name, value in numbers.items()]


def action_names(status: AlertStatus) -> list[DecisionAction]:
    """Name what can be decided about an alert in this state.

    Examples
    --------
    >>> action_names("resolved"), action_names("muted")
    (['reopen'], ['acknowledge', 'unmute', 'dismiss'])
    """
    if status in OVER:
        return ["reopen"]
    if status == "muted":
        return ["acknowledge", "unmute", "dismiss"]
    return ["acknowledge", "mute", "dismiss"]
