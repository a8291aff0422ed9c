"""A flat regression that learns in batches, from views summed up by their context.

Most views share their context with others. To predict and to learn each by itself costs ten times what counting
costs, and says nothing more: so views are counted by cell, the weights stand still while a batch fills, and each
cell's logit is computed once a batch. A batch is an eighth of what has been learned so far, and never more than
`MAX_BATCH_VIEWS`: a young model learns almost view by view.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, Final

import msgspec

from streams.regressions import FlatRegression, probability

MAX_BATCH_VIEWS: Final = 2048
"""Views that share one set of weights."""
BATCH_SHARE: Final = 8
"""A batch is at most one part in so many of the views learned before."""
_MAX_CELLS: Final = 8192

Names = Callable[..., tuple[str, ...]]
"""Names of a context's features."""


class Entry(msgspec.Struct, array_like=True, gc=False):
    """Views of the running batch with the same features, given by indices, and the positives among them."""

    indices: tuple[int, ...]
    views: int
    positives: int


class CellPrediction:
    """What is predicted for a context as long as the batch runs."""

    __slots__ = ("batch", "entry", "indices", "logit", "probability")

    def __init__(self, indices: tuple[int, ...]) -> None:
        self.indices = indices
        self.batch = -1
        self.logit = 0.0
        self.probability = 0.5
        self.entry: Entry | None = None


class CellRegression(msgspec.Struct, dict=True):
    """A logistic regression over contexts.

    About 0.5 µs a view beyond the first of its cell and batch, which costs 7 µs. State is bounded: the regression's
    features, and `MAX_BATCH_VIEWS` entries.

    Parameters
    ----------
    regression
        The weights.
    pending
        What the running batch has seen, in order of first appearance.
    waiting, learned
        Views in the running batch, and in all before it.

    Examples
    --------
    >>> model = CellRegression()
    >>> def names(device: str) -> tuple[str, ...]:
    ...     return (f"device:{device}",)
    >>> for _ in range(300):
    ...     model.add(model.predict(("mobile",), names), 10, 4)
    ...     model.settle()
    >>> round(model.predict(("mobile",), names).probability, 2)
    0.4
    """

    regression: FlatRegression = msgspec.field(default_factory=FlatRegression)
    pending: list[Entry] = []
    waiting: int = 0
    learned: int = 0

    def predict(self, context: tuple[Any, ...], names: Names) -> CellPrediction:
        """Predict for a context; valid until `settle`.

        Parameters
        ----------
        context
            Hashable; given to `names` part by part when it is met for the first time.
        names
            Tells the features of a context; must depend on nothing else.
        """
        cell = self._cells.get(context)
        if cell is None:
            if len(self._cells) >= _MAX_CELLS:
                self._cells.clear()
            cell = self._cells[context] = CellPrediction(self.regression.enrol(names(*context)))
        if cell.batch != self.learned:
            cell.batch, cell.entry = self.learned, None
            cell.logit = self.regression.predict_logit(cell.indices)
            cell.probability = probability(cell.logit)
        return cell

    def add(self, cell: CellPrediction, views: int, positives: int) -> None:
        """Count views of a cell, and the positives among them; nothing is learned yet."""
        entry = cell.entry
        if entry is None:
            entry = self._entries.get(cell.indices)
            if entry is None:
                entry = self._entries[cell.indices] = Entry(cell.indices, 0, 0)
                self.pending.append(entry)
            cell.entry = entry
        entry.views += views
        entry.positives += positives
        self.waiting += views

    def fold(
        self, cells: Iterable[tuple[tuple[Any, ...], int, int]], names: Names, learns: bool
    ) -> list[tuple[float, int, int]]:
        """Predict for cells (context, views, positives), `add` each if `learns`, and `settle`.

        The same as calls one by one, at half the price.

        Returns
        -------
        list
            Of each cell the logit before anything of it was learned, its views, and its positives.

        >>> model = CellRegression()
        >>> model.fold([(("mobile",), 10, 4)], lambda device: (f"device:{device}",), True)
        [(0.0, 10, 4)]
        >>> model.learned
        10
        """
        known, learned = self._cells, self.learned
        seen, waiting = [], 0
        for context, views, positives in cells:
            cell = known.get(context)
            if cell is None or cell.batch != learned:
                cell = self.predict(context, names)
            seen.append((cell.logit, views, positives))
            if learns:
                entry = cell.entry
                if entry is None:
                    self.add(cell, views, positives)
                    continue
                entry.views += views
                if positives:
                    entry.positives += positives
                waiting += views
        if waiting:
            self.waiting += waiting
        self.settle()
        return seen

    def settle(self) -> None:
        """Learn, if the batch is full. To be called where the order of views is canonical."""
        waiting = self.waiting
        if waiting < MAX_BATCH_VIEWS and BATCH_SHARE * waiting <= self.learned:
            return
        learn = self.regression.learn
        for entry in self.pending:
            learn(entry.indices, entry.views, entry.positives)
        self.learned += waiting
        self.waiting = 0
        self.pending.clear()
        self._entries.clear()

    def move(self, names: Iterable[str], by: float) -> None:
        """Add to the weights of features, those that are known; what the running batch has seen is kept.

        >>> model = CellRegression()
        >>> mobile = (("mobile",), lambda device: (f"device:{device}",))
        >>> model.predict(*mobile).logit
        0.0
        >>> model.move(["device:mobile", "device:none"], 0.5)
        >>> model.predict(*mobile).logit
        0.5
        """
        for index in self.regression.lookup(names)[1:]:
            self.regression.weights[index] += by
        self._cells.clear()

    def move_all(self, by: float) -> None:
        """Add to the constant weight: to every context."""
        self.regression.weights[0] += by
        self._cells.clear()

    @cached_property
    def _cells(self) -> dict[tuple[Any, ...], CellPrediction]:
        return {}

    @cached_property
    def _entries(self) -> dict[tuple[int, ...], Entry]:
        return {entry.indices: entry for entry in self.pending}
