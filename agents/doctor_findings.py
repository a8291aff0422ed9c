"""What the doctor finds."""

from __future__ import annotations

from typing import Literal

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """What was found of one thing; `mend` says what to do where it is not ``ok``."""

    name: str
    state: Literal["ok", "note", "broken"]
    text: str
    mend: str = ""
