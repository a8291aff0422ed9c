"""Habits of the made-up shop's visitors: where they begin, go, stay and buy, as tables of numbers."""

from __future__ import annotations

import math
from bisect import bisect
from itertools import accumulate

# Where a visit begins, and where a view that is not the last leads, in shares.
_ENTRIES: dict[str, dict[str, float]] = {
    "direct": {"home": 55, "product": 16, "category": 12, "account": 7, "content": 5, "help": 2, "cart": 3},
    "organic": {"product": 38, "category": 26, "content": 19, "home": 13, "help": 4},
    "paid": {"product": 48, "category": 42, "home": 10},
    "email": {"category": 44, "product": 36, "content": 14, "home": 6},
    "social": {"content": 32, "product": 40, "category": 22, "home": 6},
    "referral": {"content": 24, "product": 42, "category": 14, "home": 20},
}
_STEPS: dict[str, dict[str, float]] = {
    "home": {"category": 48, "search": 14, "product": 18, "content": 9, "account": 6, "help": 3, "home": 2},
    "category": {"product": 62, "category": 21, "search": 6, "content": 5, "home": 5, "help": 1},
    "product": {
        "product": 40,
        "category": 30,
        "search": 8,
        "content": 10,
        "home": 7,
        "help": 3,
        "account": 2,
    },
    "search": {"product": 62, "search": 18, "category": 10, "content": 5, "help": 3, "home": 2},
    "content": {"product": 32, "category": 28, "content": 26, "home": 8, "search": 6},
    "cart": {"product": 32, "category": 22, "home": 8, "account": 8, "help": 30},
    "checkout": {"cart": 40, "product": 20, "home": 20, "account": 20},
    "account": {"account": 34, "product": 22, "category": 22, "home": 14, "help": 8},
    "help": {"help": 30, "home": 20, "category": 20, "product": 14, "account": 10, "search": 6},
}
# A first view is left more easily than the average view, later ones less, so that the mean is the baseline.
FIRST_EXIT_LOGIT = {"product": 0.45, "content": 0.40, "home": 0.10, "category": 0.25}
OTHER_FIRST_EXIT_LOGIT = 0.30
LATER_EXIT_LOGIT = -0.45
RETURNING_EXIT_LOGIT = -0.10
# What a visitor came for is never observed: it lowers exits and raises purchases, which confounds the two.
INTENT_SD = 0.7
INTENT_EXIT_LOGIT = -0.15
INTENT_BUY_LOGIT = 0.8
KNOWN_BUY_LOGIT = 0.35
ADD_LOGIT = -2.65
ORDER_LOGIT = 1.5
P_RETURNING = 0.32
P_TO_CART_AFTER_ADD = 0.55
P_CHECKOUT = 0.62
P_PAYMENT = 0.86
P_TRY_AGAIN = 0.4
P_REMOVE = 0.08
P_REGISTER = 0.36
P_TO_REGISTER = 0.5
P_REGISTER_WITH_ORDER = 0.25
P_LOGIN = 0.3
P_ENGAGEMENT = 0.45
P_ERROR = 0.3
P_RAGE_CLICK = 0.25
# Hand-offs with which a visit may end on a template, and the share of its exits.
HAND_OFFS = {
    "help": ("phone_tap", 0.06),
    "content": ("outbound_click", 0.04),
    "product": ("store_finder", 0.015),
}

# Logarithms of the median dwell, seconds: a log-normal, most of it below five minutes.
DWELL_SD = 0.9
DWELL_LOG = {
    template: math.log(median)
    for template, median in {
        "home": 22,
        "category": 32,
        "product": 46,
        "search": 24,
        "content": 85,
        "cart": 32,
        "checkout": 55,
        "account": 36,
        "help": 60,
    }.items()
}
SHORTEST_DWELL_MS = 1_500
# Below any inactivity gap in use, so that a visit is one session.
LONGEST_DWELL_MS = 1_500_000
MOST_VIEWS = 120
# A visitor stays away at least this long, so that the next visit is another session.
AWAY_MS = 1_800_000
QUERY_WORDS = ("desk", "lamp", "oak shelf", "chair", "rug", "blue vase", "mirror", "sofa bed", "storage")


class Choice:
    """Draws a key in proportion to its share."""

    def __init__(self, shares: dict[str, float]) -> None:
        self._keys = list(shares)
        self._cumulative = list(accumulate(shares.values()))

    def pick(self, u: float) -> str:
        """Choose from a uniform number ``0 ≤ u < 1``."""
        bounds = self._cumulative
        return self._keys[bisect(bounds, u * bounds[-1], 0, len(bounds) - 1)]


ENTRY_CHOICE = {source: Choice(shares) for source, shares in _ENTRIES.items()}
STEP_CHOICE = {template: Choice(shares) for template, shares in _STEPS.items()}
