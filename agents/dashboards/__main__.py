"""Write the dashboards' files: ``python -m agents.dashboards``."""

from __future__ import annotations

from pathlib import Path

from agents.dashboards.building import files

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana"

if __name__ == "__main__":
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
