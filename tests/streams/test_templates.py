import re

import pytest

from streams.settings import TemplateRule
from streams.templates import compiled_rule, template_of_parts, template_reader


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", "home"),
        ("en", "home"),
        ("de-at", "home"),
        ("home", "home"),
        ("product/12345", "product"),
        ("en/Product/12345", "product"),
        ("products", "category"),
        ("collections/shoes/products/42", "product"),
        ("collections/shoes", "category"),
        ("search", "search"),
        ("cart", "cart"),
        ("basket.php", "cart"),
        ("checkout/payment", "checkout"),
        ("account/orders/:id", "account"),
        ("help/returns", "help"),
        ("blog/2024/summer", "content"),
        ("projects/xdotool", "projects/2"),
        ("home/garden", "home/2"),
        (":id", ":id/1"),
        ("x" * 90, "x" * 40 + "/1"),
    ],
)
def test_template_by_words_else_by_first_part_and_depth(path: str, expected: str) -> None:
    assert template_of_parts(path.split("/") if path else []) == expected


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("/shop/*", "/shop/shoes", True),
        ("/shop/*", "/shop/shoes/5", False),
        ("/shop/*", "/shop/shoes?page=2", True),
        ("/shop/*", "/old/shop/shoes", False),
        ("/shop/**", "/shop/shoes/5", True),
        ("/a.b", "/axb", False),
        ("/*/p/**", "/de/p/1/2", True),
        ("re:^/index\\.php\\?.*route=product", "/index.php?route=product", True),
        ("re:item[0-9]+$", "/x/item42", True),
        ("re:item[0-9]+$", "/x/item42?a=1", False),
    ],
)
def test_a_rule_fits_the_whole_path_as_a_glob_and_anywhere_as_an_expression(
    pattern: str, path: str, fits: bool
) -> None:
    assert (compiled_rule(TemplateRule(pattern, "t")).search(path) is not None) is fits


def test_the_first_rule_that_fits_wins_over_later_ones_and_over_words() -> None:
    template = template_reader((TemplateRule("/cart/gift", "gift"), TemplateRule("/cart/**", "basket")))
    assert template("/cart/gift", ["cart", "gift"]) == "gift"
    assert template("/cart/x", ["cart", "x"]) == "basket"
    assert template("/cart", ["cart"]) == "cart"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (TemplateRule("shop/*", "category"), "'shop/*': a glob begins with '/'"),
        (TemplateRule("re:(", "category"), "not a regular expression"),
        (TemplateRule("/x", ""), "the template is empty"),
    ],
)
def test_an_unusable_rule_is_refused_by_name(rule: TemplateRule, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        template_reader((rule,))
    assert "\n" not in str(caught.value)
