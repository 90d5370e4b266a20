"""Compiled and interpreted, the reducer says the same."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.support.bundles import made_up_rows

PROGRAM = """
import sys
import numpy as np
from tests.support.bundles import made_up_rows
np.save(sys.argv[1], made_up_rows()[0], allow_pickle=False)
"""


def test_compilation_changes_no_feature(tmp_path: Path) -> None:
    """Where one way of running wraps a number around or cuts it off, the other would differ."""
    disabled = os.environ.get("NUMBA_DISABLE_JIT", "0") not in {"", "0"}
    environment = os.environ | {"NUMBA_DISABLE_JIT": "0" if disabled else "1"}
    path = tmp_path / "rows.npy"
    subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)],
        env=environment,
        cwd=Path(__file__).resolve().parents[2],
        check=True,
    )
    rows, _ = made_up_rows()
    # Sums of prices may differ in their last bits: NumPy adds in another order.
    np.testing.assert_allclose(np.load(path), rows, rtol=1e-6, atol=1e-6)
