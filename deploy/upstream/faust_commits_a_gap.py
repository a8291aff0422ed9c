"""faust-streaming: offsets that no stream has seen are committed (`Consumer._add_gap`, transport/consumer.py)."""

import asyncio
from collections import defaultdict
from types import SimpleNamespace

from faust.transport.consumer import Consumer
from faust.types import TP
from intervaltree import IntervalTree

tp = TP("orders", 0)
consumer = SimpleNamespace(
    _committed_offset={tp: 10}, _gap=defaultdict(IntervalTree), _acked={tp: [15]}, _acked_index={tp: {15}}
)
# Records 11 to 14 were fetched and wiped from the queues by a restart; the next one that a stream sees is 15.
asyncio.run(Consumer._add_gap(consumer, tp, 11, 14))
offset = Consumer._new_offset(consumer, tp)
there = offset is not None and offset > 14
print(f"committed up to {offset}, and nothing processed 11 to 14" if there else "mended: no gap is committed")
raise SystemExit(0 if there else 1)
