"""Fuzzes what answers requests, guided by coverage: `make fuzz`.

    python -m tests.fuzz [libFuzzer's options] CORPUS

libFuzzer saves an input that raises, and prints it in base64. The corpus begins with requests of
all kinds.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import atheris

import training  # noqa: F401 - before LightGBM, whose threads then wait without spinning

# What Numba compiles: it could not read it any more once it counts where it comes by.
from micromoment.scoring import scorer  # noqa: F401 - as just said

with atheris.instrument_imports(include=["micromoment"]):
    from tests.fuzz.handler import a_handler, inputs

_SEEDS: Final = 300


def main() -> None:
    """Fuzz until libFuzzer's options say that it is enough."""
    corpus = Path(sys.argv[-1])
    corpus.mkdir(parents=True, exist_ok=True)
    if not any(corpus.iterdir()):
        for number, data in enumerate(inputs(1, _SEEDS)):
            (corpus / f"seed-{number}").write_bytes(data)
    with a_handler() as handler:
        atheris.Setup(sys.argv, handler)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
