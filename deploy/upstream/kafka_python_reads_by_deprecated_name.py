"""kafka-python: reads its message formats by a function that Python 3.11 and 3.12 call deprecated."""

import subprocess
import sys

run = subprocess.run(
    [sys.executable, "-W", "error::DeprecationWarning", "-c", "from kafka import KafkaConsumer"],
    capture_output=True, text=True,
)  # fmt: skip
there = "_text is deprecated" in run.stderr
if sys.version_info >= (3, 13):
    print("not deprecated in this Python")
    raise SystemExit(0)
print(run.stderr.splitlines()[-1] if there else "mended: no deprecated name is used")
raise SystemExit(0 if there else 1)
