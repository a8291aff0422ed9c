"""The kind of page: by ordered rules of settings, else by well-known words, else by first part and depth."""

import re
from collections.abc import Callable

from streams.settings import TemplateRule

#: The first part of a path, in the languages of the larger European shops, and what it says.
WORDS = {
    "home": "home index start",
    "product": (
        "product products p item items dp pd sku produkt produkte artikel produit produits producto"
        " productos prodotto"
    ),
    "category": (
        "category categories c collection collections shop catalog catalogue department departments"
        " browse brand brands kategorie kategorien categorie categoria sale outlet"
    ),
    "search": "search s find results suche recherche buscar cerca",
    "cart": "cart basket bag warenkorb panier carrito carrello",
    "checkout": "checkout kasse payment pay bestellung commande order-confirmation thank-you",
    "account": (
        "account my-account myaccount login signin sign-in logout register signup sign-up profile"
        " orders order order-status tracking wishlist konto mein-konto compte cuenta password"
    ),
    "help": (
        "help faq faqs support contact contact-us customer-service returns shipping delivery store-"
        " finder stores hilfe kontakt aide ayuda"
    ),
    "content": (
        "blog blogs article articles news magazine guide guides about about-us story stories post posts"
        " press journal ratgeber page pages content wiki docs"
    ),
}
_TEMPLATE_BY_WORD = {word: template for template, words in WORDS.items() for word in words.split()}

#: Words after which a number names a thing of the catalogue or an article, not a visitor or an order.
CATALOGUE_WORDS = frozenset(
    word for template in ("product", "category", "content") for word in WORDS[template].split()
)

MAX_FIRST_PART_LENGTH = 40
_CUT_ESCAPE = re.compile(r"%[0-9a-f]?$")

_LANGUAGE_CODES = (
    "ar bg cs da de el en es et fi fr he hr hu it ja ko lt lv nb nl no pl pt ro ru sk sl sr sv tr uk zh"
)
_LANGUAGES = frozenset(_LANGUAGE_CODES.split())
_LOCALE = re.compile(r"([a-z]{2})[-_][a-z]{2}", re.IGNORECASE)


def compiled_rule(rule: TemplateRule) -> re.Pattern[str]:
    r"""Give a rule as a regular expression that is searched in path and kept query.

    ``rule.path`` is a glob over the whole path (``*`` within one part, ``**`` over parts), whatever the kept
    query; or a regular expression after ``re:``, such as ``re:^/index\.php\?route=product``.

    Raises
    ------
    ValueError
        The template is empty, the pattern no regular expression, or a glob that begins with no slash.

    Examples
    --------
    >>> shelf = compiled_rule(TemplateRule("/shop/*", "category"))
    >>> shelf.search("/shop/shoes?colour=red") is not None, shelf.search("/shop/shoes/5") is not None
    (True, False)
    """
    if not rule.template:
        raise ValueError(f"template rule {rule.path!r}: the template is empty")
    if rule.path.startswith("re:"):
        try:
            return re.compile(rule.path[3:])
        except re.error as error:
            raise ValueError(f"template rule {rule.path!r}: not a regular expression: {error}") from error
    if not rule.path.startswith("/"):
        raise ValueError(
            f"template rule {rule.path!r}: a glob begins with '/', a regular expression with 're:'"
        )
    pieces = re.split(r"(\*\*|\*)", rule.path)
    wild = {"**": r"[^?]*", "*": r"[^/?]*"}
    return re.compile("^" + "".join(wild.get(piece, re.escape(piece)) for piece in pieces) + r"(?:\?.*)?$")


def is_locale(part: str) -> bool:
    """Tell whether a path's part names a language or a locale, such as ``en`` or ``de-at``.

    Examples
    --------
    >>> is_locale("de-AT"), is_locale("fr"), is_locale("tv")
    (True, True, False)
    """
    if len(part) == 2:
        return part.lower() in _LANGUAGES
    match = _LOCALE.fullmatch(part)
    return match is not None and match[1].lower() in _LANGUAGES


def template_of_parts(parts: list[str]) -> str:
    """Give the template of a path by its words, else ``first-part/depth``.

    A leading language or locale is passed over. A product word counts wherever something follows it
    (``/collections/shoes/products/42``); as the last part it is a list, so a category. Cost about 0.5 µs.

    Parameters
    ----------
    parts
        The parts of a normalised path, tokens replaced.

    Examples
    --------
    >>> template_of_parts([]), template_of_parts(["en", "product", "12345"]), template_of_parts(["products"])
    ('home', 'product', 'category')
    >>> template_of_parts(["projects", "xdotool"])
    'projects/2'
    """
    if parts and is_locale(parts[0]):
        parts = parts[1:]
    if not parts:
        return "home"
    first = parts[0].lower()
    for part in parts[:-1]:
        if _TEMPLATE_BY_WORD.get(part.lower()) == "product":
            return "product"
    template = _TEMPLATE_BY_WORD.get(first) or _TEMPLATE_BY_WORD.get(first.partition(".")[0])
    if template == "product":
        return "category"
    if template == "home" and len(parts) > 1:
        template = None
    return template or f"{_CUT_ESCAPE.sub('', first[:MAX_FIRST_PART_LENGTH])}/{len(parts)}"


def template_reader(rules: tuple[TemplateRule, ...]) -> Callable[[str, list[str]], str]:
    """Make the function that gives a page's template: the first rule that fits, else the words.

    Parameters
    ----------
    rules
        In order of precedence.

    Raises
    ------
    ValueError
        A rule is not usable; the message names it.

    Examples
    --------
    >>> template = template_reader((TemplateRule("/projects/**", "content"),))
    >>> template("/projects/xdotool", ["projects", "xdotool"]), template("/cart", ["cart"])
    ('content', 'cart')
    """
    compiled = [(compiled_rule(rule).search, rule.template) for rule in rules]

    def template(path: str, parts: list[str]) -> str:
        for search, name in compiled:
            if search(path):
                return name
        return template_of_parts(parts)

    return template
