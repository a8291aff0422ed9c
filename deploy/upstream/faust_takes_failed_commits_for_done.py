"""faust-streaming: a commit that failed counts as done (`Consumer._commit_offsets`, transport/consumer.py)."""

import asyncio
from types import SimpleNamespace

from faust.transport.consumer import Consumer
from faust.types import TP

tp = TP("orders", 0)


async def refused(*_, **__):
    return False


async def nothing(*_, **__):
    return None


class Timeout:
    def info(self, *_):
        pass


import faust.transport.consumer as module  # patched below

module.on_timeout = Timeout()
consumer = SimpleNamespace(
    _committed_offset={tp: 10}, in_transaction=False, assignment=lambda: {tp}, _commit=refused, log=SimpleNamespace(
        dev=lambda *_: None, warning=lambda *_: None), _last_batch=None,
    app=SimpleNamespace(producer=SimpleNamespace(flush=nothing), tables=SimpleNamespace(on_commit=lambda *_: None),
                        monitor=SimpleNamespace(on_tp_commit=lambda *_: None)),
)  # fmt: skip
done = asyncio.run(Consumer._commit_offsets(consumer, {tp: 20}))
there = not done and consumer._committed_offset[tp] == 20
print("refused, and booked as committed up to 20" if there else "mended: a refused commit is not booked")
raise SystemExit(0 if there else 1)
