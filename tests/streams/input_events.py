"""Input events of each kind, and a door that they are handed to."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from schemas.customer_events import CustomerEvent
from schemas.rejected_events import RejectedEvent
from schemas.visitor_events import VisitorEvent
from streams.intake import Intake
from streams.settings import Settings
from streams.stages import Context, Output, SourceResult
from streams.states import KeyedState

NOON = 1_700_000_000_000
SECRET = "a secret of sixteen characters"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:126.0) Gecko/20100101 Firefox/126.0"
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
HIDING = Intake(Settings(), SECRET)
SHOWING = Intake(Settings(pseudonymise=False), "")

Fields = dict[str, Any]
VIEW: Fields = {
    "event_id": "e1",
    "visitor_id": "ann",
    "occurred_at": NOON,
    "url": "https://shop.example/product/7",
}
ACTION: Fields = {"event_id": "e2", "visitor_id": "ann", "occurred_at": NOON, "name": "add_to_cart"}
ORDER: Fields = {
    "event_id": "e3",
    "order_id": "o1",
    "status": "placed",
    "occurred_at": NOON,
    "channel": "web",
    "currency": "EUR",
    "total": "19.90",
}
IDENTITY: Fields = {
    "event_id": "e4",
    "kind": "logged_in",
    "occurred_at": NOON,
    "visitor_id": "ann",
    "customer_id": "c-42",
}
CONSENT: Fields = {
    "event_id": "e5",
    "occurred_at": NOON,
    "visitor_id": "ann",
    "purposes": {"marketing": False},
}
FEEDBACK: Fields = {"event_id": "e6", "occurred_at": NOON, "visitor_id": "ann", "kind": "survey", "score": 3}
DECISION: Fields = {
    "event_id": "e7",
    "occurred_at": NOON,
    "site": "shop.example",
    "alert_id": "3f2a9c0d1b4e5f60",
    "action": "acknowledge",
    "by": "Ann",
}
DEPLOY: Fields = {"event_id": "e8", "occurred_at": NOON, "site": "shop.example", "version": "2026.3.1"}
EVENTS: dict[str, Fields] = {
    "page-views": VIEW,
    "interactions": ACTION,
    "orders": ORDER,
    "identities": IDENTITY,
    "consents": CONSENT,
    "feedback": FEEDBACK,
    "alert-decisions": DECISION,
    "deploys": DEPLOY,
}


class Door:
    """Hands records to an intake, and keeps the context that it counts in."""

    def __init__(self, intake: Intake = HIDING, append_ms: int = NOON) -> None:
        self.intake = intake
        self.context = Context(KeyedState({}), "orders/3", offset=17, append_ms=append_ms)

    def read(self, topic: str, value: bytes | None) -> SourceResult:
        result = self.intake.read(self.context, topic, 3, value)
        for output in result.outputs:
            assert output.topic in self.intake.outputs
            encoded = msgspec.json.encode(output.value)
            types = {"visitor-events": VisitorEvent, "customer-events": CustomerEvent}
            assert msgspec.json.decode(encoded, type=types.get(output.topic, RejectedEvent)) == output.value
        return result

    def send(self, topic: str, fields: Fields) -> list[Output]:
        return self.read(topic, json.dumps(fields).encode()).outputs


def one(topic: str, fields: Fields, intake: Intake = HIDING) -> Any:
    """Give the only record that comes of an event."""
    (output,) = Door(intake).send(topic, fields)
    return output.value
