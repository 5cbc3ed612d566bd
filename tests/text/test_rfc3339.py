"""Times as RFC 3339 writes them."""

from __future__ import annotations

import datetime

import pytest

from forumapi.text import rfc3339

DIGITS = datetime.datetime.fromisoformat("2027-01-31T18:00:00")


@pytest.mark.parametrize(
    ("text", "digits", "minutes"),
    [
        ("2027-01-31T18:00:00Z", DIGITS, 0),
        ("2027-01-31t18:00:00z", DIGITS, 0),
        ("2027-01-31 18:00:00-00:00", DIGITS, 0),
        ("2027-01-31T18:00:00+05:30", DIGITS, 330),
        ("2027-01-31T18:00:00-11:00", DIGITS, -660),
        ("2027-01-31T18:00:00.5Z", DIGITS.replace(microsecond=500_000), 0),
        ("2027-01-31T18:00:00.123456789Z", DIGITS.replace(microsecond=123_456), 0),
    ],
)
def test_a_time_is_an_instant_and_a_wall_clock(
    text: str, digits: datetime.datetime, minutes: int
) -> None:
    assert rfc3339.wall_clock(text) == digits
    in_utc = (digits - datetime.timedelta(minutes=minutes)).replace(tzinfo=datetime.UTC)
    assert rfc3339.instant(text) == in_utc


def test_a_time_without_an_offset_is_no_instant() -> None:
    assert rfc3339.wall_clock("2027-01-31T18:00:00") == DIGITS
    assert rfc3339.instant("2027-01-31T18:00:00") is None


def test_an_instant_outside_all_years_is_none() -> None:
    assert rfc3339.wall_clock("0001-01-01T00:00:00+23:00") == DIGITS.min
    assert rfc3339.instant("0001-01-01T00:00:00+23:00") is None
    assert rfc3339.instant("9999-12-31T23:59:59-00:01") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2027-01-31",
        "2027-01-31T18:00Z",
        "20270131T180000Z",
        "2027-W05-1T18:00:00Z",
        "2027-02-29T18:00:00Z",
        "2027-01-31T24:00:00Z",
        "2027-01-31T18:00:60Z",
        "2027-01-31T18:00:00.Z",
        "2027-01-31T18:00:00.1234567890Z",
        "2027-01-31T18:00:00+24:00",
        "2027-01-31T18:00:00+01:60",
        "2027-01-31T18:00:00+0100",
        "2027-01-31T18:00:00Z ",
        "٢٠٢٧-01-31T18:00:00Z",
    ],
)
def test_other_texts_are_no_times(text: str) -> None:
    assert rfc3339.instant(text) is None
    assert rfc3339.wall_clock(text) is None
