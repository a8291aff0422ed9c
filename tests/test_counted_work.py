"""A guard against work that creeps in: calls per page view, which no clock and no machine changes."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from streams.flow import stages
from streams.replay import Replay
from streams.settings import HOUR_MS, Settings
from tests.agents.product import SECRET, shop_events

ROOT = Path(__file__).parents[1]
OURS = tuple(str(ROOT / package) + "/" for package in ("agents", "schemas", "streams"))
KNOWN = 199.9
"""Calls per page view of a replay, as they were when this was last looked at. A new figure comes with the change
that explains it."""
MOST = 0.05


class Calls:
    """Counts calls of functions of ours. Comprehensions are left out: later Pythons do not call them."""

    def __init__(self) -> None:
        self.by_code: Counter[CodeType] = Counter()

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            self.by_code[frame.f_code] += 1

    def of_ours(self) -> Counter[str]:
        """Calls by function."""
        found: Counter[str] = Counter()
        for code, number in self.by_code.items():
            if code.co_filename.startswith(OURS) and not code.co_name.startswith("<"):
                found[f"{Path(code.co_filename).stem}.{code.co_qualname}"] += number
        return found


def test_a_page_view_costs_no_more_calls_than_it_did() -> None:
    events = shop_events(hours=3, sessions_per_hour=100)
    settings = Settings(warm_up_ms=HOUR_MS)
    counts = {"visitor-events": 1, "site-events": 1}
    replay = Replay(stages(settings, SECRET, counts), settings, counts, lambda *_: None)
    calls = Calls()
    before = sys.getprofile()
    sys.setprofile(calls)
    try:
        for event in events:
            replay.feed(*event)
        replay.finish()
    finally:
        sys.setprofile(before)
    views = sum(event.topic == "page-views" for event in events)
    ours = calls.of_ours()
    found = ours.total() / views
    most = "\n".join(f"{number / views:8.2f}  {name}" for name, number in ours.most_common(15))
    assert found == pytest.approx(KNOWN, rel=MOST), (
        f"{found:.2f} calls per page view, {KNOWN} were known; the most frequent:\n{most}"
    )
