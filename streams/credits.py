"""Purchase credit: pages after which more is bought than their visitors promised before.

Counting purchases of sessions that saw a page credits every page on the way to the checkout. Instead, at the
first view of a page in a session, a regression says how probable a purchase is from what was known *before*
that view. What the session then did beyond that is the page's residual, r = purchase − g. If g is right and
the page changes nothing, r averages to zero, whoever comes to the page and however near to the checkout.

It is an association, not an effect: intent that nothing showed before the view still moves visitors to pages.
The spread of all pages' z-values measures how much, and widens the intervals (the empirical null of Efron,
2004, *Large-Scale Simultaneous Hypothesis Testing: The Choice of a Null Hypothesis*).

Sessions are learned after they close, in canonical order and in batches: predict, book the residuals, then learn.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from typing import NamedTuple

import msgspec

from streams.cell_regressions import CellRegression

#: Templates that follow the decision to buy, and so take credit for it.
LEFT_OUT = frozenset({"cart", "checkout", "order", "thanks"})
#: Templates that count as information in what was known.
INFORMATION = frozenset({"content", "help", "search", "other"})
#: Median of |z| when z is standard normal.
NORMAL_MEDIAN = 0.675
INTERVAL_QUANTILE = 1.96
#: Places into which |z| is counted, and how many make 1; the last place takes what lies beyond.
SIZES, SIZES_PER_UNIT = 256, 20
#: First views of a session that are learned and credited; a runaway session must not outweigh the others.
MAX_FIRST_VIEWS = 50

#: Sessions that are only learned from: the first predictions are about 0.5 for everyone.
WARM_SESSIONS = 200

_STEPS = ("0", "1", "2", "3", "4-5", "4-5", "6-8", "6-8", "6-8")


Known = tuple[str, str, bool, str, str, str, str]
"""What was known before a view; see `names`."""


class FirstView(NamedTuple):
    """The first view of a page in a session, and what was known before it."""

    page: str
    known: Known


class PageCredit(msgspec.Struct, array_like=True, gc=False):
    """Sums over a page's first views: their number, Σr, Σr², Σg(1 − g)."""

    sessions: int = 0
    residual: float = 0.0
    squares: float = 0.0
    variance: float = 0.0


class PurchaseModel(msgspec.Struct):
    """A site's regression of purchases on what was known, and the sessions that it has learned."""

    regression: CellRegression = msgspec.field(default_factory=CellRegression)
    sessions: int = 0


class CreditScore(msgspec.Struct, frozen=True, gc=False):
    """Purchases associated with a page beyond what was expected, their 95 % interval, and the rank score."""

    credit: float
    credit_low: float
    credit_high: float
    score: float


def names(
    template: str, source: str, returning: bool, depth: str, products: str, information: str, carts: str
) -> tuple[str, ...]:
    """Features of what was known before a view.

    >>> names("help", "paid", False, "4-5", "0", "2", "1")[3:]
    ('depth:4-5', 'products:0', 'information:2', 'carts:1', 'template-cart:help-True')
    """
    return (
        f"template:{template}",
        f"source:{source}",
        f"returning:{returning}",
        f"depth:{depth}",
        f"products:{products}",
        f"information:{information}",
        f"carts:{carts}",
        f"template-cart:{template}-{carts != '0'}",
    )


def first_views(
    views: Iterable[tuple[str, str]], *, source: str, returning: bool, purchased_after: int | None = None
) -> list[FirstView]:
    """Return a session's first views of pages, with what was known before each.

    Known are the template, the source, whether the visitor came back, the depth, the numbers of product,
    information and cart views so far (in coarse steps), and the template together with "has seen the cart".
    Cart, checkout and all that follows the purchase are left out; at most 50 are returned.

    Parameters
    ----------
    views
        Page and template of each view of the session, in order.
    source, returning
        Of the session.
    purchased_after
        Number of views before the purchase; None without one.

    Examples
    --------
    >>> views = [("/", "home"), ("/sizes", "help"), ("/cart", "cart"), ("/sizes", "help"), ("/faq", "help")]
    >>> [view.page for view in first_views(views, source="paid", returning=False, purchased_after=4)]
    ['/', '/sizes']
    >>> first_views(views, source="paid", returning=False)[2].known
    ('help', 'paid', False, '4-5', '0', '2', '1')
    """
    found: list[FirstView] = []
    seen: set[str] = set()
    products = information = carts = 0
    for position, (page, template) in enumerate(views):
        if (purchased_after is not None and position >= purchased_after) or len(found) >= MAX_FIRST_VIEWS:
            break
        if page not in seen:
            seen.add(page)
            if template not in LEFT_OUT:
                known = (
                    template,
                    source,
                    returning,
                    _step(position),
                    _step(products),
                    _step(information),
                    _step(carts),
                )
                found.append(FirstView(page, known))
        products += template == "product"
        information += template in INFORMATION
        carts += template == "cart"
    return found


def book_session(
    model: PurchaseModel, credits: Mapping[str, PageCredit], views: Sequence[FirstView], *, purchased: bool
) -> None:
    """Add a closed session to the credits of its pages, then learn from it.

    All its views are predicted before any is learned, so no view knows its own session's end. The first 200
    sessions of a site are learned and not booked. About 2 µs a view.

    Parameters
    ----------
    model
        The site's; changed.
    credits
        A record for every page in ``views``; changed.
    views
        From `first_views`.
    purchased
        Whether the session ended in a purchase.

    Examples
    --------
    >>> model, credits = PurchaseModel(sessions=WARM_SESSIONS), {"/sizes": PageCredit()}
    >>> view = FirstView("/sizes", ("help", "paid", False, "0", "0", "0", "0"))
    >>> book_session(model, credits, [view], purchased=True)
    >>> credits["/sizes"]
    PageCredit(sessions=1, residual=0.5, squares=0.25, variance=0.25)
    """
    y = 1 if purchased else 0
    regression = model.regression
    predict, add = regression.predict, regression.add
    books = model.sessions >= WARM_SESSIONS
    for view in views:
        cell = predict(view.known, names)
        add(cell, 1, y)
        if books:
            p = cell.probability
            residual = y - p
            credit = credits[view.page]
            credit.sessions += 1
            credit.residual += residual
            credit.squares += residual * residual
            credit.variance += p * (1.0 - p)
    regression.settle()
    model.sessions += 1


def size_of(credit: PageCredit) -> int | None:
    """Return the place of a page's |z|, z = Σr/√max(Σr², Σg(1 − g)); None before it has any variance.

    Examples
    --------
    >>> size_of(PageCredit(100, -5.0, 20.0, 25.0)), size_of(PageCredit(1, 9e9, 1.0, 1.0)), size_of(PageCredit())
    (20, 255, None)
    """
    variance = _variance(credit)
    if not variance > 0.0:
        return None
    return int(min(SIZES - 1.0, SIZES_PER_UNIT * abs(credit.residual) / sqrt(variance)))


def widening(sizes: Sequence[int]) -> float:
    """Return by how much the pages' z-values are wider than chance alone makes them, at least 1.

    max(1, median |z| / 0.675). The median is about 0, not about the median z: a site whose pages are all
    associated with purchases has unseen intent, not only good pages. It is that of the places, evenly spread
    within each: off by 0.05 at most.

    Parameters
    ----------
    sizes
        Number of pages at each place.

    Examples
    --------
    >>> sizes = [0] * SIZES
    >>> for z in (-2.7, 1.35, 0.1):
    ...     sizes[size_of(PageCredit(100, z * 5.0, 20.0, 25.0))] += 1
    >>> round(widening(sizes), 2)
    2.04
    >>> widening([0] * SIZES)
    1.0
    """
    half = sum(sizes) / 2
    below = 0
    for place, pages in enumerate(sizes):
        if pages and below + pages >= half:
            middle = place + (half - below) / pages
            return max(1.0, middle / SIZES_PER_UNIT / NORMAL_MEDIAN)
        below += pages
    return 1.0


def score(credit: PageCredit, widening: float = 1.0) -> CreditScore:
    """Return a page's credit, in purchases.

    Score Σr − s and interval Σr ± 1.96 s, with s the root of max(Σr², Σg(1 − g)), widened. The greater of
    the two variances counts: Σr² alone is too small for pages whose few sessions all went as expected.

    Parameters
    ----------
    credit
        The page's sums.
    widening
        From `widening`, over all pages of the site.

    Examples
    --------
    >>> found = score(PageCredit(100, 12.0, 20.0, 25.0), widening=2.0)
    >>> round(found.credit_low, 1), round(found.credit_high, 1), found.score
    (-7.6, 31.6, 2.0)
    """
    error = widening * sqrt(_variance(credit))
    reach = INTERVAL_QUANTILE * error
    return CreditScore(
        credit.residual, credit.residual - reach, credit.residual + reach, credit.residual - error
    )


def _variance(credit: PageCredit) -> float:
    return max(credit.squares, credit.variance)


def _step(count: int) -> str:
    return _STEPS[count] if count < len(_STEPS) else "9+"
