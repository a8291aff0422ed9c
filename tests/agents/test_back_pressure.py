"""Back-pressure: a burst under a broker that takes little stays in the log, and memory within its bounds."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient
from kafka.protocol.admin.client_quotas import AlterClientQuotasRequest

from agents.broker import EmbeddedKafka
from agents.merging import ENOUGH, ENOUGH_BYTES
from agents.units import AHEAD_BYTES, SLICE
from schemas.topics import PartitionCounts
from streams.settings import Settings
from tests.agents.probed_worker import FIRST_PRODUCER, OUT, UNITS
from tests.agents.product import Deployment, differences, final, replayed, shop_events

BURST = 20
"""Times as much as came before."""
LITTLE = 200_000
"""Bytes a second that the broker takes from a worker, a tenth of what the burst makes it write."""
CLIENTS = [f"aiokafka-producer-{FIRST_PRODUCER + number}" for number in (1, 2, 3)]
FOLD_AHEAD = 1_000
"""Instead of the worker's own, which a few thousand events would not reach on a machine that is busy elsewhere."""
FETCH_BYTES = 1 << 20
"""That a fetch brings of a partition, if more than one record is in it."""
STANDS_S = 2.0
INPUTS = ["page-views", "interactions", "orders", "identities", "consents", "feedback"]


def limit_writes(kafka: str, rate: float | None) -> None:
    """Let the broker take so many bytes a second from a worker (None: any number)."""
    request = AlterClientQuotasRequest
    data = request.EntryData
    ops = [data.OpData(key="producer_byte_rate", value=rate or 0.0, remove=rate is None)]
    entries = [
        data(entity=[data.EntityData(entity_type="client-id", entity_name=client)], ops=ops)
        for client in CLIENTS
    ]
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    # The library has this request, and no method for it.
    answer = admin._manager.run(admin._manager.send, request(entries=entries, validate_only=False))
    admin.close()
    assert [found.error_code for found in answer.entries] == [0] * len(CLIENTS)


def most_memory(pid: int) -> int:
    """Most bytes that a process has held."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) << 10


def stand_still(probe: Path, deployment: Deployment) -> dict[str, int]:
    """Wait until a unit has folded as far ahead as it may, and some seconds more; what the probe saw."""
    limit = time.monotonic() + 90
    while (seen := json.loads(probe.read_text())).get("pending", 0) <= FOLD_AHEAD:
        assert time.monotonic() < limit, f"{seen}\n{deployment.logs()}"
        time.sleep(0.2)
    time.sleep(STANDS_S)
    stands: dict[str, int] = json.loads(probe.read_text())
    return stands


@pytest.mark.timeout(300)
def test_a_burst_under_a_slow_broker_stays_in_the_log_and_not_in_memory(tmp_path: Path) -> None:
    """A worker holds what the bounds of its parts add up to, however much waits; later all of it arrives."""
    events = shop_events(hours=0.6, sessions_per_hour=1_200)
    usual = len(events) // (BURST + 1)
    probe = tmp_path / "probe"
    # Set otherwise from outside, to see this test fail.
    switches = os.environ.get(UNITS, f"FOLD_AHEAD={FOLD_AHEAD}")
    counts = PartitionCounts()
    with EmbeddedKafka() as own:  # the shared one must not be slow
        deployment = Deployment(own.bootstrap, tmp_path, {OUT: str(probe), UNITS: switches})
        try:
            worker = deployment.worker(module="tests.agents.probed_worker")
            deployment.publish(events[:usual])
            deployment.wait_until_done()
            before = most_memory(worker.pid)
            limit_writes(own.bootstrap, LITTLE)
            deployment.publish(events[usual:])
            seen = stand_still(probe, deployment)
            grown = most_memory(worker.pid) - before
            limit_writes(own.bootstrap, None)
            # A slice has some more where a record is applied in parts, for each of its parts counts.
            assert seen["slice"] <= 2 * SLICE
            assert FOLD_AHEAD < seen["pending"] <= FOLD_AHEAD + seen["slice"]
            assert seen["pending_bytes"] <= AHEAD_BYTES + seen["slice_bytes"]
            assert seen["fetched_bytes"] <= FETCH_BYTES
            assert seen["held"] < ENOUGH + seen["fetched"]
            assert seen["held_bytes"] < ENOUGH_BYTES + FETCH_BYTES
            units = 1 + counts.visitors + 2 * counts.sites
            # Of a unit one batch is on its way while the next is made; of a partition a fetch waits in the client.
            bound = units * 2 * (AHEAD_BYTES + seen["slice_bytes"])
            bound += len(INPUTS) * counts.inputs * (ENOUGH_BYTES + 2 * FETCH_BYTES)
            assert grown < bound, (grown, bound)
            deployment.end(Settings())
            deployment.wait_until_done()
            assert worker.poll() is None, deployment.logs()
            found = deployment.read(list(final([])))
        finally:
            deployment.close()
    wanted = replayed(events, Settings(), counts.visitors)
    assert differences(final(found), final(wanted)) == {}
