"""Page scores: how many visitors each page loses, against what was to be expected."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.fields import Count, Currency, Id
from schemas.money import AmountText
from schemas.timestamps import UtcTime


class PageScore(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="schema", tag="page-scores/1"):
    """What a page costs and earns, as of a time; the last record of a page holds."""

    id: Annotated[
        Id, Meta(description="Names the page of the site: site|page; too long, its beginning and a hash.")
    ]
    revision: Annotated[int, Meta(ge=1, description="Grows with each change; the highest holds.")]
    page: Annotated[str, Meta(description="The page, normalised.")]
    template: Annotated[str, Meta(description="Kind of page.")]
    site: Annotated[Id, Meta(description="Shop that it belongs to.")]
    as_of: Annotated[UtcTime, Meta(description="Event time up to which it counts.")]
    views: Annotated[Count, Meta(description="How often it was shown.")]
    exits: Annotated[Count, Meta(description="How many sessions ended on it.")]
    expected_exits: Annotated[float, Meta(ge=0, description="How many would have on a usual page like it.")]
    dead_end_exits: Annotated[Count, Meta(description="How many ended on it for no better reason.")]
    excess_exits: Annotated[float, Meta(description="Exits beyond the expected, shrunk to its template's.")]
    excess_low: Annotated[float, Meta(description="Lower end of the 90 % interval of the excess.")]
    excess_high: Annotated[float, Meta(description="Upper end of it.")]
    rank_score: Annotated[float, Meta(description="What pages are ranked by: excess that is all but sure.")]
    money_at_stake: Annotated[AmountText | None, Meta(description="What the excess exits may have cost.")] = (
        None
    )
    currency: Annotated[Currency | None, Meta(description="Currency of the money at stake.")] = None
    purchase_credit: Annotated[
        float | None, Meta(description="Purchases associated with the page beyond the expected.")
    ] = None
    credit_low: Annotated[float | None, Meta(description="Lower end of the 95 % interval of the credit.")] = (
        None
    )
    credit_high: Annotated[float | None, Meta(description="Upper end of it.")] = None
    exit_reasons: Annotated[dict[str, Count] | None, Meta(description="Exits by reason.")] = None
    settled: Annotated[bool, Meta(description="Whether there is enough data to rank it.")]
