"""Settings of the domain: what decides results. Where things run is a matter of the worker's settings."""

from __future__ import annotations

import msgspec

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


class TemplateRule(msgspec.Struct, frozen=True):
    """Pages whose path matches the glob `path` (``*`` within a part, ``**`` across parts) have this template."""

    path: str
    template: str


class ContentGroup(msgspec.Struct, frozen=True):
    """Pages whose path matches the glob `path`, as in a `TemplateRule`, belong to this content group."""

    path: str
    group: str


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What decides results; the defaults suit a web shop.

    Attributes
    ----------
    site
        Site of events that name none.
    gap_ms
        Clicks belong to one session while gaps are ≤ this.
    max_length_ms
        A session that would be longer than this is cut.
    order_wait_ms
        An order belongs to a session up to so long (≤) after its last click.
    bought_later_ms
        A dead end of a known customer who orders up to so long (≤) after its last click is ``bought_later``.
    retention_ms
        Events up to so far (≤) behind the watermark revise sessions; later ones are rejected as ``too_late``.
    stall_after_ms
        Horizon at which each page view is labelled as stalled or not.
    out_of_orderness_ms
        How far events of one partition may be out of order without being late.
    future_ms
        An event more than this ahead of its append time is rejected as ``from_future``.
    max_views
        A session with more page views than this is capped.
    keep_query
        Query parameters that belong to the page.
    template_rules
        First that matches gives a page's template.
    content_groups
        First that matches gives a page's content group; pages of none have none.
    internal_hosts
        Hosts of the shop beside the page's own: a referrer from there is ``internal``.
    handed_off_names
        Interactions by which the shop passes a visitor on; they end no journey in vain.
    continuing_names
        Interactions that end a stall.
    served_templates
        Templates on which leaving is being served.
    reading_templates, reading_ms
        Templates of long reads, and the time on page (≥) from which leaving there is being served.
    learn_served
        Learn on which pages leaving after long reading is being served, and judge by it where no rule says
        anything.
    pseudonymise
        Replace visitor and customer ids by keyed hashes at the door.
    score_every_ms
        How often (event time) page scores are written.
    associate_every_ms
        How often (event time) purchase associations are written.
    warm_up_ms
        No alert opens before so much event time has been seen.
    alerts_per_week
        How many false alerts a week a site's team will bear, from .01 to 100. Fewer come later.
    learn_views
        How many views of a closed session the models learn from.
    snapshot_every_ms
        How often (event time) model weights are published.
    """

    site: str = "default"
    gap_ms: int = 30 * MINUTE_MS
    max_length_ms: int = 24 * HOUR_MS
    order_wait_ms: int = 30 * MINUTE_MS
    bought_later_ms: int = 7 * DAY_MS
    retention_ms: int = 24 * HOUR_MS
    stall_after_ms: int = 5 * MINUTE_MS
    out_of_orderness_ms: int = 10 * SECOND_MS
    future_ms: int = 5 * MINUTE_MS
    max_views: int = 500
    keep_query: tuple[str, ...] = ()
    template_rules: tuple[TemplateRule, ...] = ()
    content_groups: tuple[ContentGroup, ...] = ()
    internal_hosts: tuple[str, ...] = ()
    handed_off_names: tuple[str, ...] = ("outbound_click", "phone_tap", "store_finder", "payment_provider")
    continuing_names: tuple[str, ...] = ("add_to_cart", "checkout_started", "search")
    served_templates: tuple[str, ...] = ("help", "account", "order_tracking")
    reading_templates: tuple[str, ...] = ("content",)
    reading_ms: int = 60 * SECOND_MS
    learn_served: bool = True
    pseudonymise: bool = True
    score_every_ms: int = HOUR_MS
    associate_every_ms: int = DAY_MS
    warm_up_ms: int = DAY_MS
    alerts_per_week: float = 1.0
    learn_views: int = 2
    snapshot_every_ms: int = 15 * MINUTE_MS

    @property
    def hold_ms(self) -> int:
        """How long after its last click a session may still grow or get an order."""
        return max(self.gap_ms, self.order_wait_ms)

    @property
    def known_ms(self) -> int:
        """How long what is known of a customer is kept: 30 days, or as long as an order may say something of it."""
        return max(30 * DAY_MS, self.bought_later_ms + self.hold_ms + self.retention_ms)

    @property
    def run_on_ms(self) -> int:
        """How far time runs on behind the last event of files, until everything is closed."""
        disorder_ms = self.out_of_orderness_ms
        return self.hold_ms + self.retention_ms + self.stall_after_ms + disorder_ms + 2 * HOUR_MS
