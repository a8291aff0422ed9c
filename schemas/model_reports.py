"""Model reports: how well each model predicted what it had not yet learned, beside a trivial baseline."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.fields import Count, Id, NotNegative, Probability, Short
from schemas.model_snapshots import ModelName
from schemas.timestamps import UtcTime


class ModelReport(
    msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="schema", tag="model-reports/1"
):
    """Figures of predictions made before learning from each example (prequential), up to a time."""

    id: Annotated[
        Id, Meta(description="Names the report: site:model:version; too long, its beginning and a hash.")
    ]
    site: Annotated[Id, Meta(description="Shop that the model belongs to.")]
    model: Annotated[ModelName, Meta(description="What it predicts.")]
    version: Annotated[Count, Meta(description="Version of its weights.")]
    as_of: Annotated[UtcTime, Meta(description="Event time up to which it was judged.")]
    examples: Annotated[Count, Meta(description="Examples judged.")]
    positives: Annotated[Count, Meta(description="How many of them came true.")]
    auprc: Annotated[Probability | None, Meta(description="Area under precision over recall.")] = None
    auroc: Annotated[Probability | None, Meta(description="Area under the ROC curve.")] = None
    log_loss: Annotated[NotNegative | None, Meta(description="Mean negative log-likelihood (nats).")] = None
    calibration_error: Annotated[
        Probability | None, Meta(description="Expected calibration error over bins of the prediction.")
    ] = None
    baseline: Annotated[Short | None, Meta(description="What the baseline is.")] = None
    baseline_auprc: Annotated[Probability | None, Meta(description="The same of the baseline.")] = None
    baseline_log_loss: Annotated[NotNegative | None, Meta(description="The same of the baseline.")] = None
    baseline_calibration_error: Annotated[
        Probability | None, Meta(description="The same of the baseline.")
    ] = None
