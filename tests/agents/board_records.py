"""Chooses the records that tests of the board use: `python -m tests.agents.board_records FOLDER` (of a replay)."""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path
from typing import Any

from tests.agents.board_bench import RECORDS

MENDED, BROKEN = "shop.example/product/p3", ("shop.example/category/c8", "shop.example/content/g4")
REVISIONS = (1, 4, 5, 12, 18)
"""Of the alert that was mended: opened, confirmed, acknowledged, updated, resolved."""


def chosen(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """Choose records of each topic; nobody's address or browser."""

    def rows(topic: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (folder / f"{topic}.ndjson").read_text().splitlines()]

    alerts = rows("dead-end-alerts")
    found = [one for one in alerts if one["page"] == MENDED and one["revision"] in REVISIONS]
    for page in BROKEN:
        revisions = [one for one in alerts if one["page"] == page]
        found += [revisions[0], revisions[-1]]
    kept = [("dead-end-alerts", one) for one in found]
    scores = rows("page-scores")
    last = {score["id"]: score["revision"] for score in scores}
    kept += [
        ("page-scores", score)
        for score in scores
        if score["revision"] == last[score["id"]]
        or (score["page"] in (MENDED, BROKEN[0]) and score["revision"] % 2)
    ]
    credits = {credit["id"]: credit for credit in rows("purchase-associations")}
    kept += [("purchase-associations", credit) for credit in credits.values()]
    kept += [("sessions", session) for session in rows("sessions")[-300:]]
    views = rows("enriched-page-views")[-500:]
    return kept + [
        ("enriched-page-views", {name: view[name] for name in view if name not in ("ip", "user_agent")})
        for view in views
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    with gzip.GzipFile(RECORDS, "wb", 9, mtime=0) as file:
        for topic, value in chosen(parser.parse_args().folder):
            line = json.dumps({"topic": topic, "value": value}, separators=(",", ":"))
            file.write(f"{line}\n".encode())


if __name__ == "__main__":
    main()
