"""faust-streaming: partitions flow before they are sought back (`Recovery._resume_streams`, tables/recovery.py)."""

import asyncio
from types import SimpleNamespace

from faust.tables.recovery import Recovery
from faust.types import TP

done = []


async def nothing():
    return None


async def seek():
    done.append("seek")


async def wait(coroutine, timeout=None):
    await coroutine


def noted(name):
    return lambda *_, **__: done.append(name)


consumer = SimpleNamespace(
    assignment=lambda: {TP("orders", 0)}, resume_partitions=noted("resume partitions"), perform_seek=seek,
    resume_flow=noted("resume flow"),
)  # fmt: skip
app = SimpleNamespace(
    consumer=consumer, consumer_generation_id=1, on_rebalance_complete=SimpleNamespace(send=nothing),
    conf=SimpleNamespace(broker_request_timeout=1), flow_control=SimpleNamespace(resume=noted("wipe the queues")),
    _fetcher=SimpleNamespace(maybe_start=nothing), assignor=SimpleNamespace(assigned_standbys=lambda: True),
    on_rebalance_end=noted("end"),
)  # fmt: skip
log = SimpleNamespace(info=lambda *_: None, dev=lambda *_: None, warning=lambda *_: None)
recovery = SimpleNamespace(
    app=app, log=log, completed=asyncio.Event(), _is_changelog_tp=lambda _: False, _wait=wait,
    tables=SimpleNamespace(on_actives_ready=noted("ready"), on_standbys_ready=noted("standbys")),
)  # fmt: skip
asyncio.run(Recovery._resume_streams(recovery, generation_id=1))
there = done.index("resume partitions") < done.index("seek") < done.index("wipe the queues")
print(" → ".join(done) if there else "mended: " + " → ".join(done))
raise SystemExit(0 if there else 1)
