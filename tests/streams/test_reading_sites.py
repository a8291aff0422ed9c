"""What is learned of reading on a made-up site whose visitors are known, by the whole flow."""

from __future__ import annotations

import json

import pytest

from schemas.timestamps import parse_time
from streams.event_files import FileEvent
from streams.settings import DAY_MS, Settings
from tests.agents.product import Final, differences, final, replayed
from tests.streams.reading_sites import BEGINNING, BROKEN, SITE, MadeUpSite, made_up_site

SETTINGS = Settings(pseudonymise=False)
FROM_DAY, BREAKS_ON, DAYS = 8, 9, 11
"""A table is made of seven days, and holds a day later; on the day after that pages break."""
RECIPE = f"{SITE}/recipes/"
BROKEN_PAGES = frozenset(f"{SITE}/{page}" for page in BROKEN)


@pytest.fixture(scope="module")
def site() -> MadeUpSite:
    return made_up_site(5, DAYS, 100, breaks_on=BREAKS_ON)


@pytest.fixture(scope="module")
def found(site: MadeUpSite) -> Final:
    return final(replayed(site.events, SETTINGS))


def test_nearly_all_who_were_said_to_have_been_served_were_and_most_who_were_are_found(
    site: MadeUpSite, found: Final
) -> None:
    said = was = both = wrong_at_broken = 0
    for session in found["sessions"].values():
        if parse_time(session["ended_at"]) + SETTINGS.hold_ms < BEGINNING + FROM_DAY * DAY_MS:
            assert session["exit_reason"] == "dead_end"
            continue
        is_served, truly = session["exit_reason"] == "served", site.served[session["visitor_id"]]
        was += truly
        if is_served and session["exit_page"] in BROKEN_PAGES:
            # What can't be told: they tried for as long as others read.
            wrong_at_broken += not truly
            continue
        said += is_served
        both += is_served and truly
        assert not is_served or session["exit_page"].startswith(RECIPE)
    assert was > 60
    assert both >= 0.95 * said
    assert both >= 0.6 * was
    # Only on the recipe that is broken, never on the product.
    assert 0 < wrong_at_broken < 0.35 * said


def test_the_scores_of_pages_tell_who_was_served(found: Final) -> None:
    by_page = {score["page"]: score for score in found["page-scores"].values()}
    recipe, product = by_page[f"{RECIPE}r1"], by_page[f"{SITE}/product/p1"]
    assert recipe["exit_reasons"]["served"] > 10
    assert recipe["dead_end_exits"] == recipe["exits"] - recipe["exit_reasons"]["served"]
    assert set(product["exit_reasons"]) == {"dead_end"}


def said_late(event: FileEvent) -> int:
    """When an event arrives if what is said of engagement is eight seconds under way."""
    is_late = json.loads(event.value or b"").get("name") == "engagement"
    return (event.occurred_at or 0) + (8_000 if is_late else 0)


def test_twelve_partitions_and_another_order_of_arrival_give_the_same(site: MadeUpSite, found: Final) -> None:
    moved = sorted(site.events, key=said_late)
    assert moved != site.events
    assert differences(found, final(replayed(moved, SETTINGS, partitions=12))) == {}
