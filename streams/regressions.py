"""An online logistic regression on one-hot features, as flat lists of floats.

It answers one question a few times per page view: given the context, how probable is a stall (or a
purchase)? Two lists and a dict are all its state, so it costs a fraction of a general model's time and
goes through JSON without losing a bit.

The optimiser is AdaGrad (Duchi, Hazan and Singer, 2011, *Adaptive Subgradient Methods for Online Learning
and Stochastic Optimization*). There is no intercept with a rate of its own: an intercept learned fast takes
every shift of the whole site into itself within minutes, which hides from the detector exactly what it
looks for. A constant feature, slowed by AdaGrad like all others, does its work.
"""

from collections.abc import Iterable, Sequence
from math import exp, sqrt

import msgspec

#: The name of the constant feature; it always has index 0.
CONSTANT = ""
#: Views that share one gradient step. One step for a flood of 5,000 equal views overshoots for an hour.
MAX_STEP_VIEWS = 8
#: Logits beyond this are all the same probability, and exp() of them is still far from overflow.
MAX_LOGIT = 30.0

_EPSILON = 1e-8


def probability(logit: float) -> float:
    """Return the logistic function of a logit, which is first clipped to ±30.

    Examples
    --------
    >>> probability(0.0)
    0.5
    >>> 0.0 < probability(-1e9) < 1e-12
    True
    """
    odds = exp(min(MAX_LOGIT, max(-MAX_LOGIT, logit)))
    return odds / (1.0 + odds)


class FlatRegression(msgspec.Struct):
    """A logistic regression over named one-hot features, learned by AdaGrad.

    Costs about 1 µs for a prediction and 2 µs for a step of eight features. Memory is bounded by
    ``max_features``: features that appear later are left out, as if their weight were zero.

    Parameters
    ----------
    rate
        AdaGrad's step size.
    max_features
        Greatest number of features, the constant one included.
    features
        Index of each feature in the two lists.
    weights
        Logit of each feature.
    squares
        Sum of squared gradients of each feature.

    Examples
    --------
    >>> model = FlatRegression()
    >>> mobile = model.enrol(["device:mobile"])
    >>> for _ in range(200):
    ...     _ = model.learn(mobile, n=10, y=4)
    >>> round(probability(model.predict_logit(mobile)), 2)
    0.4
    """

    rate: float = 0.1
    max_features: int = 4096
    features: dict[str, int] = msgspec.field(default_factory=lambda: {CONSTANT: 0})
    weights: list[float] = msgspec.field(default_factory=lambda: [0.0])
    squares: list[float] = msgspec.field(default_factory=lambda: [0.0])

    def enrol(self, features: Iterable[str]) -> tuple[int, ...]:
        """Return the indices of features, adding those that are new while there is room.

        The result stays valid for the life of the model, so it can be cached with the cell.

        Examples
        --------
        >>> model = FlatRegression(max_features=2)
        >>> model.enrol(["source:paid"]), model.enrol(["source:email"])
        ((0, 1), (0,))
        """
        indices = [0]
        for name in features:
            index = self.features.get(name)
            if index is None:
                index = len(self.weights)
                if index >= self.max_features:
                    continue
                self.features[name] = index
                self.weights.append(0.0)
                self.squares.append(0.0)
            indices.append(index)
        return tuple(indices)

    def lookup(self, features: Iterable[str]) -> tuple[int, ...]:
        """Return the indices of those features that are known; never changes the model.

        Examples
        --------
        >>> FlatRegression().lookup(["source:paid"])
        (0,)
        """
        known = self.features
        return (0, *(known[name] for name in features if name in known))

    def predict_logit(self, indices: Sequence[int]) -> float:
        """Return the logit for a set of features given by their indices; never changes the model."""
        weights = self.weights
        logit = 0.0
        for index in indices:
            logit += weights[index]
        return logit

    def learn(self, indices: Sequence[int], n: int, y: int) -> float:
        """Predict, then learn that y of n views with these features were positive.

        A cell is learned in chunks of at most eight views, each predicted anew, with the positives spread
        evenly over them. In a chunk the gradient is g = np − y, and AdaGrad's sum grows by the squares of
        the single views, y(1 − p)² + (n − y)p², so that a cell weighs what its views would have weighed.

        Parameters
        ----------
        indices
            From `enrol` or `lookup`.
        n
            Views in the cell; nothing is learned from 0.
        y
            Positives among them, 0 ≤ y ≤ n.

        Returns
        -------
        float
            The logit before anything of this cell was learned.

        Examples
        --------
        >>> model = FlatRegression()
        >>> model.learn((0,), n=1, y=1), round(model.weights[0], 3)
        (0.0, 0.1)
        """
        first = logit = self.predict_logit(indices)
        if n <= MAX_STEP_VIEWS:
            self._step(indices, n, y, logit)
            return first
        done = taken = 0
        while done < n:
            size = min(MAX_STEP_VIEWS, n - done)
            done += size
            positives = y * done // n - taken
            taken += positives
            self._step(indices, size, positives, logit)
            logit = self.predict_logit(indices)
        return first

    def _step(self, indices: Sequence[int], n: int, y: int, logit: float) -> None:
        odds = exp(min(MAX_LOGIT, max(-MAX_LOGIT, logit)))
        p = odds / (1.0 + odds)
        q = 1.0 - p
        gradient = n * p - y
        square = y * q * q + (n - y) * p * p
        pull = self.rate * gradient
        weights = self.weights
        squares = self.squares
        for index in indices:
            total = squares[index] = squares[index] + square
            weights[index] -= pull / sqrt(total + _EPSILON)
