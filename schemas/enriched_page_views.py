"""Enriched page views: each page view with its page, session, source, device and scores."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.fields import Count, Id, JsonObject, NotNegative, Probability
from schemas.timestamps import UtcTime


class EnrichedPageView(
    msgspec.Struct,
    kw_only=True,
    omit_defaults=True,
    gc=False,
    tag_field="schema",
    tag="enriched-page-views/1",
):
    """A page view and what was known of it when it was read. It is written once and never revised."""

    id: Annotated[Id, Meta(description="Names the view: a hash of visitor and event.")]
    event_id: Annotated[Id, Meta(description="Id of the page view.")]
    visitor_id: Annotated[Id, Meta(description="The browser, pseudonymised.")]
    occurred_at: Annotated[UtcTime, Meta(description="When the page was shown.")]
    url: Annotated[str, Meta(description="Address of the page.")]
    page: Annotated[str, Meta(description="The page, normalised.")]
    template: Annotated[str, Meta(description="Kind of page.")]
    source: Annotated[str, Meta(description="Channel that brought the visitor.")]
    device: Annotated[str, Meta(description="Kind of device.")]
    browser: Annotated[str | None, Meta(description="Browser's family.")] = None
    os: Annotated[str | None, Meta(description="Operating system's family.")] = None
    is_bot: Annotated[bool, Meta(description="Whether no human did it.")]
    session_id: Annotated[Id, Meta(description="Session that it belonged to when it was read.")]
    position: Annotated[int, Meta(ge=1, description="How many-th view of the session, from 1.")]
    seconds_since_previous: Annotated[
        NotNegative | None, Meta(description="Seconds since the view before it in the session.")
    ] = None
    customer_id: Annotated[Id | None, Meta(description="The customer, pseudonymised, where he is known.")] = (
        None
    )
    p_purchase: Annotated[Probability | None, Meta(description="That the session ends in a purchase.")] = None
    p_exit: Annotated[Probability | None, Meta(description="That the visitor goes no further.")] = None
    model_version: Annotated[Count | None, Meta(description="Version of the weights that scored it.")] = None
    referrer: Annotated[str | None, Meta(description="Address of the page before, as the browser said.")] = (
        None
    )
    title: Annotated[str | None, Meta(description="Title of the page.")] = None
    campaign: Annotated[str | None, Meta(description="Campaign that brought the visitor.")] = None
    user_agent: Annotated[str | None, Meta(description="User-Agent header.")] = None
    ip: Annotated[str | None, Meta(description="IP address, cut short.")] = None
    sent_at: Annotated[UtcTime | None, Meta(description="When the browser sent it.")] = None
    site: Annotated[Id | None, Meta(description="Shop that it belongs to.")] = None
    properties: Annotated[JsonObject, Meta(description="As they were in the page view.")] = None
