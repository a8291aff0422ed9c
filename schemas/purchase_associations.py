"""Purchase associations: which pages, templates and content groups go along with purchases, and how surely."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.fields import Count, Currency, Id
from schemas.money import AmountText
from schemas.timestamps import UtcTime

AssociationScope = Literal["page", "template", "content_group", "placebo"]
Share = Annotated[float, Meta(ge=0, le=1)]
Place = Annotated[int, Meta(ge=1)]


class SuggestedExperiment(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An A/B test that could tell whether the association is an effect: one arm is shown the page, one is not."""

    usual_rate: Annotated[Share, Meta(description="Expected share of its sessions that purchase.")]
    expected_change: Annotated[float, Meta(description="By how much that share is greater, as associated.")]
    change_low: Annotated[float, Meta(description="Lower end of the 95 % interval of the change.")]
    change_high: Annotated[float, Meta(description="Upper end of it.")]
    sessions_needed: Annotated[
        int, Meta(ge=2, description="Sessions of both arms together, for a power of 80 % at 5 %, two-sided.")
    ]


class PurchaseAssociation(
    msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="schema", tag="purchase-associations/1"
):
    """What goes along with purchases, as of a time; the last record of a scope and value holds.

    An association is no proof of an effect: intent that nothing shows moves visitors to pages, too.
    """

    id: Annotated[
        Id, Meta(description="Names scope and value of the site; too long, its beginning and a hash.")
    ]
    revision: Annotated[int, Meta(ge=1, description="Grows with each change; the highest holds.")]
    scope: Annotated[
        AssociationScope,
        Meta(description="What is meant; the placebo is a made-up page that does nothing."),
    ]
    value: Annotated[str, Meta(description="The page, template or content group; empty for the placebo.")]
    template: Annotated[str | None, Meta(description="Kind of page.")] = None
    site: Annotated[Id, Meta(description="Shop that it belongs to.")]
    as_of: Annotated[UtcTime, Meta(description="Event time up to which it counts.")]
    sessions: Annotated[
        Count,
        Meta(
            description="Sessions credited to it; where there are none, as of a cart, credit is no finding."
        ),
    ]
    credit: Annotated[float, Meta(description="Purchases associated with it beyond the expected, shrunk.")]
    credit_low: Annotated[float, Meta(description="Lower end of the 95 % interval of the credit.")]
    credit_high: Annotated[float, Meta(description="Upper end of it.")]
    p_associated: Annotated[
        Share, Meta(description="Probability of an association beyond what all its peers have.")
    ]
    score: Annotated[float, Meta(description="What places go by: purchases that are all but sure.")]
    place: Annotated[
        Place | None,
        Meta(description="Place among the pages of the site; the placebo's: where it would stand."),
    ] = None
    pages: Annotated[Count | None, Meta(description="How many pages have a place.")] = None
    credit_money: Annotated[AmountText | None, Meta(description="Credit × average order value.")] = None
    credit_money_low: Annotated[AmountText | None, Meta(description="Lower end of its 95 % interval.")] = None
    credit_money_high: Annotated[AmountText | None, Meta(description="Upper end of it.")] = None
    currency: Annotated[Currency | None, Meta(description="Currency of all amounts.")] = None
    orders_passed: Annotated[Count | None, Meta(description="Orders of sessions that saw it before.")] = None
    revenue_passed: Annotated[
        AmountText | None, Meta(description="Revenue of sessions that saw it before they purchased.")
    ] = None
    revenue_share: Annotated[float | None, Meta(description="Of all revenue; shares overlap.")] = None
    revenue_last_touch: Annotated[
        AmountText | None, Meta(description="Revenue of sessions that saw nothing after it but the checkout.")
    ] = None
    revenue_assisted: Annotated[AmountText | None, Meta(description="What passed it, less last touch.")] = (
        None
    )
    removal_purchase: Annotated[
        Share | None, Meta(description="Share of purchases that come after it, by a Markov chain of pages.")
    ] = None
    removal_dead_end: Annotated[
        Share | None, Meta(description="Share of dead ends that come after it, by the same chain.")
    ] = None
    experiment: Annotated[
        SuggestedExperiment | None, Meta(description="Suggested for the best associated pages.")
    ] = None
