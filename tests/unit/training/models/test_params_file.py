"""Files of parameters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from micromoment.errors import InvalidDataError
from training.models.conversion import ConversionParams
from training.models.params_file import read_params, write_params


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Every parameter comes back; how the machine computes is not in the file."""
    file = tmp_path / "params.json"
    params = replace(ConversionParams(), num_leaves=12, lambda_l2=0.25, feature_fraction=0.7)
    write_params(file, params, {"loss": 0.1})
    assert read_params(file) == params
    assert "num_threads" not in file.read_text()


def test_what_is_not_named_is_the_default(tmp_path: Path) -> None:
    """A file by hand may hold one parameter."""
    file = tmp_path / "params.json"
    file.write_text('{"params": {"num_leaves": 9}}')
    assert read_params(file) == replace(ConversionParams(), num_leaves=9)
    file.write_text('{"params": {}}')
    assert read_params(file) == ConversionParams()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"params": {"num_leafs": 9}}', "params.num_leafs"),
        ('{"params": {"num_leaves": 500}}', "params.num_leaves"),
        ('{"params": {"num_leaves": "9"}}', "params.num_leaves"),
        ('{"params": {"feature_fraction": 0}}', "params.feature_fraction"),
        ("{}", "params"),
        ("num_leaves: 9", "the file"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    """The message names the file and the parameter."""
    file = tmp_path / "params.json"
    file.write_text(text)
    with pytest.raises(InvalidDataError, match=said) as error:
        read_params(file)
    assert "params.json" in str(error.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    """No traceback."""
    with pytest.raises(InvalidDataError, match="can't be read"):
        read_params(tmp_path / "none.json")
