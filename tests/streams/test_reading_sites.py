"""What is learned of reading on a made-up site whose visitors are known, by the whole flow."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from streams.event_files import FileEvent
from tests.agents.product import Final, differences, final, replayed
from tests.streams.reading_sites import (
    FROM_DAY,
    RECIPES,
    SETTINGS,
    SITE,
    MadeUpSite,
    made_up_site,
    told,
)

BREAKS_ON, DAYS = FROM_DAY + 1, FROM_DAY + 3
RECIPE = f"{SITE}/recipes/"


@pytest.fixture(scope="module")
def site() -> MadeUpSite:
    return made_up_site(5, DAYS, 100, breaks_on=BREAKS_ON)


@pytest.fixture(scope="module")
def found(site: MadeUpSite) -> Final:
    return final(replayed(site.events, SETTINGS))


def test_nearly_all_who_are_said_to_be_served_are_and_most_who_are_are_found(
    site: MadeUpSite, found: Final
) -> None:
    said, true, both, of_broken = told(site, found)
    assert true > 60
    assert both >= 0.95 * said
    assert both >= 0.6 * true
    # What can't be told: they tried for as long as others read. On the product that is broken nobody is served.
    assert 0 < of_broken < 0.35 * said
    pages = {s["exit_page"] for s in found["sessions"].values() if s["exit_reason"] == "served"}
    assert pages == {f"{RECIPE}r{number}" for number in range(RECIPES)}


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


def test_alerts_are_the_same_without_it(site: MadeUpSite, found: Final) -> None:
    without = final(replayed(site.events, replace(SETTINGS, learn_served=False)))
    assert found["dead-end-alerts"]
    assert set(differences(found, without)) == {"sessions", "page-scores", "purchase-associations"}
