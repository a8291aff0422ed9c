import ipaddress
import re
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.pseudonyms import IdentifierKind, Pseudonymiser, normal_phone, truncate_ip

SECRET = "correct horse battery staple"
HIDDEN = Pseudonymiser(SECRET)
OPEN = Pseudonymiser("", enabled=False)
TOKEN = re.compile(r"[vcepl]_[A-Za-z0-9_-]{22}")


def test_equal_ids_have_equal_pseudonyms_under_one_secret_and_others_under_another() -> None:
    assert HIDDEN.visitor("a", "1") == Pseudonymiser(SECRET).visitor("a", "1")
    assert HIDDEN.visitor("a", "1") != Pseudonymiser(SECRET + "!").visitor("a", "1")
    assert HIDDEN.customer("1") != Pseudonymiser(SECRET + "!").customer("1")


def test_one_id_of_two_kinds_or_two_sites_has_different_pseudonyms() -> None:
    tokens = [
        HIDDEN.visitor("a", "1"),
        HIDDEN.visitor("b", "1"),
        HIDDEN.visitor(None, "1"),
        HIDDEN.customer("1"),
    ]
    tokens += [str(HIDDEN.identifier(kind, "1")) for kind in ("email", "phone", "loyalty")]
    assert len({token[2:] for token in tokens}) == 7
    assert [token[:2] for token in tokens] == ["v_", "v_", "v_", "c_", "e_", "p_", "l_"]


def test_the_border_between_site_and_id_counts() -> None:
    assert HIDDEN.visitor("a", "bc") != HIDDEN.visitor("ab", "c")
    assert HIDDEN.visitor("1", "2:x") != HIDDEN.visitor("12", ":x")


@pytest.mark.parametrize(
    ("kind", "one", "other", "equal"),
    [
        ("email", " Anna@Example.org ", "anna@example.org", True),
        ("email", "anna@example.org", "ann@example.org", False),
        ("phone", "+49 (0)30 / 123-45", "0049 30 12345", True),
        ("phone", "030 12345", "030-12345", True),
        ("phone", "030 12345", "+49 30 12345", False),
        ("loyalty", " Ab1 ", "Ab1", True),
        ("loyalty", "Ab1", "ab1", False),
        ("email", sha256(b"anna@example.org").hexdigest(), "Anna@example.org", True),
        ("phone", sha256(b"+493012345").hexdigest().upper(), "+49 30 12345", True),
        ("loyalty", "f" * 64, "F" * 64, True),
    ],
)
def test_identifiers_that_mean_the_same_have_one_pseudonym(
    kind: IdentifierKind, one: str, other: str, equal: bool
) -> None:
    assert (HIDDEN.identifier(kind, one) == HIDDEN.identifier(kind, other)) is equal


@pytest.mark.parametrize("value", ["", "  ", "\t"])
def test_an_empty_identifier_is_none(value: str) -> None:
    for kind in ("email", "phone", "loyalty"):
        assert HIDDEN.identifier(kind, value) is None
        assert OPEN.identifier(kind, value) is None
    assert HIDDEN.identifier("phone", "call me") is None


def test_switched_off_ids_pass_and_addresses_are_truncated_all_the_same() -> None:
    assert OPEN.visitor("a", "1") == "1"
    assert OPEN.customer("42") == "42"
    assert OPEN.identifier("email", " Anna@Example.org") == "anna@example.org"
    assert OPEN.ip("192.0.2.77") == "192.0.2.0"


@pytest.mark.parametrize("secret", ["", "short", "x" * 15])
def test_a_short_secret_is_refused_without_repeating_it(secret: str) -> None:
    with pytest.raises(ValueError, match="at least 16 are needed") as caught:
        Pseudonymiser(secret)
    assert not secret or secret not in str(caught.value)
    assert Pseudonymiser("x" * 16).enabled


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.77", "192.0.2.0"),
        ("255.255.255.255", "255.255.255.0"),
        (" 192.0.2.77 ", "192.0.2.0"),
        ("::ffff:192.0.2.77", "192.0.2.0"),
        ("2001:db8:aaaa:bbbb::1", "2001:db8:aaaa::"),
        ("fe80::1%eth0", "fe80::"),
        ("::1", "::"),
        ("256.0.2.7", None),
        ("192.0.2", None),
        ("192.0.2.07", None),
        ("192.0.2.7:443", None),
        ("192.0.2.7, 192.0.2.8", None),
        ("shop.example", None),
        ("", None),
        (None, None),
    ],
)
def test_an_address_is_cut_to_its_network_and_anything_else_is_none(
    text: str | None, expected: str | None
) -> None:
    assert truncate_ip(text) == expected


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_keeps_its_last_eight_bits(address: ipaddress.IPv4Address) -> None:
    assert truncate_ip(str(address)) == str(
        ipaddress.IPv4Network((address, 24), strict=False).network_address
    )


@given(st.integers(min_value=1 << 96, max_value=(1 << 128) - 1).map(ipaddress.IPv6Address))
def test_no_ipv6_address_keeps_its_last_eighty_bits(address: ipaddress.IPv6Address) -> None:
    assert truncate_ip(str(address)) == str(
        ipaddress.IPv6Network((address, 48), strict=False).network_address
    )


@given(st.text(max_size=50), st.text(max_size=50))
def test_any_ids_become_tokens_of_one_shape(site: str, value: str) -> None:
    assert TOKEN.fullmatch(HIDDEN.visitor(site, value))
    assert TOKEN.fullmatch(HIDDEN.customer(value))
    truncate_ip(value)
    for kind in ("email", "phone", "loyalty"):
        token = HIDDEN.identifier(kind, value)
        assert token is None or TOKEN.fullmatch(token)


@given(st.text(alphabet="0123456789+-() /", max_size=20))
def test_a_normal_phone_number_is_its_own_normal_form(value: str) -> None:
    normal = normal_phone(value)
    assert normal_phone(normal) == normal
    assert re.fullmatch(r"\+?[0-9]*", normal)
