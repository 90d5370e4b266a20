"""The command `serve-http` where its extra is not installed."""

from __future__ import annotations

import subprocess
import sys

WITHOUT_BENTOML = """
import sys
sys.modules["bentoml"] = None
from micromoment.cli import main
main(["serve-http"])
"""


def test_without_bentoml_it_says_what_to_install() -> None:
    """One line names the extra; the status is 1."""
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_BENTOML], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert run.stderr == "micromoment: serve-http needs BentoML: pip install 'micromoment[http]'\n"


def test_the_command_line_does_without_bentoml_until_then() -> None:
    """Who serves over gRPC imports neither BentoML nor Starlette."""
    code = (
        "import sys, micromoment.bootstrap, micromoment.http.command;"
        "print({'bentoml', 'starlette', 'uvicorn'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"
