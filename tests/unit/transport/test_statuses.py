"""From exceptions to statuses."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo

import micromoment
from micromoment.errors import (
    FieldViolation,
    InvalidRequestError,
    InvalidSettingError,
    MicromomentError,
    SessionNotFoundError,
)
from micromoment.transport.errors import OverloadedError
from micromoment.transport.statuses import ANSWERS, code_of, status_of

# The one runs the command line, the other only passes Feast's own names on, which takes seconds.
UNREAD = ("__main__", "feast_sdk")

# Scoring degrades instead of ending with it.
UNSENT = ("USER_FEATURES_UNAVAILABLE",)


def all_error_classes() -> list[type[MicromomentError]]:
    """Import the whole service and give every class of its error tree."""
    for module in pkgutil.walk_packages(micromoment.__path__, "micromoment."):
        if not module.name.endswith(UNREAD):
            importlib.import_module(module.name)
    return sorted(set(tree(MicromomentError)), key=lambda error: error.__qualname__)


def tree(root: type[MicromomentError]) -> Iterator[type[MicromomentError]]:
    """Give a class and those below it, as far as they belong to the service."""
    if root.__module__.startswith("micromoment."):
        yield root
    for below in root.__subclasses__():
        yield from tree(below)


@pytest.mark.parametrize("error_class", all_error_classes(), ids=lambda c: c.__name__)
def test_every_error_class_is_in_the_table(error_class: type[MicromomentError]) -> None:
    """Each has a status of its own or is hidden on purpose, and makes a status either way."""
    assert error_class in ANSWERS
    error = error_class.__new__(error_class)
    Exception.__init__(error, "secret")
    if error_class is InvalidRequestError:
        error = InvalidRequestError([FieldViolation("field", "secret")])
    status = status_of(error)
    answer = ANSWERS[error_class]
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.domain == "micromoment"
    if answer is None:
        assert (code_of(status), info.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
        assert "secret" not in status.message
    else:
        assert (code_of(status), info.reason) == (answer.code, answer.reason)
        assert "secret" in status.message


def test_reasons_tell_errors_apart() -> None:
    """No two error classes have the same reason."""
    reasons = [answer.reason for answer in ANSWERS.values() if answer is not None]
    assert len(set(reasons)) == len(reasons)


def test_every_reason_is_documented() -> None:
    """The API's page lists each reason with its code."""
    page = (Path(__file__).parents[3] / "docs" / "api.md").read_text(encoding="utf-8")
    for answer in ANSWERS.values():
        if answer is not None and answer.reason not in UNSENT:
            assert f"| `{answer.code.name}` | `{answer.reason}` |" in page


def test_a_bad_request_lists_its_violations() -> None:
    """BadRequest holds path and description of each."""
    violations = [FieldViolation("a.b", "required"), FieldViolation("c", "negative")]
    bad_request = BadRequest()
    status = status_of(InvalidRequestError(violations))
    assert status.details[1].Unpack(bad_request)
    found = [FieldViolation(v.field, v.description) for v in bad_request.field_violations]
    assert found == violations


def test_an_overloaded_server_says_when_to_come_back() -> None:
    """RESOURCE_EXHAUSTED carries RetryInfo."""
    retry = RetryInfo()
    assert status_of(OverloadedError()).details[1].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == 100


@pytest.mark.parametrize(
    "error", [ValueError("secret"), InvalidSettingError("port", "secret"), KeyError("secret")]
)
def test_what_nobody_expected_is_logged_without_its_message(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log has class, place and correlation id; the status has the id alone."""
    try:
        raise error
    except type(error) as raised:
        status = status_of(raised)
    logged = "".join(capsys.readouterr())
    correlation_id = status.message.rsplit(" ", 1)[-1]
    assert code_of(status) is grpc.StatusCode.INTERNAL
    assert correlation_id in logged
    assert "test_statuses.py" in logged
    assert type(error).__name__ in logged
    assert "secret" not in logged + str(status) + json.dumps(logged)


def test_a_subclass_without_an_entry_is_hidden() -> None:
    """An error that the table does not name is answered like one that nobody expected."""

    class NewError(SessionNotFoundError):
        """Not in the table."""

    assert code_of(status_of(NewError())) is grpc.StatusCode.INTERNAL
