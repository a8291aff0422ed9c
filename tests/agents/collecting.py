"""A real collector in a process of its own, and what it has written to Kafka."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from kafka import KafkaConsumer, TopicPartition

from agents.settings import load_settings
from agents.topics import ensure_topics

SITE = "shop.example"
KEY = "k1"
LIMIT_S = 60.0
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"


class Answer:
    """What came back."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    def json(self) -> Any:
        return json.loads(self.body)


class Collecting:
    """A collector under a prefix of its own; a context manager that ends it by SIGTERM."""

    def __init__(self, kafka: str, folder: Path, *, create: bool = True, **settings: str) -> None:
        self.kafka = kafka
        self.prefix = f"c{uuid.uuid4().hex[:8]}."
        clean = {name: value for name, value in os.environ.items() if not name.startswith("CULDESAC_")}
        self.environment = clean | {
            "CULDESAC_KAFKA": kafka,
            "CULDESAC_TOPIC_PREFIX": self.prefix,
            "CULDESAC_DATA_DIR": str(folder),
            "CULDESAC_SECRET": "not a secret, this is a test",
            "CULDESAC_PARTITIONS": "inputs=2,visitors=1,customers=1,outputs=1",
            "CULDESAC_COLLECT_PORT": "0",
            "CULDESAC_COLLECT_METRICS_PORT": "0",
            "CULDESAC_COLLECT_SITES": f"{KEY}={SITE}",
            **{f"CULDESAC_COLLECT_{name.upper()}": value for name, value in settings.items()},
        }
        if create:
            ensure_topics(load_settings(environment=self.environment))
        self.lines: list[str] = []

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "agents", "collect"],
            env=self.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if "collecting on" in line:
                break
        else:
            raise AssertionError(f"the collector did not start: {self.lines}")
        self.url, self.metrics_url = re.findall(r"http://\S+?(?=,|$)", self.lines[-1].strip())
        # Its pipe must not fill up.
        self._reader = threading.Thread(target=self.lines.extend, args=(self.process.stderr,))
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(LIMIT_S)
        self._reader.join(LIMIT_S)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code

    def send(
        self,
        path: str,
        body: bytes | str | dict[str, Any] | None = None,
        method: str = "POST",
        **headers: str,
    ) -> Answer:
        if isinstance(body, dict):
            body = json.dumps(body)
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=LIMIT_S)
        try:
            connection.request(
                method,
                path,
                body.encode() if isinstance(body, str) else body,
                {"User-Agent": CHROME} | {name.replace("_", "-"): value for name, value in headers.items()},
            )
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def wait_until_healthy(self) -> None:
        wait_until(lambda: self.send("/health", method="GET").status == 200)

    def metrics(self) -> dict[str, float]:
        connection = http.client.HTTPConnection(urlsplit(self.metrics_url).netloc, timeout=LIMIT_S)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def records(self, topic: str) -> list[dict[str, Any]]:
        """All that stands in a topic now."""
        consumer = KafkaConsumer(bootstrap_servers=self.kafka)
        try:
            name = self.prefix + topic
            places = [TopicPartition(name, number) for number in consumer.partitions_for_topic(name) or ()]
            consumer.assign(places)
            consumer.seek_to_beginning(*places)
            ends = consumer.end_offsets(places)
            found = []
            while any(consumer.position(place) < end for place, end in ends.items()):
                for records in consumer.poll(timeout_ms=200).values():
                    found += [json.loads(record.value) for record in records]
            return found
        finally:
            consumer.close()


def wait_until(condition: Any) -> None:
    limit = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.05)
