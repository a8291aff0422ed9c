"""Record ids: what is written is named by what it is about, and a name may be longer than an id."""

from __future__ import annotations

from hashlib import blake2b

from schemas.fields import MAX_ID_CHARS


def record_id(name: str) -> str:
    """Give the id of what goes by a name: the name itself, or one of 256 characters where it is longer (>).

    The hash keeps names with a long equal beginning apart.

    Parameters
    ----------
    name
        Made of a site, and a page, group or model of it; not empty.

    Examples
    --------
    >>> record_id("shop|shop.example/sizes")
    'shop|shop.example/sizes'
    >>> long = [record_id(f"shop|shop.example/{'sizes/' * 80}{end}") for end in "ab"]
    >>> [len(name) for name in long], long[0] == long[1]
    ([256, 256], False)
    """
    if len(name) <= MAX_ID_CHARS:
        return name
    mark = "~" + blake2b(name.encode(), digest_size=8).hexdigest()
    return name[: MAX_ID_CHARS - len(mark)] + mark
