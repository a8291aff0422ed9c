"""What became of sessions, and which alerts are open: python dead_ends.py HOST:PORT (needs kafka-python)."""

import json
import sys

from kafka import KafkaConsumer

OVER = ("withdrawn", "dismissed", "resolved")
kept = {"sessions": {}, "session-revisions": {}, "dead-end-alerts": {}}
consumer = KafkaConsumer(
    *kept, bootstrap_servers=sys.argv[1], auto_offset_reset="earliest", consumer_timeout_ms=5000
)
for record in consumer:  # goes on for ever without consumer_timeout_ms
    value = json.loads(record.value)
    before = kept[record.topic].get(value["id"])
    # The highest revision of an id holds; copies and older ones change nothing.
    if before is None or before["revision"] < value["revision"]:
        kept[record.topic][value["id"]] = value
held = {
    topic: [one for one in values.values() if one["status"] != "retracted"] for topic, values in kept.items()
}
later = {revision["session_id"] for revision in held["session-revisions"]}
dead_ends = [one["id"] for one in held["sessions"] if one.get("exit_reason") == "dead_end"]
summary = {
    "sessions": len(held["sessions"]),
    "purchased": sum(one.get("outcome") == "purchased" for one in held["sessions"]),
    "dead_ends": sum(name not in later for name in dead_ends),
    "bought_later": sum(name in later for name in dead_ends),
    "open_alerts": sum(one["status"] not in OVER for one in held["dead-end-alerts"]),
}
print(json.dumps(summary))
