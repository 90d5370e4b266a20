"""What importing Feast through its guard does to a process, and what it doesn't."""

from __future__ import annotations

import json
import subprocess
import sys

# A function that typeguard has written checks into imports typeguard in its own code.
PROGRAM = """
import json, typeguard
before = typeguard.typechecked
import {imported}
import feast

def checked(kind):
    return "typeguard" in kind.__init__.__code__.co_names

told = [checked(feast.FeatureView), checked(feast.Entity), typeguard.typechecked is before]
print(json.dumps(told))
"""


def told_after(imported: str) -> list[bool]:
    """Tell of a new process whether two classes are checked, and if typeguard is as it was."""
    command = [sys.executable, "-c", PROGRAM.format(imported=imported)]
    run = subprocess.run(command, capture_output=True, check=True, text=True)
    told: list[bool] = json.loads(run.stdout)
    return told


def test_no_checks_are_written_into_feasts_classes() -> None:
    """Writing them is most of what importing Feast costs; other users of typeguard keep theirs."""
    assert told_after("micromoment.stores.feast_sdk") == [False, False, True]
    assert told_after("feast") == [True, True, True]
