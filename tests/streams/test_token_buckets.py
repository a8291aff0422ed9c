"""Token buckets: bursts pass, averages hold, memory is bounded."""

from hypothesis import given
from hypothesis import strategies as st

from streams.token_buckets import TokenBuckets


def test_a_burst_passes_then_the_rate_holds() -> None:
    buckets = TokenBuckets(rate=10.0, burst=5.0)
    assert [buckets.take("a", 0.0) for _ in range(5)] == [0.0] * 5
    assert buckets.take("a", 0.0) > 0
    assert buckets.take("b", 0.0) == 0.0, "another's bucket is another's"
    assert buckets.take("a", 0.05) > 0, "half a token is none"
    assert buckets.take("a", 0.125) == 0.0


def test_what_is_more_than_a_bucket_waits_for_a_full_one() -> None:
    buckets = TokenBuckets(rate=1.0, burst=4.0)
    assert buckets.take("a", 0.0, 100.0) == 0.0
    assert buckets.take("a", 0.0, 100.0) == 4.0
    assert buckets.take("a", 4.0, 100.0) == 0.0


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0.1, 5)), max_size=60))
def test_never_more_than_burst_and_rate_allow(steps: list[tuple[float, float]]) -> None:
    buckets, now_s, taken = TokenBuckets(rate=3.0, burst=7.0), 0.0, 0.0
    for pause_s, tokens in steps:
        now_s += pause_s
        wait_s = buckets.take("a", now_s, tokens)
        taken += 0.0 if wait_s else tokens
        assert taken <= 7.0 + 3.0 * now_s + 1e-6
        assert wait_s <= 5 / 3.0 + 1e-6


def test_keys_are_forgotten_beyond_a_bound_the_oldest_first() -> None:
    buckets = TokenBuckets(rate=0.001, burst=1.0, most=100)
    for number in range(1_000):
        buckets.take(str(number), 0.0)
    assert len(buckets) == 100
    assert buckets.take("999", 0.0) > 0
    assert buckets.take("0", 0.0) == 0.0
