"""The made-up shop as a command: files, pace, truth."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest
import typer

from agents.publisher import Publisher
from agents.replaying import OutputError
from agents.shop_traffic import run_shop, send_shop, shop_config, write_shop
from streams.event_files import find_files, read_events
from streams.shop import DEFAULT_START_MS, PlanError, ShopConfig, traffic

SMALL = ShopConfig(seed=3, hours=1, sessions_per_hour=60, pages=40)


class Recorder:
    """Stands for a publisher and for time: what was pushed when."""

    def __init__(self) -> None:
        self.now = 50.0
        self.waiting: list[int] = []
        self.pushed: list[tuple[float, int]] = []
        self.sent: Counter[str] = Counter()

    def send(self, topic: str, value: bytes, occurred_at: int) -> None:
        self.sent[topic] += 1
        self.waiting.append(occurred_at)

    def push(self, telling: bool = False) -> None:
        self.pushed += [(self.now, at) for at in self.waiting]
        self.waiting = []

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def send(config: ShopConfig, speed: float | None, paced_from_ms: int) -> Recorder:
    recorder = Recorder()
    publisher = cast(Publisher, recorder)
    send_shop(config, publisher, speed, paced_from_ms, clock=lambda: recorder.now, sleep=recorder.sleep)
    return recorder


def test_files_hold_what_the_shop_makes_and_the_truth_lies_beside(tmp_path: Path) -> None:
    sent = write_shop(SMALL, tmp_path)
    events = list(traffic(SMALL))
    assert sent == Counter(topic for topic, _ in events)
    read = [json.loads(event.value or b"") for event in read_events(find_files([tmp_path]))]
    assert sorted(event["event_id"] for event in read) == sorted(event["event_id"] for _, event in events)
    assert json.loads((tmp_path / "truth.json").read_text())["seed"] == 3


def test_without_a_speed_nothing_waits() -> None:
    recorder = send(SMALL, None, SMALL.start_ms)
    assert recorder.now == 50.0
    assert recorder.sent.total() == len(list(traffic(SMALL)))


def test_paced_traffic_goes_out_at_its_time_and_never_early() -> None:
    speed, half_hour_ms = 60.0, 1_800_000
    recorder = send(SMALL, speed, SMALL.start_ms + half_hour_ms)
    late = [(now - 50.0) - (at - SMALL.start_ms - half_hour_ms) / 1000 / speed for now, at in recorder.pushed]
    paced = [
        delay
        for delay, (_, at) in zip(late, recorder.pushed, strict=True)
        if at >= SMALL.start_ms + half_hour_ms
    ]
    assert len(paced) > 50
    assert min(paced) > -0.06, "events of a tick (50 ms) go out together"
    assert recorder.now == pytest.approx(50.0 + 30, abs=2)


def test_a_plan_is_read_and_the_demos_can_be_named(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('[[faults]]\npage = "shop.example/cart"\nfrom = "+1h"\nto = "+2h"\npoints = 0.4\n')
    config = shop_config(7, 600, 200, 10, str(plan), "")
    assert [(fault.page, fault.start_ms - DEFAULT_START_MS) for fault in config.plan] == [
        ("shop.example/cart", 3_600_000)
    ]
    assert len(shop_config(7, 600, 80, 72, "demo", "2026-03-01T00:00:00Z").plan) == 3


def test_a_start_is_a_time_or_a_while_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_772_362_800.5)
    assert shop_config(7, 600, 200, 1, None, "72h").start_ms == 1_772_362_800_500 - 72 * 3_600_000
    assert shop_config(7, 600, 200, 1, None, "2026-03-01T12:00:00+01:00").start_ms == 1_772_362_800_000


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"start": "tomorrow"}, "write a time with offset"),
        ({"hours": 0.0}, "hours must be above 0"),
        ({"pages": 3}, "pages must be from 40"),
        ({"sessions_per_hour": -1.0}, "sessions_per_hour must be above 0"),
    ],
)
def test_what_no_shop_can_be_is_said_so(changes: dict[str, Any], said: str) -> None:
    words: dict[str, Any] = {
        "seed": 1,
        "sessions_per_hour": 60.0,
        "pages": 40,
        "hours": 1.0,
        "plant": None,
        "start": "",
    }
    with pytest.raises(typer.BadParameter, match=said):
        shop_config(**words | changes)


def test_a_plan_that_is_missing_or_wrong_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="absent: no such file"):
        shop_config(1, 60, 40, 1, str(tmp_path / "absent"), "")
    plan = tmp_path / "plan.json"
    plan.write_text('[{"page": "shop.example/cart"}]')
    with pytest.raises(PlanError, match=r"plan\.json: "):
        shop_config(1, 60, 40, 1, str(plan), "")


def test_files_need_an_end_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="say how long: --hours"):
        run_shop(ShopConfig(), tmp_path, None, None, 0, lambda line: None)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="can't be written"):
        write_shop(SMALL, tmp_path / "file")
