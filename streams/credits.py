"""Purchase credit: pages after which more is bought than their visitors promised before.

Counting purchases of sessions that saw a page credits every page on the way to the checkout. Instead, at the
first view of a page in a session, a regression says how probable a purchase is from what was known *before*
that view. What the session then did beyond that is the page's residual, r = purchase − g. If g is right and
the page changes nothing, r averages to zero, whoever comes to the page and however near to the checkout.

It is an association, not an effect: intent that nothing showed before the view still moves visitors to pages. How
far that goes is measured on all pages of a site, see `streams.empirical_nulls`.

A page is compared with others of its template. For templates a second regression says how probable a purchase is
from all that was known but the template itself.

Sessions are learned after they close, in canonical order and in batches: predict, book the residuals, then learn.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from streams.cell_regressions import CellRegression, Names

#: Templates that follow the decision to buy, and so take credit for it.
LEFT_OUT = frozenset({"cart", "checkout", "order", "thanks"})
#: Templates that count as information in what was known.
INFORMATION = frozenset({"content", "help", "search", "other"})
#: First views of a session that are learned and credited; a runaway session must not outweigh the others.
MAX_FIRST_VIEWS = 50

#: Sessions that are only learned from: the first predictions are about 0.5 for everyone.
WARM_SESSIONS = 200

_STEPS = ("0", "1", "2", "3", "4-5", "4-5", "6-8", "6-8", "6-8")


class FirstView(NamedTuple):
    """The first view of a page in a session, and what was known before it."""

    page: str
    known: tuple[Any, ...]


class PageCredit(msgspec.Struct, array_like=True, gc=False):
    """Sums over first views: their number, Σr, Σr², Σg(1 − g), Σg."""

    sessions: int = 0
    residual: float = 0.0
    squares: float = 0.0
    variance: float = 0.0
    expected: float = 0.0

    def add(self, p: float, y: int) -> None:
        """Add a first view whose session was to purchase with probability `p`, and did or not (1 or 0).

        >>> credit = PageCredit()
        >>> credit.add(0.5, 1)
        >>> credit
        PageCredit(sessions=1, residual=0.5, squares=0.25, variance=0.25, expected=0.5)
        """
        residual = y - p
        self.sessions += 1
        self.residual += residual
        self.squares += residual * residual
        self.variance += p * (1.0 - p)
        self.expected += p


class PurchaseModel(msgspec.Struct):
    """A site's regression of purchases on what was known, and the sessions that it has learned."""

    regression: CellRegression = msgspec.field(default_factory=CellRegression)
    sessions: int = 0


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


def names_before(
    source: str, returning: bool, depth: str, products: str, information: str, carts: str
) -> tuple[str, ...]:
    """Features of what was known before a view, without its own template.

    >>> names_before("paid", False, "4-5", "0", "2", "1")[-2:]
    ('carts:1', 'depth-cart:4-5-True')
    """
    return (
        f"source:{source}",
        f"returning:{returning}",
        f"depth:{depth}",
        f"products:{products}",
        f"information:{information}",
        f"carts:{carts}",
        f"depth-cart:{depth}-{carts != '0'}",
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
    model: PurchaseModel,
    views: Sequence[FirstView],
    *,
    purchased: bool,
    names: Names = names,
    left_out: int = 0,
) -> list[float]:
    """Return how probable a purchase was before each view of a closed session, then learn from it.

    All its views are predicted before any is learned, so no view knows its own session's end. About 1.5 µs a view.

    Parameters
    ----------
    model
        The site's; changed.
    views
        From `first_views`.
    purchased
        Whether the session ended in a purchase.
    names
        Features of what was known: `names`; or `names_before` for templates, for which all first views are learned
        from, or a template would be compared with itself wherever others come earlier.
    left_out
        How many of the first things known the names are not told: 1 for templates.

    Returns
    -------
    list of float
        One a view, for `PageCredit.add`; none for the first 200 sessions of a site, which are only learned from.

    Examples
    --------
    >>> model = PurchaseModel(sessions=WARM_SESSIONS)
    >>> view = FirstView("/sizes", ("help", "paid", False, "0", "0", "0", "0"))
    >>> book_session(model, [view], purchased=True)
    [0.5]
    """
    y = 1 if purchased else 0
    regression = model.regression
    predict, add = regression.predict, regression.add
    found = []
    for _, known in views:
        cell = predict(known[left_out:], names)
        add(cell, 1, y)
        found.append(cell.probability)
    regression.settle()
    model.sessions += 1
    return found if model.sessions > WARM_SESSIONS else []


def _step(count: int) -> str:
    return _STEPS[count] if count < len(_STEPS) else "9+"
