"""Model snapshots: weights to score with, as plain JSON."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from schemas.fields import Count, Id
from schemas.timestamps import UtcTime

ModelName: TypeAlias = Literal["p_purchase", "p_exit"]


class ModelSnapshot(
    msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="schema", tag="model-snapshots/1"
):
    """Weights of a logistic regression: p = 1 / (1 + exp(-(intercept + sum of weight times value)))."""

    id: Annotated[
        Id, Meta(description="Names the model of the site: site:model; too long, its beginning and a hash.")
    ]
    revision: Annotated[int, Meta(ge=1, description="Grows with each change; the highest holds.")]
    site: Annotated[Id, Meta(description="Shop that it was learned from.")]
    model: Annotated[ModelName, Meta(description="What it predicts.")]
    version: Annotated[Count, Meta(description="Stands beside each score that it gave.")]
    features: Annotated[dict[str, float], Meta(description="Weight by feature.")]
    intercept: Annotated[float, Meta(description="What is added to the weighted sum.")]
    trained_on: Annotated[Count, Meta(description="Examples that it has learned from.")]
    as_of: Annotated[UtcTime, Meta(description="Event time up to which it has learned.")]
