"""Whether the outputs are what they must be: equal to a replay of what was sent, and copies equal to the letter."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.agents.product import COMPARED, Final, Record, differences, final

LETTERED = (*COMPARED, "rejected-events", "model-snapshots", "model-reports")
"""Whose copies must be equal to the letter, scores of models too: a record is made anew from the same log."""
COUNTS = ("page", "template", "site", "views", "exits", "dead_end_exits", "exit_reasons")
"""What a page's score says where events were late: corrections change counts, not what was learned before them."""


class Written(NamedTuple):
    """A record as it stands in an output topic."""

    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


class Position(NamedTuple):
    """Where an input record stands."""

    topic: str
    partition: int
    offset: int


@dataclass
class Verdict:
    """How the outputs differ from what they must be.

    Attributes
    ----------
    events
        Input records, poison too.
    missing, wrong, extra
        Against the replay; a rejection that is missing or was not due counts as well.
    duplicates
        Copies to the letter, which are allowed.
    examples
        What to look at, by topic.
    """

    events: int
    missing: int = 0
    wrong: int = 0
    extra: int = 0
    duplicates: int = 0
    examples: dict[str, Any] = field(default_factory=dict)

    @property
    def is_equal(self) -> bool:
        """Whether nothing is missing, wrong or extra."""
        return not (self.missing or self.wrong or self.extra or self.examples)


def judge(
    events: int,
    replay: Iterable[tuple[str, Record]],
    poisoned: Collection[Position],
    written: Sequence[Written],
    *,
    late: bool = False,
) -> Verdict:
    """Compare what was written with a replay of what was sent.

    Parameters
    ----------
    events
        How many input records there were.
    replay
        What a replay of them gives.
    poisoned
        Where those stand that no stage can use.
    written
        All records of `LETTERED`.
    late
        Whether events were later than the watermark waits for: then pages' counts are compared, alerts are not.
    """
    verdict = Verdict(events)
    _compare_copies(verdict, written)
    decoded = [(record.topic, json.loads(record.value)) for record in written]
    _compare_rejections(
        verdict, poisoned, (record for topic, record in decoded if topic == "rejected-events")
    )
    expected, got = final(replay), final(decoded)
    for topic in expected:
        assert expected[topic] or topic == "dead-end-alerts", f"a replay without {topic} says nothing"
    if late:
        expected, got = _counts_only(expected), _counts_only(got)
    for topic, found in differences(expected, got).items():
        verdict.missing += found["missing"]
        verdict.wrong += found["wrong"]
        verdict.extra += found["extra"]
        verdict.examples[topic] = found
    return verdict


def _counts_only(outputs: Final) -> Final:
    scores = {
        key: {name: record[name] for name in COUNTS if name in record}
        for key, record in outputs["page-scores"].items()
    }
    return outputs | {"page-scores": scores, "purchase-associations": {}, "dead-end-alerts": {}}


def _compare_copies(verdict: Verdict, written: Sequence[Written]) -> None:
    """Of each id and revision, all copies must be equal: value, key and headers."""
    known: dict[tuple[str, str, int], Written] = {}
    unequal: Counter[str] = Counter()
    for record in written:
        content = json.loads(record.value)
        name = (record.topic, content["id"], content.get("revision", 1))
        before = known.get(name)
        if before is None:
            known[name] = record
        elif before == record:
            verdict.duplicates += 1
        else:
            unequal[record.topic] += 1
            verdict.examples.setdefault(f"{record.topic}: copies that differ", (before, record))
    verdict.wrong += unequal.total()


def _compare_rejections(verdict: Verdict, poisoned: Collection[Position], records: Iterable[Record]) -> None:
    due = set(poisoned)
    got = {Position(record["topic"], record["partition"], record["offset"]): record for record in records}
    missing, extra = due - got.keys(), got.keys() - due
    verdict.missing += len(missing)
    verdict.extra += len(extra)
    if missing or extra:
        some = [got[position] for position in sorted(extra)[:2]]
        verdict.examples["rejected-events"] = (len(missing), sorted(missing)[:3], len(extra), some)
