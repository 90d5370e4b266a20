"""What every error of the tree can do."""

from __future__ import annotations

import pickle

import pytest

from micromoment.errors import (
    BundleError,
    FieldViolation,
    InvalidDataError,
    InvalidRequestError,
    InvalidSettingError,
    MicromomentError,
    SessionNotFoundError,
)

ERRORS = [
    InvalidSettingError("name", "is empty"),
    InvalidDataError("a.parquet", "row 3"),
    InvalidRequestError([FieldViolation("events[0]", "is missing")]),
    SessionNotFoundError(),
    BundleError("shop:1", "is damaged"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_comes_out_of_another_process_as_it_was(error: MicromomentError) -> None:
    """Pickled and read back, kind, message and fields are the same."""
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - its own bytes
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.__dict__ == error.__dict__
