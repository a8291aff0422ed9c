"""Draws the README's pictures of the board: `python -m tests.agents.board_pictures FOLDER` (of a replay)."""

from __future__ import annotations

import argparse
import time
import zlib
from pathlib import Path
from urllib.request import urlopen

from playwright.sync_api import Browser

from tests.agents.board_bench import ROOT, assert_clean, chromium, open_page, served

PICTURES = ROOT / "deploy" / "pictures"
SIZES = ((1440, 720), (390, 900))
MOST_BYTES = 150_000


def draw(browser: Browser, url: str, folder: Path) -> list[Path]:
    """Draw the first page and the first alert in both sizes."""
    drawn = []
    for width, height in SIZES:
        page = open_page(browser, viewport={"width": width, "height": height})
        page.goto(url)
        alert = page.locator(".alert a").first.get_attribute("href")
        for name, path in (("board", "/"), ("alert", alert)):
            page.goto(f"{url}{path}")
            page.wait_for_selector("[data-chart] canvas")
            page.wait_for_timeout(500)
            file = folder / f"{name}-{width}.png"
            file.write_bytes(smaller(page.screenshot()))
            assert file.stat().st_size < MOST_BYTES, file
            drawn.append(file)
        assert_clean(page)
        page.context.close()
    return drawn


def smaller(picture: bytes) -> bytes:
    """Compress a PNG again, as far as zlib can: a browser is in a hurry."""
    head, place, chunks, content = picture[:8], 8, [], b""
    while place < len(picture):
        length = int.from_bytes(picture[place : place + 4])
        kind, body = picture[place + 4 : place + 8], picture[place + 8 : place + 8 + length]
        place += length + 12
        if kind == b"IDAT":
            content += body
        else:
            chunks.append((kind, body))
    chunks.insert(-1, (b"IDAT", zlib.compress(zlib.decompress(content), 9)))
    return head + b"".join(
        len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4) for kind, body in chunks
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="that culdesac replay wrote, with an alert in it")
    folder = parser.parse_args().folder.resolve()
    PICTURES.mkdir(exist_ok=True)
    with served("--from", folder) as url, chromium() as browser:
        while urlopen(f"{url}/healthz").read() != b"ok\n":
            time.sleep(0.2)
        for file in draw(browser, url, PICTURES):
            print(file.relative_to(ROOT), file.stat().st_size)  # noqa: T201  # a command: it says what it has drawn


if __name__ == "__main__":
    main()
