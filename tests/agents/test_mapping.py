"""culdesac map and a replay by what it proposes, as somebody with a CSV file uses them."""

from __future__ import annotations

import gzip
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents import commands
from tests.streams.foreign_files import FOREIGN


def culdesac(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["culdesac", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        commands.main()
    return int(end.value.code or 0)


def unicode_text(content: bytes) -> bytes:
    """Write a file anew as spreadsheet programs save "Unicode text"."""
    return content.decode().replace("\n", "\r\n").encode("utf-16")


@pytest.mark.parametrize(("name", "saved"), [("shop.csv.gz", gzip.compress), ("shop.txt", unicode_text)])
def test_a_csv_that_nobody_prepared_is_mapped_and_replayed(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    name: str,
    saved: Callable[[bytes], bytes],
) -> None:
    monkeypatch.setenv("CULDESAC_DATA_DIR", str(tmp_path / "data"))
    shop, made = tmp_path / name, tmp_path / "map.toml"
    shop.write_bytes(saved((FOREIGN / "shop_events.csv").read_bytes()))
    assert culdesac(monkeypatch, "map", shop, "--out", made) == 0
    said = capfd.readouterr().err
    assert "102 page-views, such as" in said
    assert "malformed_line: line 125: 1 fields instead of 9" in said
    assert "Columns not used: category_id, brand." in said
    assert "# check: no column tells it: write yours" in made.read_text()
    made.write_text(made.read_text().replace("=EUR", "=USD"))
    assert culdesac(monkeypatch, "replay", shop, "--map", made, "--out", tmp_path / "out", "--json") == 0
    out, err = capfd.readouterr()
    summary: dict[str, Any] = json.loads(out)
    assert (summary["page_views"], summary["sessions"]["by_outcome"]["purchased"]) == (102, 7)
    assert summary["adapter"]["rejected"] == {
        "malformed_line": 1,
        "schema_violation": 1,
        "missing_visitor": 1,
    }
    assert "Not in it: it has no user agents" in err
    sessions = (tmp_path / "out" / "sessions.ndjson").read_text()
    assert '"currency":"USD"' in sessions or '"USD"' in sessions


def test_a_changed_map_is_tried_and_a_damaged_file_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shop, made = tmp_path / "shop.csv", tmp_path / "map.toml"
    shutil.copy(FOREIGN / "shop_events.csv", shop)
    assert culdesac(monkeypatch, "map", shop, "--out", made) == 0
    made.write_text(made.read_text().replace('view = "page-views"', 'view = "skip"'))
    capfd.readouterr()
    assert culdesac(monkeypatch, "map", shop, "--map", made, "--json") == 0
    report = json.loads(capfd.readouterr().out)
    # The row with a broken time is a view: what is skipped is not looked at.
    assert report["skipped"]["kind"] == 104
    assert report["written"] == {"interactions": 14, "orders": 7}
    damaged = tmp_path / "damaged.csv.gz"
    damaged.write_bytes(gzip.compress(shop.read_bytes())[:-100])
    assert culdesac(monkeypatch, "map", damaged) == 2
    assert "damaged or not packed by gzip" in capfd.readouterr().err


def test_a_bomb_costs_time_and_no_memory(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("CULDESAC_DATA_DIR", str(tmp_path / "data"))
    bomb = tmp_path / "bomb.ndjson.gz"
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        for _ in range(32):
            file.write(b"[" * (1 << 20))
    assert (
        culdesac(monkeypatch, "replay", bomb, "--format", "segment", "--out", tmp_path / "out", "--json") == 0
    )
    summary = json.loads(capfd.readouterr().out)
    assert summary["adapter"]["rejected"] == {"too_large": 8}
