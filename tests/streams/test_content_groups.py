"""Content groups by rules: the first that fits, over templates, and an error that names the rule."""

from __future__ import annotations

import pytest

from streams import content_groups
from streams.content_groups import group_reader
from streams.settings import ContentGroup

GROUP_OF = group_reader((ContentGroup("/guides/fit", "fit"), ContentGroup("/guides/**", "guides")))


@pytest.mark.parametrize(
    ("page", "group"),
    [
        ("shop.example/guides/fit", "fit"),
        ("shop.example/guides/a/b", "guides"),
        ("shop.example/guides/a?size=5", "guides"),
        ("shop.example/other", None),
        ("shop.example", None),
        ("(other pages)", None),
    ],
)
def test_the_first_rule_that_fits_decides_every_time(page: str, group: str | None) -> None:
    assert (GROUP_OF(page), GROUP_OF(page)) == (group, group)


def test_without_rules_there_are_no_groups() -> None:
    assert group_reader(())("shop.example/guides") is None


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_groups, "_MAX_KNOWN", 3)
    group_of = group_reader((ContentGroup("/p1*", "ones"),))
    found = [group_of(f"shop.example/p{n}") for n in range(30)]
    assert [n for n, group in enumerate(found) if group] == [1, *range(10, 20)]


@pytest.mark.parametrize(
    ("rule", "said"),
    [(ContentGroup("/a", ""), "is empty"), (ContentGroup("a", "g"), "content group 'a': a glob begins")],
)
def test_a_rule_that_is_not_usable_is_named(rule: ContentGroup, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        group_reader((rule,))
