"""`micromoment demo`, as a newcomer runs it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.commands import BIN, TIMEOUT_S, Home, assert_gone

STAGES = {"learn", "discover", "decide", "do"}


@pytest.mark.slow
def test_the_demo_shows_a_visit_and_ends(tmp_path: Path) -> None:
    """In an empty folder it ends with 0; conversion rises from landing to checkout, then an order.

    No process of it is left.
    """
    with Home(tmp_path).start(BIN / "micromoment", "demo", "--once", "--port", "0") as process:
        stdout, stderr = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, stdout + stderr
    assert_gone(process)
    *_, visit = stdout.split("One visit")
    found = re.findall(r"^\s*(\S.*?)  +([a-z]+) +([\d.]+)%(?:[ █]+([\d.]+)%)?", visit, re.MULTILINE)
    stages = [stage for _, stage, _, _ in found]
    conversion = [float(number) for _, _, number, _ in found]
    assert len(found) >= 10
    assert set(stages) == STAGES
    assert (stages[0], stages[-1]) == ("learn", "do")
    assert len(set(conversion)) >= 8
    assert max(conversion[-3:]) > 5 * conversion[0]
    for _, _, number, abandonment in found:
        assert not abandonment or float(number) + float(abandonment) == pytest.approx(100, abs=0.11)
    assert found[-1][3]
    assert not found[0][3]
    assert re.search(r"do +converted", visit)
    (tag,) = set(re.findall(r"demo:[0-9a-f]{16}", stdout))
    assert f"answered by {tag}" in visit
    assert f"serve --bundle {tag}" in visit
