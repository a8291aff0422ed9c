package peers;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** The job on Kafka Streams: a processor with a cached, logged RocksDB store; one thread. */
public final class Sessionise {
  static final long GAP_MS = 30 * 60_000L;
  static final ObjectMapper JSON = new ObjectMapper();

  @JsonIgnoreProperties(ignoreUnknown = true)
  public static final class View {
    @JsonProperty("visitor_id") public String visitorId;
    @JsonProperty("occurred_at") public long occurredAt;
    public String url;
  }

  public static final class Session {
    public long start;
    public long end;
    public List<String> pages = new ArrayList<>();
  }

  public static final class Closed {
    @JsonProperty("visitor_id") public String visitorId;
    @JsonProperty("started_at") public long startedAt;
    @JsonProperty("ended_at") public long endedAt;
    public int views;
    public List<String> pages;
  }

  static final class Fold implements Processor<String, byte[], String, byte[]> {
    private ProcessorContext<String, byte[]> context;
    private KeyValueStore<String, byte[]> store;

    @Override
    public void init(ProcessorContext<String, byte[]> context) {
      this.context = context;
      this.store = context.getStateStore("sessions");
    }

    @Override
    public void process(Record<String, byte[]> record) {
      try {
        View view = JSON.readValue(record.value(), View.class);
        byte[] row = store.get(view.visitorId);
        Session session = row == null ? null : JSON.readValue(row, Session.class);
        if (session == null || view.occurredAt - session.end > GAP_MS) {
          if (session != null) {
            Closed closed = new Closed();
            closed.visitorId = view.visitorId;
            closed.startedAt = session.start;
            closed.endedAt = session.end;
            closed.views = session.pages.size();
            closed.pages = session.pages;
            context.forward(new Record<>(view.visitorId, JSON.writeValueAsBytes(closed), record.timestamp()));
          }
          session = new Session();
          session.start = view.occurredAt;
        }
        session.end = view.occurredAt;
        session.pages.add(view.url);
        store.put(view.visitorId, JSON.writeValueAsBytes(session));
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    }
  }

  public static void main(String[] arguments) {
    Properties settings = new Properties();
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[1]);
    settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[4]);
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
    settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
    settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
    settings.put(StreamsConfig.producerPrefix(ProducerConfig.ACKS_CONFIG), "all");
    Topology topology = new Topology();
    topology.addSource("read", Serdes.String().deserializer(), Serdes.ByteArray().deserializer(), arguments[2]);
    topology.addProcessor("sessionise", Fold::new, "read");
    topology.addStateStore(
        Stores.keyValueStoreBuilder(
                Stores.persistentKeyValueStore("sessions"), Serdes.String(), Serdes.ByteArray())
            .withCachingEnabled(),
        "sessionise");
    topology.addSink(
        "write", arguments[3], Serdes.String().serializer(), Serdes.ByteArray().serializer(), "sessionise");
    KafkaStreams streams = new KafkaStreams(topology, settings);
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
  }
}
