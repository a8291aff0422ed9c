"""Purchase credit: pages after which more is bought than their visitors promised before.

Counting purchases of sessions that saw a page credits every page on the way to the checkout. Instead, at the
first view of a page in a session, a regression says how probable a purchase is from what was known *before*
that view. What the session then did beyond that is the page's residual, r = purchase − g. If g is right and
the page changes nothing, r averages to zero, whoever comes to the page and however near to the checkout.

It is an association, not an effect: intent that nothing showed before the view still moves visitors to pages.
The spread of all pages' z-values measures how much, and widens the intervals (the empirical null of Efron,
2004, *Large-Scale Simultaneous Hypothesis Testing: The Choice of a Null Hypothesis*).

Sessions are learned after they close, in canonical order: predict, book the residuals, then learn.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from statistics import median
from typing import NamedTuple

import msgspec

from streams.regressions import FlatRegression, probability

#: Templates that follow the decision to buy, and so take credit for it.
LEFT_OUT = frozenset({"cart", "checkout", "order", "thanks"})
#: Templates that count as information in what was known.
INFORMATION = frozenset({"content", "help", "search", "other"})
#: Median of |z| when z is standard normal.
NORMAL_MEDIAN = 0.675
INTERVAL_QUANTILE = 1.96
#: First views of a session that are learned and credited; a runaway session must not outweigh the others.
MAX_FIRST_VIEWS = 50

#: Sessions that are only learned from: the first predictions are about 0.5 for everyone.
WARM_SESSIONS = 200

_STEPS = ("0", "1", "2", "3", "4-5", "4-5", "6-8", "6-8", "6-8")


class FirstView(NamedTuple):
    """The first view of a page in a session, and the features of what was known before it."""

    page: str
    known: tuple[str, ...]


class PageCredit(msgspec.Struct, array_like=True, gc=False):
    """Sums over a page's first views: their number, Σr, Σr², Σg(1 − g)."""

    sessions: int = 0
    residual: float = 0.0
    squares: float = 0.0
    variance: float = 0.0


class PurchaseModel(msgspec.Struct):
    """A site's regression of purchases on what was known, and the sessions that it has learned."""

    regression: FlatRegression = msgspec.field(default_factory=FlatRegression)
    sessions: int = 0


class CreditScore(msgspec.Struct, frozen=True, gc=False):
    """Purchases associated with a page beyond what was expected, their 95 % interval, and the rank score."""

    credit: float
    credit_low: float
    credit_high: float
    score: float


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
    >>> first_views(views, source="paid", returning=False)[2].known[3:]
    ('depth:4-5', 'products:0', 'information:2', 'carts:1', 'template-cart:help-True')
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
                    f"template:{template}",
                    f"source:{source}",
                    f"returning:{returning}",
                    f"depth:{_step(position)}",
                    f"products:{_step(products)}",
                    f"information:{_step(information)}",
                    f"carts:{_step(carts)}",
                    f"template-cart:{template}-{carts > 0}",
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
    sessions of a site are learned and not booked. About 4 µs a view.

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
    >>> book_session(model, credits, [FirstView("/sizes", ("template:help",))], purchased=True)
    >>> credits["/sizes"]
    PageCredit(sessions=1, residual=0.5, squares=0.25, variance=0.25)
    """
    y = 1 if purchased else 0
    regression = model.regression
    enrolled = [regression.enrol(view.known) for view in views]
    if model.sessions >= WARM_SESSIONS:
        for view, indices in zip(views, enrolled, strict=True):
            p = probability(regression.predict_logit(indices))
            residual = y - p
            credit = credits[view.page]
            credit.sessions += 1
            credit.residual += residual
            credit.squares += residual * residual
            credit.variance += p * (1.0 - p)
    for indices in enrolled:
        regression.learn(indices, 1, y)
    model.sessions += 1


def widening(credits: Iterable[PageCredit]) -> float:
    """Return by how much the pages' z-values are wider than chance alone makes them, at least 1.

    max(1, median |z| / 0.675), z = Σr/√max(Σr², Σg(1 − g)). The median is about 0, not about the median z:
    a site whose pages are all associated with purchases has unseen intent, not only good pages.

    Examples
    --------
    >>> widening([PageCredit(100, z * 5.0, 20.0, 25.0) for z in (-2.7, 1.35, 0.1)])
    2.0
    >>> widening([])
    1.0
    """
    sizes = [
        abs(credit.residual) / sqrt(variance) for credit in credits if (variance := _variance(credit)) > 0.0
    ]
    return max(1.0, median(sizes) / NORMAL_MEDIAN) if sizes else 1.0


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
