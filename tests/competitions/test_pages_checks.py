"""Rules and refusals read the right way round, with the digits that mean something."""

from __future__ import annotations

import pytest

from competitions.selectors.checks import check_of, denial_shown


@pytest.mark.parametrize(
    ("rule", "limit", "value", "told"),
    [
        (
            "INSUFFICIENT_MARGIN",
            "2460.14123456",
            "655.00",
            ("Margin needed, of what is free", "≤ 2,460.14", "655.00"),
        ),
        (
            "POSITION_SHARE_ABOVE_LIMIT",
            "25",
            "34.1234567891",
            ("Position share, %", "≤ 25.00", "34.12"),
        ),
        ("ABOVE_MAX_QUANTITY", "200000", "1156.4", ("Maximum quantity", "≤ 200,000", "1,156.4")),
        ("BELOW_MIN_NOTIONAL", "5", "782.51234", ("Minimum notional", "≥ 5.00", "782.51")),
        ("TOO_MANY_POSITIONS", "6", "7", ("Open positions", "≤ 6", "7")),
        ("SHORTING_NOT_ALLOWED", "long only", "short", ("Direction allowed", "long only", "short")),
        ("NO_QUOTE", "a quote", None, ("A quote", "a quote", "—")),
    ],
)
def test_check_is_told_as_a_limit_and_what_was_found(rule, limit, value, told):
    check = check_of({"rule": rule, "limit": limit, "value": value, "passed": True})

    assert (check.name, check.limit, check.value) == told


def test_check_that_failed_by_a_hair_shows_the_hair():
    check = check_of(
        {"rule": "INSUFFICIENT_MARGIN", "limit": "100.001", "value": "100.004", "passed": False}
    )

    assert (check.limit, check.value) == ("≤ 100.001", "100.004")


@pytest.mark.parametrize(
    ("denial", "told"),
    [
        (
            "INSUFFICIENT_MARGIN free=2460.14123456 needed=7500.00",
            "INSUFFICIENT_MARGIN free=2460.14 needed=7500.00",
        ),
        (
            "POSITION_SHARE_ABOVE_LIMIT max=25 share=34.1234567891",
            "POSITION_SHARE_ABOVE_LIMIT max=25 share=34.12",
        ),
        (
            "POSITION_SHARE_ABOVE_LIMIT max=25 share=25.0000000001",
            "POSITION_SHARE_ABOVE_LIMIT max=25 share=25.0000000001",
        ),
        ("ABOVE_MAX_QUANTITY asked=0.12345 max=0.1", "ABOVE_MAX_QUANTITY asked=0.12345 max=0.1"),
    ],
)
def test_refusal_keeps_the_digits_that_mean_something(denial, told):
    assert denial_shown(denial) == told
