"""Features of a visitor's journey: what is known at a page view, and a probability from exported weights.

The sessions stage scores each view while its session runs, and the models stage learns from closed sessions.
Both go through `Journey`, so a model is asked about exactly what it was taught: what was known at the view,
never what came later.

Features are scaled by hand to about unit range. That beats an online scaler, whose means drift under the
weights learned so far, and costs nothing. Buckets stand beside the logarithms, because a logistic regression
sees no bends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from math import exp, log1p
from typing import Final
from zlib import crc32

import msgspec

from schemas.site_events import ExampleAction, ExampleView, SessionExample
from schemas.visitor_events import ModelWeights

TEMPLATES: Final = (
    "home",
    "category",
    "product",
    "search",
    "content",
    "cart",
    "checkout",
    "account",
    "help",
    "other",
)
"""Templates with features of their own; all others share the hashed ones."""
HASHED_TEMPLATES: Final = 16
"""Features that templates outside `TEMPLATES` are hashed into: hostile URLs can't grow a model."""
HASHED_PAGES: Final = 256
"""Features that pages are hashed into: pages of one template differ in how many visitors leave there."""
SOURCES: Final = frozenset(("direct", "organic", "paid", "email", "social", "referral", "internal", "other"))
DEVICES: Final = frozenset(("desktop", "mobile", "tablet", "bot", "other"))
PURCHASED: Final = "purchased"
"""Name under which an order is folded into a journey, as if it were an interaction."""

_INDEX: Final = {template: index for index, template in enumerate(TEMPLATES)}
_OTHER: Final = _INDEX["other"]
COUNTS: Final = tuple(f"n:{template}" for template in TEMPLATES)
"""Features of how many views of each template there were."""
LOGS: Final = tuple(log1p(count) / 2 for count in range(512))
"""Size of a count as a feature."""
MOST: Final = len(LOGS) - 1
"""Greater counts count as this."""
_DEPTHS: Final = ("0", "1", "2", "3", "4-5", "4-5", "6-9", "6-9", "6-9", "6-9", *("10-19",) * 10, "20+")
_MOST_DEPTH: Final = len(_DEPTHS) - 1
_TROUBLES: Final = frozenset(("error", "rage_click"))
TELLING_NAMES: Final = frozenset(
    ("add_to_cart", "remove_from_cart", "search", "checkout_started", PURCHASED, *_TROUBLES)
)
"""Interactions that features count; the others leave a `Journey` as it is."""
# Beyond this the least recently used are computed again: memory stays bounded whatever templates come.
_CACHED: Final = 8192


class Journey(msgspec.Struct, array_like=True):
    """Running summary of one session, as far as it is known. Bounded: it holds counts, and one page.

    Call `start`, then `view` and `action` in order of time, and `features` right after a view.

    Attributes
    ----------
    started_at, viewed_at
        Times of the session's first event and of the latest view (ms).
    gap_ms
        Time from the view before to the latest one; 0 for the first.
    depth
        Page views so far, the latest included.
    counts
        Page views by template, in the order of `TEMPLATES`.
    in_cart, carts
        Additions to the cart less removals, not below 0; and all additions.

    Examples
    --------
    >>> journey = Journey.start("paid", "mobile", returning=True, known_customer=False, started_at=0)
    >>> journey.view(0, "shop.example", "home")
    >>> journey.action(4_000, "add_to_cart")
    >>> journey.view(9_000, "shop.example/cart", "cart")
    >>> features = journey.features()
    >>> features["template:cart"], features["cart:cart"], features["depth:2"], "template:home" in features
    (1.0, 1.0, 1.0, False)
    """

    source: str
    device: str
    returning: bool
    known_customer: bool
    started_at: int
    viewed_at: int
    gap_ms: int = 0
    depth: int = 0
    page: str = ""
    template: str = ""
    came_from: str = ""
    same_page: bool = False
    counts: list[int] = msgspec.field(default_factory=lambda: [0] * len(TEMPLATES))
    in_cart: int = 0
    carts: int = 0
    searches: int = 0
    checkouts: int = 0
    troubles: int = 0
    purchased: bool = False

    @classmethod
    def start(
        cls, source: str, device: str, returning: bool, known_customer: bool, started_at: int
    ) -> Journey:
        """Begin a journey at its first event (ms), of whatever kind.

        Parameters
        ----------
        source, device
            Channel grouping and device of the session.
        returning
            Whether the visitor had been seen before.
        known_customer
            Whether the visitor's customer was known.
        started_at
            Time of the first event (ms).
        """
        return cls(source, device, returning, known_customer, started_at, started_at)

    def view(self, at: int, page: str, template: str) -> None:
        """Fold a page view at `at` (ms). A view older than the one before counts as simultaneous with it."""
        depth = self.depth
        if depth:
            self.gap_ms = max(0, at - self.viewed_at)
        self.viewed_at = max(at, self.viewed_at)
        self.depth = depth + 1
        self.same_page = page == self.page
        self.page = page
        self.came_from = self.template
        self.template = template_word(template)
        self.counts[_INDEX.get(template, _OTHER)] += 1

    def action(self, at: int, name: str) -> None:
        """Fold an interaction, or an order as `PURCHASED`; names that say nothing here are ignored."""
        if name == "add_to_cart":
            self.in_cart += 1
            self.carts += 1
        elif name == "remove_from_cart":
            self.in_cart = max(0, self.in_cart - 1)
        elif name == "search":
            self.searches += 1
        elif name == "checkout_started":
            self.checkouts += 1
        elif name in _TROUBLES:
            self.troubles += 1
        elif name == PURCHASED:
            self.purchased = True

    def features(self) -> dict[str, float]:
        """Features of the latest view by name: some 15, each of about unit range; counts of 0 are left out.

        Names come from a bounded set of some 1,500, whatever the input.
        """
        depth = self.depth
        features = of_session(self.source, self.device, self.returning, self.known_customer) | of_view(
            self.template,
            self.came_from,
            depth_word(depth),
            self.in_cart > 0,
            self.purchased,
        )
        features[page_feature(self.page)] = 1.0
        features["depth"] = LOGS[depth if depth < MOST else MOST]
        for name, count in zip(COUNTS, self.counts, strict=False):
            if count:
                features[name] = LOGS[count if count < MOST else MOST]
        if depth > 1:
            elapsed = (self.viewed_at - self.started_at) / 1000
            features["elapsed"] = log1p(elapsed if elapsed > 0.0 else 0.0) / 6
            features["gap"] = log1p(self.gap_ms / 1000) / 6
        features.update(self.rare_sizes())
        return features

    def rare_sizes(self) -> Iterable[tuple[str, float]]:
        """Features of the latest view, with their sizes, that most views do not have."""
        if not (self.same_page or self.carts or self.searches or self.checkouts or self.troubles):
            return ()
        sizes = []
        if self.same_page and self.depth > 1:
            sizes.append(("same_page", 1.0))
        if self.carts:
            sizes.append(("carts", LOGS[min(self.carts, MOST)]))
        if self.searches:
            sizes.append(("searches", LOGS[min(self.searches, MOST)]))
        if self.checkouts:
            sizes.append(("checkouts", 1.0))
        if self.troubles:
            sizes.append(("troubles", LOGS[min(self.troubles, MOST)]))
        return sizes


@lru_cache(_CACHED)
def template_word(template: str) -> str:
    """Name of a template in features: itself if it is in `TEMPLATES`, else one of `HASHED_TEMPLATES` buckets.

    Examples
    --------
    >>> template_word("product"), template_word("blog/2")
    ('product', '~3')
    """
    if template in _INDEX:
        return template
    return f"~{crc32(template.encode('utf-8', 'surrogatepass')) % HASHED_TEMPLATES}"


def depth_word(depth: int) -> str:
    """Bucket of a number of views.

    >>> depth_word(1), depth_word(7), depth_word(700)
    ('1', '6-9', '20+')
    """
    return _DEPTHS[depth if depth < _MOST_DEPTH else _MOST_DEPTH]


@lru_cache(_CACHED)
def page_feature(page: str) -> str:
    """Name of the feature of a page: one of `HASHED_PAGES`."""
    return f"page:~{crc32(page.encode('utf-8', 'surrogatepass')) % HASHED_PAGES}"


@lru_cache(_CACHED)
def of_session(source: str, device: str, returning: bool, known_customer: bool) -> dict[str, float]:
    """Features that all views of a session share; not to be changed."""
    source = source if source in SOURCES else "other"
    device = device if device in DEVICES else "other"
    names = ["constant", f"source:{source}", f"device:{device}"]
    if returning:
        names.append("returning")
    if known_customer:
        names.append("known_customer")
    return dict.fromkeys(names, 1.0)


@lru_cache(_CACHED)
def of_view(template: str, came_from: str, depth: str, cart: bool, purchased: bool) -> dict[str, float]:
    """Features that all views of a kind share; not to be changed."""
    names = [f"template:{template}", f"depth:{depth}", f"{template}|{depth}"]
    if came_from:
        names.append(f"{came_from}>{template}")
    if cart:
        names += ["cart", f"cart:{template}", f"cart|{depth}"]
    if purchased:
        names += ["purchased", f"purchased:{template}"]
    return dict.fromkeys(names, 1.0)


def walk(
    journey: Journey, views: Iterable[ExampleView], actions: Iterable[ExampleAction]
) -> Iterator[Journey]:
    """Fold views and actions, each in order of time, into a journey; yield it at each view.

    An action is known at a view if it is older (<): of a view and an action at the same instant, the view
    comes first. The journey that is yielded is the same object each time, changed by going on.

    Parameters
    ----------
    journey
        Just started, or as far as it has come.
    views, actions
        What happened, sorted by time.
    """
    waiting = iter(actions)
    action = next(waiting, None)
    for view in views:
        at = view.occurred_at
        while action is not None and action.occurred_at < at:
            journey.action(action.occurred_at, action.name)
            action = next(waiting, None)
        journey.view(at, view.page, view.template)
        yield journey


def journeys(example: SessionExample) -> Iterator[Journey]:
    """Go through a closed session again: its journey as it was known at each view, one object, see `walk`.

    Examples
    --------
    >>> from schemas.site_events import Exit
    >>> views = (ExampleView(1_000, "shop.example", "home"), ExampleView(9_000, "shop.example/p1", "product"))
    >>> example = SessionExample(
    ...     origin=("visitor-events/0", 0, 0), site="shop.example", session_id="s1", due_ms=1_810_000,
    ...     source="direct", device="mobile", is_bot=False, returning=False, views=views, actions=(),
    ...     exit=Exit("shop.example/p1", "product", "dead_end", "none"),
    ... )
    >>> [(journey.depth, journey.template) for journey in journeys(example)]
    [(1, 'home'), (2, 'product')]
    """
    views, actions = example.views, example.actions
    if example.purchased_at is not None:
        order = ExampleAction(example.purchased_at, PURCHASED)
        actions = tuple(sorted((*actions, order), key=lambda action: action.occurred_at))
    started_at = min((first[0].occurred_at for first in (views, actions) if first), default=0)
    journey = Journey.start(
        example.source, example.device, example.returning, example.known_customer, started_at
    )
    return walk(journey, views, actions)


def score(weights: ModelWeights, features: Mapping[str, float]) -> float:
    """Probability by exported weights: the logistic function of the weighted sum. Unknown features count 0.

    Returns
    -------
    float
        Between 0 and 1; exactly 0 or 1 beyond ±30 log-odds, as River has it.

    Examples
    --------
    >>> weights = ModelWeights(("site-events/0", 7, 0), "shop.example", "p_exit", 1, 0.0, {"cart": -2.0})
    >>> score(weights, {"constant": 1.0}), round(score(weights, {"constant": 1.0, "cart": 1.0}), 4)
    (0.5, 0.1192)
    """
    weight = weights.weights.get
    logit = weights.intercept
    for name, value in features.items():
        logit += weight(name, 0.0) * value
    return probability(logit)


def probability(logit: float) -> float:
    """Logistic function; exactly 0 or 1 beyond ±30, as River has it."""
    if logit < -30.0:
        return 0.0
    return 1.0 if logit > 30.0 else 1.0 / (1.0 + exp(-logit))
