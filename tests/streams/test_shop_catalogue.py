"""The made-up shop's settings and pages."""

from __future__ import annotations

from typing import Any

import pytest

from streams.shop_catalogue import Catalogue, ShopConfig
from streams.shop_faults import plain_page
from streams.urls import UrlReader


class TestConfig:
    @pytest.mark.parametrize(
        ("setting", "value"),
        [
            ("sessions_per_hour", 0),
            ("sessions_per_hour", float("nan")),
            ("pages", 39),
            ("sigma", -0.1),
            ("hours", 0),
            ("start_ms", -1),
            ("site", "https://shop.example/"),
            ("bots", -0.01),
        ],
    )
    def test_a_setting_out_of_range_is_named(self, setting: str, value: Any) -> None:
        with pytest.raises(ValueError, match=f"shop: {setting} must be"):
            ShopConfig(**{setting: value})

    @pytest.mark.parametrize("pages", [40, 57, 200, 1_000])
    def test_a_shop_has_as_many_pages_as_asked(self, pages: int) -> None:
        catalogue = Catalogue(ShopConfig(pages=pages))
        assert len(set(catalogue.pages)) == pages
        assert sum(effect != 0 for effect in catalogue.drive) == 5

    def test_pages_and_templates_are_what_intake_reads_from_their_urls(self) -> None:
        catalogue = Catalogue(ShopConfig(pages=1_000))
        reader = UrlReader()
        read = [reader.read(url) for url in catalogue.urls]
        assert [page.page for page in read] == catalogue.pages
        assert [page.template for page in read] == catalogue.templates
        assert [plain_page(url + "?q=1#top") for url in catalogue.urls] == catalogue.pages
