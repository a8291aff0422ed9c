"""What every test shares: a real broker, and one deterministic Hypothesis profile."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from agents.broker import BrokerError, EmbeddedKafka

# The same examples in every run, so that red is red for everyone; HYPOTHESIS_PROFILE=search looks for others.
settings.register_profile(
    "culdesac", deadline=None, derandomize=True, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "search", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "culdesac"))


@pytest.fixture(scope="session")
def kafka() -> Iterator[EmbeddedKafka]:
    """Give a real one-node Kafka, shared by the whole run: use topic and group names of your own."""
    broker = EmbeddedKafka()
    try:
        broker.start()
    except BrokerError as error:
        # CI sets this, so that a broken broker cannot pass as a skip.
        if os.environ.get("REQUIRE_KAFKA"):
            raise
        pytest.skip(f"no embedded Kafka here: {error}")
    with broker:
        yield broker
