"""Logs: one JSON object a line, without what callers sent."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from micromoment.telemetry.logs import configure_logs


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """Put everything back afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_events_are_json_lines_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Each line is an object with event, level and time."""
    configure_logs("info", "auto")
    structlog.get_logger("x").info("serving", port=1)
    out, err = capsys.readouterr()
    line = json.loads(err)
    assert out == ""
    assert (line["event"], line["level"], line["port"]) == ("serving", "info", 1)
    assert line["timestamp"].endswith("Z")


def test_less_than_the_level_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """At level warning an info is silent."""
    configure_logs("warning", "json")
    structlog.get_logger("x").info("quiet")
    assert capsys.readouterr().err == ""


def test_other_libraries_are_logged_alike_and_without_messages_of_exceptions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A library's exception shows its class, because its message may hold anything."""
    configure_logs("debug", "json")
    try:
        raise ValueError("secret")
    except ValueError:
        logging.getLogger("library").exception("it broke")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"], line["error"]) == ("it broke", "error", "ValueError")
    assert "secret" not in json.dumps(line)


def test_a_console_form_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """The console form is text, not JSON."""
    configure_logs("info", "console")
    structlog.get_logger("x").info("serving")
    err = capsys.readouterr().err
    assert "serving" in err
    assert not err.startswith("{")
