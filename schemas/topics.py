"""The one table of topics: keys, partitions, retention, types; and the partitioner of all that we write."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final, Literal, TypeAlias
from zlib import crc32

import msgspec

DAY_MS = 24 * 60 * 60 * 1000

KAFKA_RECORD_BYTES = 1_000_000
"""What Kafka takes by default, less what a batch adds."""
OUTPUT_RECORD_BYTES = 4 << 20
"""The largest that we write: a session with as many orders as one may have, all with the longest ids, has 2 MB."""
STATE_RECORD_BYTES = 32 << 20
"""The largest rows of state, by the limits of the stages: 13 MB for a visitor, 10 MB for a site (20,000 pages)."""

PartitionsOf: TypeAlias = Literal["inputs", "visitors", "customers", "sites", "outputs"]
TimestampType: TypeAlias = Literal["LogAppendTime", "CreateTime"]


class PartitionCounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many partitions each kind of topic has. State is kept by partition: never change a count.

    A site lies in one partition, so that sums over its pages are plain sums: more partitions
    spread sites, not pages.
    """

    inputs: int = 4
    visitors: int = 4
    customers: int = 4
    sites: int = 1
    outputs: int = 4


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """A topic.

    Attributes
    ----------
    name
        Its name in Kafka, and its stem everywhere: schema, examples, module, test.
    key
        What its records are keyed by. Keys of the inputs are the producers' affair and not trusted.
    partitions_of
        Which of `PartitionCounts` it has. A changelog has as many as the log of its stage.
    type_path
        Module and name of the type of its records; None for changelogs, whose rows are their stage's affair.
    retention_ms
        How long records are kept, -1 for ever; None in compacted topics, which keep the last of each key.
    internal
        Whether only our own stages write and read it.
    timestamp_type
        `LogAppendTime` where the broker's clock counts: it bounds the event time of inputs, and how long a claim of
        silence in a log holds, which clocks of workers that differ would stretch.
    max_record_bytes
        No record of ours is larger.
    min_compaction_lag_ms
        No record younger than this is compacted away.
    """

    name: str
    key: str
    partitions_of: PartitionsOf
    type_path: str | None
    retention_ms: int | None = 7 * DAY_MS
    internal: bool = False
    timestamp_type: TimestampType = "CreateTime"
    max_record_bytes: int = OUTPUT_RECORD_BYTES
    min_compaction_lag_ms: int = 0

    @property
    def compacted(self) -> bool:
        """Whether only the last record of each key is kept."""
        return self.retention_ms is None

    @property
    def type(self) -> Any:
        """Type of its records, imported when asked for: a struct, or a union of them.

        Raises
        ------
        LookupError
            A changelog, which has none.
        """
        if self.type_path is None:
            raise LookupError(f"{self.name} has no type")
        module, _, name = self.type_path.partition(":")
        return getattr(import_module(module), name)

    def partitions(self, counts: PartitionCounts) -> int:
        """How many partitions it has."""
        return int(getattr(counts, self.partitions_of))

    def config(self) -> dict[str, str]:
        """Its settings in Kafka.

        Examples
        --------
        >>> TOPICS["page-scores"].config()
        {'cleanup.policy': 'compact', 'message.timestamp.type': 'CreateTime', 'max.message.bytes': '4259840'}
        """
        config = {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "message.timestamp.type": self.timestamp_type,
        }
        if self.max_record_bytes > KAFKA_RECORD_BYTES:
            config["max.message.bytes"] = str(self.max_record_bytes + (64 << 10))
        if self.retention_ms is not None:
            config["retention.ms"] = str(self.retention_ms)
        if self.min_compaction_lag_ms:
            config["min.compaction.lag.ms"] = str(self.min_compaction_lag_ms)
        return config


def _input(name: str, key: str, type_path: str) -> Topic:
    return Topic(
        name=name,
        key=key,
        partitions_of="inputs",
        type_path=type_path,
        timestamp_type="LogAppendTime",
        max_record_bytes=KAFKA_RECORD_BYTES,
    )


def _internal(name: str, key: str, partitions_of: PartitionsOf, type_path: str) -> Topic:
    return Topic(
        name=name,
        key=key,
        partitions_of=partitions_of,
        type_path=type_path,
        internal=True,
        timestamp_type="LogAppendTime",
    )


def _output(name: str, key: str, type_path: str, retention_ms: int | None = 7 * DAY_MS) -> Topic:
    return Topic(name=name, key=key, partitions_of="outputs", type_path=type_path, retention_ms=retention_ms)


def _changelog(name: str, partitions_of: PartitionsOf) -> Topic:
    # An hour outlives any worker that is stopped and comes back to write what is no longer its to write.
    return Topic(
        name=name,
        key="state key",
        partitions_of=partitions_of,
        type_path=None,
        retention_ms=None,
        internal=True,
        max_record_bytes=STATE_RECORD_BYTES,
        min_compaction_lag_ms=3_600_000,
    )


TOPICS: Final[dict[str, Topic]] = {
    topic.name: topic
    for topic in (
        _input("page-views", "visitor", "schemas.page_views:PageView"),
        _input("interactions", "visitor", "schemas.interactions:Interaction"),
        _input("orders", "order", "schemas.orders:Order"),
        _input("identities", "visitor", "schemas.identities:Identity"),
        _input("consents", "visitor", "schemas.consents:Consent"),
        _input("feedback", "visitor", "schemas.feedback:Feedback"),
        _input("alert-decisions", "alert", "schemas.alert_decisions:AlertDecision"),
        _input("deploys", "site", "schemas.deploys:Deploy"),
        _internal("visitor-events", "visitor", "visitors", "schemas.visitor_events:VisitorEvent"),
        _internal("customer-events", "customer", "customers", "schemas.customer_events:CustomerEvent"),
        _internal("site-events", "site", "sites", "schemas.site_events:SiteEvent"),
        _output("rejected-events", "id", "schemas.rejected_events:RejectedEvent"),
        _output("sessions", "visitor", "schemas.sessions:Session"),
        _output("enriched-page-views", "visitor", "schemas.enriched_page_views:EnrichedPageView"),
        # 30 days, for so long a session may still be given another reason.
        _output(
            "session-revisions",
            "visitor",
            "schemas.session_revisions:SessionRevision",
            retention_ms=30 * DAY_MS,
        ),
        _output("page-scores", "page", "schemas.page_scores:PageScore", retention_ms=None),
        _output(
            "purchase-associations",
            "site|scope:value",
            "schemas.purchase_associations:PurchaseAssociation",
            retention_ms=None,
        ),
        _output(
            "dead-end-alerts", "scope:value", "schemas.dead_end_alerts:DeadEndAlert", retention_ms=90 * DAY_MS
        ),
        _output(
            "undelivered-notices",
            "alert",
            "schemas.undelivered_notices:UndeliveredNotice",
            retention_ms=90 * DAY_MS,
        ),
        _output("model-snapshots", "site:model", "schemas.model_snapshots:ModelSnapshot", retention_ms=None),
        _output("model-reports", "site:model", "schemas.model_reports:ModelReport", retention_ms=90 * DAY_MS),
        Topic(
            name="secret-claims",
            key="none",
            partitions_of="sites",
            type_path="schemas.secret_claims:SecretClaim",
            # Neither deleted nor compacted: of copies compaction would keep the last, and the first is what holds.
            retention_ms=-1,
            internal=True,
        ),
        _changelog("culdesac-sessions-changelog", "visitors"),
        _changelog("culdesac-customers-changelog", "customers"),
        _changelog("culdesac-pages-changelog", "sites"),
        _changelog("culdesac-models-changelog", "sites"),
    )
}
"""Every topic by name, in the order of the data."""


def partition(key: bytes, count: int) -> int:
    """Partition of a key: CRC-32 modulo the count, as librdkafka's default partitioner has it.

    Java's default (murmur2) takes some 30 times as long in Python. Those who write our inputs may use either:
    intake keys them anew.

    Parameters
    ----------
    key
        The record's key.
    count
        How many partitions the topic has, at least 1.

    Examples
    --------
    >>> partition(b"visitor-1", 4), partition(b"visitor-2", 4)
    (0, 2)
    """
    return crc32(key) % count
