"""Token buckets: how much somebody may send, on average and at once, with bounded memory.

A bucket fills at a steady rate up to its burst; what is sent takes tokens out, and what finds too few is refused
and told when there will be enough (Turner, 1986, "New directions in communications").
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

MAX_BUCKETS: Final = 65_536
"""Keys remembered, some 10 MB; least recently used forgotten first, as if their buckets were full."""


class TokenBuckets:
    """One bucket a key; each look costs about 1 µs.

    Parameters
    ----------
    rate
        Tokens that come back, a second; above 0.
    burst
        Tokens of a full bucket: so much may go at once.
    most
        Keys remembered at a time.

    Examples
    --------
    >>> buckets = TokenBuckets(rate=2.0, burst=3.0)
    >>> [buckets.take("ann", now_s) for now_s in (0.0, 0.0, 0.0, 0.0, 0.5)]
    [0.0, 0.0, 0.0, 0.5, 0.0]
    """

    def __init__(self, rate: float, burst: float, most: int = MAX_BUCKETS) -> None:
        self._rate = rate
        self._burst = burst
        self._most = most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str, now_s: float, tokens: float = 1.0) -> float:
        """Take tokens out of a bucket, or none of them.

        Parameters
        ----------
        key
            Whose.
        now_s
            Seconds of a clock that only goes on.
        tokens
            How many; more than a full bucket holds count as one that is full.

        Returns
        -------
        float
            0.0 where they were there; else the seconds until they are, and nothing was taken.
        """
        wanted = min(tokens, self._burst)
        held, since_s = self._buckets.pop(key, (self._burst, now_s))
        held = min(self._burst, held + (now_s - since_s) * self._rate)
        wait_s = 0.0 if held >= wanted else (wanted - held) / self._rate
        self._buckets[key] = (held if wait_s else held - wanted, now_s)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return wait_s
