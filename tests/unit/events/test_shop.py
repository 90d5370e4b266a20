"""What is known of the shop."""

import numpy as np
import pytest

from micromoment.errors import InvalidSettingError
from micromoment.events.shop import Shop, is_currency

NEW_YORK = Shop("USD", "America/New_York")
# 2024-03-10 07:00 UTC: clocks there go from 2:00 to 3:00.
SPRING_US = 1_710_054_000_000_000


def test_offsets_around_a_change_of_clocks() -> None:
    """Up to the last microsecond of winter time it is -300 minutes, from then on -240."""
    assert NEW_YORK.utc_offset_minutes(SPRING_US - 1) == -300
    assert NEW_YORK.utc_offset_minutes(SPRING_US) == -240
    times = np.array([SPRING_US, SPRING_US - 1, SPRING_US - 1, SPRING_US + 10**12])
    offsets = NEW_YORK.utc_offsets_minutes(times)
    assert offsets.dtype == np.int16
    assert offsets.tolist() == [-240, -300, -300, -240]


def test_a_change_of_clocks_at_half_past() -> None:
    """On Lord Howe Island clocks went from +10:30 to +11:00 on 2023-09-30 at 15:30 UTC."""
    island, change_us = Shop("AUD", "Australia/Lord_Howe"), 1_696_087_800_000_000
    assert island.utc_offset_minutes(change_us - 1) == 630
    assert island.utc_offset_minutes(change_us) == 660
    assert island.utc_offsets_minutes(np.array([change_us - 1, change_us])).tolist() == [630, 660]


def test_no_times_no_offsets() -> None:
    """An empty array gives an empty array."""
    assert NEW_YORK.utc_offsets_minutes(np.array([], np.int64)).shape == (0,)


def test_which_prices_can_be_used() -> None:
    """Those in the shop's currency, and those that name none; a shop without one takes any."""
    assert NEW_YORK.accepts("USD")
    assert NEW_YORK.accepts("")
    assert not NEW_YORK.accepts("EUR")
    assert Shop().accepts("EUR")


@pytest.mark.parametrize("code", ["usd", "US", "USDT", "U$D", "ÜSD", "123", ""])
def test_what_is_no_currency(code: str) -> None:
    """A code is three capital letters of ASCII."""
    assert not is_currency(code)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "/etc/localtime", "Europe"])
def test_an_unknown_time_zone_is_refused(zone: str) -> None:
    """The message names the setting."""
    with pytest.raises(InvalidSettingError, match="time_zone"):
        Shop("USD", zone)


def test_a_wrong_currency_is_refused() -> None:
    """The message names the setting and the value."""
    with pytest.raises(InvalidSettingError, match="currency: 'dollar'"):
        Shop("dollar")
