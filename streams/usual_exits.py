"""Usual exits: how much more often than elsewhere visits end on a page in a dead end, while it has no alert."""

from __future__ import annotations

from math import exp

import msgspec

from streams.regressions import MAX_LOGIT

USUAL_PRIOR, USUAL_INFORMATION = 6.25, 200.0
"""Information that draws a page's usual logit towards its context, for pages of a template differ by .4; and how
much there is of it at most."""


class UsualExits(msgspec.Struct, array_like=True, gc=False):
    """By which logit dead ends are more frequent on a page than in its context, of late.

    Sums over all its past would say less: pages drift, and so does what their context is taken for.
    """

    logit: float = 0.0
    information: float = 0.0

    def learn(self, context: float, left: int) -> None:
        """Take a view in, by one Newton step under the prior N(0, 1/6.25), its information being p(1 − p).

        About 1.5 µs. Information grows to 200 at most, so that what was seen is forgotten in some thousand views: a
        Kalman filter of a constant with forgetting, like the detector's effect of a page.

        Parameters
        ----------
        context
            Logit by which the view was to be expected to be a dead end, by its context.
        left
            1 if it was a dead end, else 0.

        Examples
        --------
        >>> usual = UsualExits()
        >>> for number in range(2000):
        ...     usual.learn(0.0, left=number % 4 > 0)
        >>> round(usual.logit, 1)
        1.1
        """
        odds = exp(max(-MAX_LOGIT, min(MAX_LOGIT, context + self.logit)))
        p = odds / (1.0 + odds)
        self.information = min(USUAL_INFORMATION, self.information + p * (1.0 - p))
        self.logit += (left - p) / (USUAL_PRIOR + self.information)
