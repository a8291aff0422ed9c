"""Faults: what goes wrong in a made-up shop, where, when, and by how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Kind = Literal[
    "page",
    "link",
    "template",
    "site",
    "device",
    "source",
    "first_view",
    "checkout",
    "orders",
    "late_orders",
    "tag",
    "bots",
    "campaign",
    "mix",
    "hidden_visitors",
    "hidden_views",
    "hidden_template",
]


@dataclass
class Fault:
    """Something that goes wrong for a while, and what became known of it.

    Attributes
    ----------
    kind, value
        What breaks: a page by number, for all or for those who come by a link; a template, device or source by its
        number; nothing more where it is the site or first views. A mix is no fault: more visits begin on pages of a
        template. What is hidden happens, but nobody hears of it: all views of some visitors, single views, or those
        of a template.
    begin, minutes
        Minutes since the shop's beginning.
    size
        Points of exit probability on a page, or of those who come there by a link (0.4), else a step of logit; of
        bots and campaigns how many times a page's usual views there are; of a broken tag the part of visitors that
        it loses; of a mix how many times as many visits begin there; of what is hidden the part of visitors, or of
        views; of late orders by how many minutes. Of silent ones it says nothing.
    by
        Page that has the link, where one breaks.
    """

    kind: Kind
    value: int
    begin: int
    minutes: int
    size: float
    by: int = -1

    def at(self, minute: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Where it holds."""
        return (minute >= self.begin) & (minute < self.begin + self.minutes)
