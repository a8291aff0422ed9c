"""kafka-python: a client that finds no broker leaves its socket to the garbage collector."""

import gc
import logging
import socket
import warnings

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

logging.disable()
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    try:
        KafkaAdminClient(bootstrap_servers=[f"127.0.0.1:{port}"], bootstrap_timeout_ms=300)
    except KafkaError:
        pass
    gc.collect()
left = [warning for warning in caught if issubclass(warning.category, ResourceWarning)]
print(f"left behind: {left[0].message}" if left else "mended: nothing is left behind")
raise SystemExit(0 if left else 1)
