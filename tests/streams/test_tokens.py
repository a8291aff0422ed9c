from base64 import urlsafe_b64encode
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.tokens import holds_person, is_token

TOKENS = [
    "123e4567-e89b-12d3-a456-426614174000",
    "123E4567-E89B-12D3-A456-426614174000",
    "d41d8cd98f00b204e9800998ecf8427e",
    "507f1f77bcf86cd799439011",
    "0123456789abcdef",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    "kR7pQ2vX9mB4nL8tW3yZ",
    "dGhpcyBpcyBhIHRva2VuIDEyMw==",
    "123456",
    "1659304800025",
    "4111111111111111",
    "anna@example.org",
    "anna%40example.org",
    "anna.b%2Bshop%40mail.example.org",
    "+49301234567",
    "%2B49-30-1234567",
    "0049%2030%201234567",
    "DE89370400440532013000",
]
PLACES = [
    "12345",
    "2024",
    "20240131",
    "201706",
    "summer-sale",
    "deadbeef",
    "0123456789abcde",
    "Galaxy-S23-Ultra-256GB-Phantom-Black",
    "iPhone15ProMaxCaseBlue",
    "LG-OLED55C34LA-55-Zoll-4K-TV",
    "HP-OfficeJet-Pro-9015e-A4-AIO-22ppm-WiFi",
    "disabling-battery-in-ubuntu-vms",
    "B07FZ8S74R",
    "blue-shoe-1234567",
    "@anna",
    "Gr%C3%B6%C3%9Fe",
    "+1",
    "00-flaeche",
    ":id",
]


@pytest.mark.parametrize("part", TOKENS)
def test_a_token_or_personal_part_is_recognised(part: str) -> None:
    assert is_token(part)


@pytest.mark.parametrize("part", PLACES)
def test_a_part_that_names_a_place_is_kept(part: str) -> None:
    assert not is_token(part)


@pytest.mark.parametrize(
    ("digits", "after_catalogue", "expected"),
    [(5, False, False), (6, False, True), (6, True, False), (14, True, False), (15, True, True)],
)
def test_numbers_are_tokens_from_six_digits_and_after_a_catalogue_word_from_fifteen(
    digits: int, after_catalogue: bool, expected: bool
) -> None:
    assert is_token("9" * digits, after_catalogue=after_catalogue) is expected


@given(st.uuids())
def test_every_uuid_is_a_token_even_after_a_catalogue_word(value: object) -> None:
    assert is_token(str(value), after_catalogue=True)


@given(st.from_regex(r"[a-z0-9.+_-]{1,20}@[a-z0-9-]{1,20}\.(com|de|example)", fullmatch=True))
def test_every_email_holds_a_person_plain_encoded_or_within_other_text(email: str) -> None:
    assert holds_person(email)
    assert holds_person(email.replace("@", "%40"))
    assert holds_person(f"user-{email}-x")


@pytest.mark.parametrize(("octets", "least"), [(16, 0.8), (24, 0.94), (32, 0.97)])
def test_most_random_tokens_are_recognised(octets: int, least: float) -> None:
    random = Random(7)
    tokens = [urlsafe_b64encode(random.randbytes(octets)).decode().rstrip("=") for _ in range(2_000)]
    assert sum(map(is_token, tokens)) / len(tokens) >= least
