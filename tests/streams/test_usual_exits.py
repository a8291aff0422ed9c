"""Usual exits: what a page learns of its own dead ends."""

from __future__ import annotations

from random import Random

import pytest

from streams.regressions import probability
from streams.usual_exits import UsualExits


def test_what_is_usual_follows_a_page_that_changes() -> None:
    usual, source = UsualExits(), Random(3)
    for rate in (0.3, 0.6):
        for _ in range(4_000):
            usual.learn(0.0, int(source.random() < rate))
        assert probability(usual.logit) == pytest.approx(rate, abs=0.06)
