"""As many sessions as the power asks for: tried out on made-up tests."""

from __future__ import annotations

import numpy as np
import pytest

from streams.sample_sizes import sessions_per_arm


@pytest.mark.parametrize(("usual", "expected"), [(0.05, 0.065), (0.1, 0.08), (0.02, 0.03)])
def test_four_of_five_experiments_of_that_size_find_the_change(usual: float, expected: float) -> None:
    n = sessions_per_arm(usual, expected)
    assert n is not None
    rng = np.random.default_rng(1)
    one, other = rng.binomial(n, usual, 20_000) / n, rng.binomial(n, expected, 20_000) / n
    mean = (one + other) / 2
    z = (other - one) / np.sqrt(2 * mean * (1 - mean) / n)
    assert np.mean(np.abs(z) > 1.96) == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize(("usual", "expected"), [(0.05, 0.05), (0.99, 1.01), (0.01, -0.01)])
def test_what_can_t_be_told_apart_needs_no_number(usual: float, expected: float) -> None:
    assert sessions_per_arm(usual, expected) is None
