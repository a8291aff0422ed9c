"""Faults of libraries that we work around: an upgrade that mends one is noticed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "deploy" / "upstream"
SCRIPTS = sorted(FOLDER.glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_fault_is_still_there(script: Path) -> None:
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, (
        f"{run.stdout}{run.stderr}\nIf it was mended: see deploy/upstream/README.md for what may go now."
    )
    assert len(run.stdout.splitlines()) == 1


def test_each_script_has_its_line_and_says_what_is_wrong() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert len(SCRIPTS) >= 7
    for script in SCRIPTS:
        [line] = [line for line in text.splitlines() if line.startswith(f"| `{script.name}` |")]
        assert all(cell.strip() for cell in line.strip("|").split("|"))
        assert len(line.strip("|").split("|")) == 5
