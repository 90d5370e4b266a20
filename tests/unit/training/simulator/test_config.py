from datetime import date
from typing import Any

import pytest

from micromoment.errors import InvalidSettingError
from training.simulator import ExportHabits, ShopConfig


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("seed", {"seed": -1}),
        ("days", {"days": 0}),
        ("sessions_per_day", {"sessions_per_day": 0}),
        ("n_items", {"n_items": 5}),
        ("target_conversion", {"target_conversion": 0.5}),
        ("burn_in_days", {"burn_in_days": -1}),
        ("habits.stray_row", {"habits": ExportHabits(stray_row=1.5)}),
    ],
)
def test_a_value_that_cannot_work_is_named(setting: str, values: dict[str, Any]) -> None:
    """A config with a value that can't work isn't made; the error names the setting."""
    with pytest.raises(InvalidSettingError, match=f"setting {setting}: must"):
        ShopConfig(**values)


def test_the_days_follow_the_start() -> None:
    """Days count from the start, over a leap day; the end is the midnight after the last."""
    config = ShopConfig(start=date(2024, 2, 28), days=3)
    assert [config.day(number) for number in range(3)] == [
        date(2024, 2, 28),
        date(2024, 2, 29),
        date(2024, 3, 1),
    ]
    assert config.start_us == 1_709_078_400_000_000
    assert config.end_us - config.start_us == 3 * 86_400_000_000
