"""The state's layout, told field by field: `python -m micromoment.features.layout`.

`tests/unit/features/state_layout_v<STATE_VERSION>.txt` is what this prints; a test fails where not.
"""

from __future__ import annotations

import sys

from micromoment.features.state import STATE


def state_layout() -> str:
    """Tell each field's place, type and name, one line each, and where the record ends."""
    fields = dict(STATE.fields or {})
    places = [(fields[name][1], fields[name][0], name) for name in STATE.names or ()]
    lines = [f"{place:5} {kind.base.str}{list(kind.shape)} {name}" for place, kind, name in places]
    return "\n".join([*lines, f"{STATE.itemsize:5} end", ""])


if __name__ == "__main__":
    sys.stdout.write(state_layout())
