"""The runner: carries stages on Faust and Kafka, knowing nothing of what they do.

::

    input topics ──► source units ──► outputs ─┐
                          │ marks              ├─► Kafka
    logs ──────────► log units ─────► outputs ─┘
                          └─ state + fence ──► changelog ──► local store ──► source offset

A worker owns some partitions. For each it has a unit a stage (`agents/units.py`, the order of writes); Faust's
consumer hands whole batches to them (`agents/pump.py`); at each new assignment their state is brought up to date
first (`agents/recovery.py`, `agents/stores.py`); marks of the inputs go into the visitors' log
(`agents/marking.py`). Whatever it can't do right it does not do: it says why and exits, with these codes: 70 a
batch failed; 71 commits stand still; 72 nothing assigned; 73 records are missing; 74 the state can't be used;
75 the event loop stood still; 76 another worker wrote to a changelog of ours; 77 this worker stood still for so
long that the group may have given it up; 78 a record went past the pump; 79 the last commit got no answer.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
import traceback
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, cast

from faust.types import TP

from agents.changelogs import StoreError
from agents.deployments import Deployment
from agents.local_copies import lock_folder
from agents.log_units import LogUnit
from agents.marking import LOG, Marker
from agents.pump import PumpApp, PumpConsumer, WholeAssignor
from agents.sending import Sender
from agents.source_units import InputPartition
from agents.stores import ForeignWriterError
from agents.takeover import Owned, Takeover

log = logging.getLogger(__name__)

LEASE = 0.8
"""Part of the session time that the event loop may stand still: beyond, someone else may own the partitions."""
SAY_S = 2.0
"""How long it may take to say why a worker ends."""
_WITH_TRACEBACK = (70, 74)
"""Codes behind which there may be an error of ours; the others say all in their line."""


class Runner:
    """Units of the partitions that this worker owns.

    Attributes
    ----------
    generation
        Of the group, in which the units were opened.
    is_open
        Whether records may be folded.
    owned
        Units of the partitions that this worker owns.
    progress_at
        When a takeover last got on (s, monotonic): a long one is no standstill.
    marker
        Writes marks while partitions are held; None before, and where no input is read.

    Raises
    ------
    StoreError
        Another worker uses the data folder.
    """

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self._lock = lock_folder(deployment.data_dir)
        self.sender = Sender(
            deployment.kafka, deployment.prefix, deployment.send_limit_s, security=deployment.security
        )
        self.generation = -1
        self.is_open = False
        self.progress_at = time.monotonic()
        self.marker: Marker | None = None
        self.owned = Owned()
        self._tasks: list[asyncio.Task[None]] = []
        self._opening: asyncio.Task[None] | None = None
        self._beat = time.monotonic()
        self._started = False
        self.app = self._make_app()
        self.app.runner = self

    def _make_app(self) -> PumpApp:
        deployment = self.deployment
        app = PumpApp(
            deployment.app_id,
            broker=f"kafka://{deployment.kafka.replace(',', ';')}",
            broker_credentials=deployment.security.credentials(),
            consumer_group_instance_id=deployment.instance_id,
            datadir=str(deployment.data_dir / "faust"),
            autodiscover=False,
            PartitionAssignor=WholeAssignor,
            web_enabled=False,
            topic_disable_leader=True,
            topic_allow_declare=False,
            processing_guarantee="at_least_once",
            consumer_auto_offset_reset="earliest",
            stream_wait_empty=True,
            producer_acks=-1,
            broker_commit_interval=1.0,
            broker_session_timeout=deployment.session_s,
            broker_heartbeat_interval=min(2.0, deployment.session_s / 4),
            broker_request_timeout=60.0,
            broker_rebalance_timeout=60.0,
            worker_redirect_stdouts=False,
        )
        for source in deployment.sources:
            app.subscribe(f"read_{source.name}", [deployment.prefix + topic for topic in source.inputs])
        subscribed: dict[str, list[str]] = defaultdict(list)
        for stage in deployment.logs:
            subscribed[stage.log].append(stage.name)
        for topic, names in subscribed.items():
            app.subscribe(f"apply_{'_and_'.join(names)}", [deployment.prefix + topic])
        app.on_rebalance_complete.connect(self._on_rebalance_complete)
        return app

    # ---- what the pump asks

    @property
    def consumer(self) -> PumpConsumer:
        """Faust's consumer, which is ours."""
        return cast(PumpConsumer, self.app.consumer)

    def log_units_of(self, tp: TP) -> list[LogUnit]:
        """Units that read a partition of a log; none while it is not open."""
        return self.owned.log_units.get(tp, []) if self.is_open else []

    def input_of(self, tp: TP) -> InputPartition | None:
        """Input partition of a source unit; None while it is not open."""
        return self.owned.inputs.get(tp) if self.is_open else None

    def rank(self, topic: str) -> int:
        """Place of a topic among those that are fetched together: logs first, then inputs as they are declared."""
        inputs = self.deployment.topics_of_sources
        name = topic.removeprefix(self.deployment.prefix)
        return inputs.index(name) + 1 if name in inputs else 0

    def is_urgent(self, topic: str) -> bool:
        """Whether subscribers wait for what is made of a log: of the one that marks are written into."""
        return topic == self.deployment.prefix + LOG

    def crash(self, code: int, reason: str) -> None:
        """End this process at once; whoever starts next goes on where it was."""
        text = f"culdesac worker: exit {code}: {reason}\n"
        if code in _WITH_TRACEBACK and not isinstance(sys.exc_info()[1], StoreError | None):
            text += traceback.format_exc()
        # Whoever reads this may have stopped reading; a worker that waits for it would never end.
        saying = threading.Thread(target=os.write, args=(2, text.encode("utf-8", "replace")), daemon=True)
        try:
            saying.start()
            saying.join(SAY_S)
        finally:
            os._exit(code)

    def broken(self) -> str | None:
        """Tell what of this worker's own has ended although it should go on; None where all is well."""
        for task in self._tasks if self.is_open else ():
            # One that has nothing to do, as marks of a worker without inputs, ends without an error.
            if task.done() and (task.cancelled() or task.exception() is not None):
                return "a task that keeps the lease or writes marks has ended"
        return None

    def check_lease(self) -> None:
        """End this process if it stood still for so long that the group may have given it up."""
        silent_s = time.monotonic() - self._beat
        if silent_s > LEASE * self.deployment.session_s:
            self.crash(77, f"stood still for {silent_s:.0f} s: someone else may own its partitions")

    async def drain(self, seconds: float) -> None:
        """Let units finish what they have folded, unless this worker has been given up by the group."""
        await self._stop_opening()
        live = [unit for unit in self.owned.units() if not unit.dead]
        if live and self.consumer.is_member(self.generation):
            waits = [asyncio.ensure_future(unit.idle.wait()) for unit in live]
            _, late = await asyncio.wait(waits, timeout=seconds)
            for wait in late:
                wait.cancel()
        for unit in live:
            unit.kill()
        # What is on its way should be there before the next owner looks.
        if not await self.sender.flush(seconds):
            log.warning("the broker has not acknowledged everything that was sent")

    async def release(self) -> None:
        """Give up all units and their stores."""
        self.is_open, self.marker = False, None
        await self._stop_opening()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.owned.close()

    async def _stop_opening(self) -> None:
        """Break off a takeover that has been overtaken; it must be gone before its stores are closed."""
        opening = self._opening
        if opening is not None and opening is not asyncio.current_task() and not opening.done():
            opening.cancel()
            await asyncio.wait([opening])

    # ---- taking over partitions

    async def _on_rebalance_complete(self, *_: Any, **__: Any) -> None:
        generation = self.app.consumer_generation_id
        self._opening = asyncio.ensure_future(self._open(generation))
        try:
            await self._opening
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Broken off because the partitions are being taken away again. If we returned now, Faust would resume
            # consuming in the middle of that; when the next generation is known, it looks and does not.
            while self.app.consumer_generation_id == generation:
                await asyncio.sleep(0.05)
        except ForeignWriterError as error:
            self.crash(76, str(error))
        except StoreError as error:
            self.crash(74, str(error))
        except BaseException as error:  # noqa: BLE001  # Faust would log it and go on without state
            self.crash(74, f"taking over partitions failed: {error!r}")

    async def _open(self, generation: int) -> None:
        await self.release()
        if not self._started:
            await self.sender.start()
            self._started = True
        # What units of before have sent must be in the changelogs before these are read.
        if not await self.sender.flush(self.sender.timeout_s):
            raise TimeoutError("the broker does not acknowledge what was sent")
        takeover = Takeover(self.deployment, self.sender, self.crash, self.check_lease, self._get_on)
        await takeover.fill(self.owned, self.consumer)
        if self.app.consumer_generation_id != generation:
            return
        self.generation, self.is_open = generation, True
        for unit in self.owned.units():
            unit.start()
        self._beat = time.monotonic()
        self._tasks = [asyncio.ensure_future(self._mark()), asyncio.ensure_future(self._keep_lease())]

    def _get_on(self) -> None:
        self.progress_at = time.monotonic()

    async def _keep_lease(self) -> None:
        while True:
            await asyncio.sleep(self.deployment.session_s / 20)
            self.check_lease()
            self._beat = time.monotonic()

    # ---- marks

    async def _mark(self) -> None:
        deployment = self.deployment
        upstreams = sum(deployment.partitions[topic] for topic in deployment.topics_of_sources)
        if not upstreams:
            return

        async def ends(inputs: Sequence[InputPartition]) -> dict[str, int]:
            found = await self.consumer.highwaters(*(opened.tp for opened in inputs))
            return {opened.name: end for opened in inputs if (end := found.get(opened.tp)) is not None}

        self.marker = Marker(
            self.sender, deployment.partitions, upstreams, lambda: list(self.owned.inputs.values()), ends
        )
        try:
            await self.marker.run()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  # without marks, time stands still
            self.crash(70, f"writing marks failed: {error!r}")
