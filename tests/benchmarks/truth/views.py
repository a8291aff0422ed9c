"""Page views of made-up shops, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Views(NamedTuple):
    """Page views of an hour, in order of minute; arrays of one length.

    `stalled` is the label at five minutes, `left` and `bought` what came of the visit as far as the tracker knows,
    `unengaged` whether nothing was done on the page, `orphan_of` the page that a session claims to come from
    although it is its first view, −1 else; `late` after how many minutes one hears of a purchase, where it is later
    than usual; `caused` whether it stalled because of a fault and would not have without; `intent` is what nobody
    can see, before the page has moved it.
    """

    minute: Ints
    page: Ints
    source: Ints
    device: Ints
    first: Ints
    stalled: Ints
    left: Ints
    bought: Ints
    unengaged: Ints
    orphan_of: Ints
    session: Ints
    late: Ints
    caused: Ints
    intent: Floats


def joined(parts: Sequence[Views]) -> Views:
    """Put views together."""
    return Views(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def chosen(views: Views, which: npt.NDArray[np.generic]) -> Views:
    """Choose views by a mask, or by their places."""
    return Views(*(column[which] for column in views))
