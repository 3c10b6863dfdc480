"""Times in texts."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index import times

ZONES = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(
    lambda shift: timezone(timedelta(minutes=shift // timedelta(minutes=1)))
)


@given(st.datetimes(timezones=st.just(UTC) | ZONES), st.sampled_from("T "))
def test_a_time_means_its_unix_seconds(moment: datetime, separator: str) -> None:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    assert times.seconds(moment.isoformat(separator)) == since / timedelta(seconds=1)
    if moment.tzinfo is UTC:
        assert times.seconds(moment.isoformat().replace("+00:00", "Z")) == since / timedelta(seconds=1)
        assert times.seconds(moment.replace(tzinfo=None).isoformat()) == since / timedelta(seconds=1)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01", 0),
        ("1970-01-02", 86_400),
        ("1970-01-01T00:01", 60),
        ("1970-01-01 00:01", 60),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:01.5Z", 1.5),
        ("1970-01-01T00:00:01.123456789Z", 1.123456),
        ("1969-12-31T23:59:59.5", -0.5),
        ("0001-01-01T00:00:00+23:59", -62_135_683_140),
    ],
)
def test_dates_and_times(text: str, seconds: float) -> None:
    assert times.seconds(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2020",
        "2020-01",
        "20200101",
        "2020-W01-1",
        "2020-02-30",
        "2020-13-01",
        "0000-01-01",
        "2020-01-01T24:00",
        "2020-01-01T00:60",
        "2020-01-01T00",
        "2020-01-01T00:00:00,5",
        "2020-01-01T00:00:60",
        "2020-01-01T00:00+0100",
        "2020-01-01t00:00",
        "2020-01-01Z",
        " 2020-01-01",
        "2020-01-01\n",
        "\u0662\u0660\u0662\u0660-01-01",
    ],
)
def test_what_is_no_time(text: str) -> None:
    assert times.seconds(text) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("-30d", -2_592_000), ("+12h", 43_200), ("5m", 300), ("0s", 0), ("-1w", -604_800), ("-999999999s", -999_999_999)],
)
def test_offsets(text: str, seconds: int) -> None:
    assert times.offset(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "d", "-d", "1.5d", "--1d", "1y", "1M", "1 d", "1d ", "1000000000s", "now"])
def test_what_is_no_offset(text: str) -> None:
    assert times.offset(text) is None
