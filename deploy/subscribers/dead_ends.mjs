// What became of sessions, and which alerts are open: node dead_ends.mjs HOST:PORT (needs @platformatic/kafka).
import { Consumer, stringDeserializers } from "@platformatic/kafka";

const OVER = ["withdrawn", "dismissed", "resolved"];
const kept = { sessions: new Map(), "session-revisions": new Map(), "dead-end-alerts": new Map() };
const consumer = new Consumer({
  groupId: `dead-ends-${process.pid}-${Date.now()}`,
  bootstrapBrokers: process.argv[2].split(","),
  deserializers: stringDeserializers,
});
const stream = await consumer.consume({ topics: Object.keys(kept), mode: "earliest", autocommit: false });
let idle = setTimeout(() => stream.close(), 5000); // without it, this goes on for ever
for await (const record of stream) {
  idle.refresh();
  const value = JSON.parse(record.value);
  const before = kept[record.topic].get(value.id);
  // The highest revision of an id holds; copies and older ones change nothing.
  if (before === undefined || before.revision < value.revision) kept[record.topic].set(value.id, value);
}
const held = (topic) => [...kept[topic].values()].filter((one) => one.status !== "retracted");
const later = new Set(held("session-revisions").map((revision) => revision.session_id));
const deadEnds = held("sessions").filter((one) => one.exit_reason === "dead_end");
const summary = {
  sessions: held("sessions").length,
  purchased: held("sessions").filter((one) => one.outcome === "purchased").length,
  dead_ends: deadEnds.filter((one) => !later.has(one.id)).length,
  bought_later: deadEnds.filter((one) => later.has(one.id)).length,
  open_alerts: held("dead-end-alerts").filter((one) => !OVER.includes(one.status)).length,
};
console.log(JSON.stringify(summary));
await consumer.close(true);
