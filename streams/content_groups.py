"""Content groups: pages that belong together whatever their template, by rules of settings."""

from __future__ import annotations

from collections.abc import Callable

from streams.settings import ContentGroup, TemplateRule
from streams.templates import compiled_rule

_MAX_KNOWN = 20_000


def group_reader(groups: tuple[ContentGroup, ...]) -> Callable[[str], str | None]:
    """Make the function that gives a page's content group: the first rule that fits, else None.

    It remembers up to 20,000 pages, and then forgets all: the rules decide, whatever it remembers.

    Parameters
    ----------
    groups
        In order of precedence; paths as in template rules.

    Raises
    ------
    ValueError
        A rule is not usable; the message names it.

    Examples
    --------
    >>> group_of = group_reader((ContentGroup("/guides/**", "guides"), ContentGroup("/size*", "guides")))
    >>> group_of("shop.example/guides/fit"), group_of("shop.example/sizes"), group_of("shop.example")
    ('guides', 'guides', None)
    """
    compiled = []
    for rule in groups:
        if not rule.group:
            raise ValueError(f"content group {rule.path!r}: the group is empty")
        try:
            compiled.append((compiled_rule(TemplateRule(rule.path, rule.group)).search, rule.group))
        except ValueError as error:
            raise ValueError(str(error).replace("template rule", "content group", 1)) from None
    known: dict[str, str | None] = {}

    def group_of(page: str) -> str | None:
        if not compiled:
            return None
        if page in known:
            return known[page]
        if len(known) >= _MAX_KNOWN:
            known.clear()
        path = "/" + page.partition("/")[2]
        found = known[page] = next((group for search, group in compiled if search(path)), None)
        return found

    return group_of
