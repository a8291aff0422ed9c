"""A plan of faults: what may be written, what it means, and how a mistake is told."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.shop_faults import HOUR_MS, Fault, PlanError, parse_plan

MONDAY = 1_767_571_200_000  # 2026-01-05T00:00:00Z


class TestPlan:
    FAULT = Fault("shop.example/product/p1", 3_600_000, 7_200_000, 0.4)

    @pytest.mark.parametrize(
        "text",
        [
            '[{"page": "shop.example/product/p1", "from": 3600000, "to": 7200000, "points": 0.4}]',
            '{"faults": [{"page": "https://shop.example/product/p1/", "from": "+1h", '
            '"to": "+2h", "points": 0.4}]}',
            '[[faults]]\npage = "shop.example/product/p1"\nfrom = "+60m"\nto = "+7200s"\npoints = 0.4',
            '[[faults]]\npage = "shop.example/product/p1"\nfrom = 1970-01-01T01:00:00Z\n'
            'to = "1970-01-01T03:00:00+01:00"\npoints = 0.4',
        ],
        ids=["json list", "json object", "toml relative", "toml times"],
    )
    def test_json_and_toml_say_the_same(self, text: str) -> None:
        (fault,) = parse_plan(text, 0)
        assert fault == self.FAULT

    def test_relative_times_count_from_the_start(self) -> None:
        text = '[{"page": "s/a", "from": "+1h", "to": "+1d", "points": 1}]'
        (fault,) = parse_plan(text, MONDAY)
        assert (fault.start_ms, fault.end_ms) == (MONDAY + HOUR_MS, MONDAY + 24 * HOUR_MS)

    @pytest.mark.parametrize("text", ["[]", '{"faults": []}', ""])
    def test_an_empty_plan_has_no_faults(self, text: str) -> None:
        assert parse_plan(text, 0) == ()

    @pytest.mark.parametrize(
        ("entry", "reason"),
        [
            ({"points": 40}, "points is 40, but must be above 0 and at most 1"),
            ({"points": 0}, "points is 0, but must be above 0"),
            ({"points": "0.4"}, "points must be a number"),
            ({"points": True}, "points must be a number"),
            ({"points": float("nan")}, "points must be a number"),
            ({"points": 10**400}, "points must be a number"),
            ({"from": "+9h"}, "'to' must be later than 'from'"),
            ({"to": "tomorrow"}, "to must be a time with offset .* found 'tomorrow'"),
            ({"to": "2026-01-05T10:00:00"}, "to must be a time with offset"),
            ({"to": "0001-01-01T00:00:00+14:00"}, "to must be a time with offset"),
            ({"from": -1}, "from must be a time"),
            ({"from": True}, "from must be a time"),
            ({"page": ""}, "page must be a host and path"),
            ({"pages": "x"}, "unknown key 'pages'"),
        ],
    )
    def test_what_cannot_be_meant_is_refused_in_one_line(self, entry: dict[str, object], reason: str) -> None:
        good = {"page": "shop.example/cart", "from": "+1h", "to": "+2h", "points": 0.4}
        with pytest.raises(PlanError, match=reason) as caught:
            parse_plan(json.dumps([good, {**good, **entry}]), 0)
        assert str(caught.value).startswith("plan, fault 2: ")
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("[{]", "not readable as JSON"),
            ("page = ", "not readable as TOML"),
            ("3", "expected a list"),
            ("[3]", "fault 1: expected {page, from, to, points}, found 3"),
            ('[{"page": "a", "from": 1, "to": 2}]', "missing key 'points'"),
            ('{"fault": []}', "unknown key 'fault'"),
            ("[" * 100_000, "not readable"),
        ],
    )
    def test_what_is_not_a_plan_is_refused_in_one_line(self, text: str, reason: str) -> None:
        with pytest.raises(PlanError, match=reason) as caught:
            parse_plan(text, 0)
        assert "\n" not in str(caught.value)

    @settings(max_examples=80, deadline=None, derandomize=True)
    @given(
        st.one_of(
            st.text(),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                lambda inner: (
                    st.lists(inner)
                    | st.dictionaries(st.sampled_from(["page", "from", "to", "points", "faults"]), inner)
                ),
            ).map(json.dumps),
        )
    )
    def test_any_text_is_a_plan_or_one_line(self, text: str) -> None:
        reason = "none"
        try:
            faults = parse_plan(text, 0)
        except PlanError as error:
            faults, reason = (), str(error)
        assert len(reason.splitlines()) == 1
        assert all(fault.start_ms < fault.end_ms for fault in faults)
