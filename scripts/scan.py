"""Looks for faults: `scan.py <bin folder> <root> [bandit|rules|semgrep|secrets ...]`.

Each finding is a line; the status is 1 where there is one, or where a scanner looked at less than
it should: a scanner that skips files also finds nothing. What is no fault says why beside its line
(`# nosec B608`, `# nosemgrep: rule`, `# pragma: allowlist secret`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

SOURCES = ("src", "training")
RULES = Path(__file__).resolve().parents[1] / ".semgrep"
# The lock is hashes from its first to its last line; a test holds it to that form.
NO_SECRETS_IN = r"^requirements/\w+\.txt$"


class Result(NamedTuple):
    """What a scanner looked at, how often, what it should have looked at, and what it found."""

    things: str
    seen: int
    due: int
    findings: list[str]


def run(*command: str | Path, folder: Path) -> str:
    """Run a scanner, which ends with 0 or, for findings, 1; gives what it printed."""
    environment = {**os.environ, "SEMGREP_SEND_METRICS": "off", "SEMGREP_ENABLE_VERSION_CHECK": "0"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"error: {command[0]} failed\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def sources(root: Path) -> list[Path]:
    """Give the modules that are looked at."""
    return [path for folder in SOURCES for path in (root / folder).rglob("*.py")]


def bandit(tools: Path, root: Path) -> Result:
    """Run bandit with the settings of pyproject.toml."""
    settings = ("-c", RULES.parent / "pyproject.toml")
    told = json.loads(
        run(tools / "bandit", "-q", "-f", "json", *settings, "-r", *SOURCES, folder=root)
    )
    findings = [
        f"{one['filename']}:{one['line_number']}: {one['test_id']} {one['issue_text']}"
        for one in told["results"]
    ]
    findings += [f"{one['filename']}: not read: {one['reason']}" for one in told["errors"]]
    seen = len(told["metrics"]) - 1  # and their sum
    return Result("modules", seen, len(sources(root)), findings)


def rules(tools: Path, _root: Path) -> Result:
    """Let each rule of .semgrep find what its example says, and nothing else."""
    # From inside: semgrep looks for no tests in a hidden folder.
    told = json.loads(run(tools / "semgrep", "scan", "--test", "--json", ".", folder=RULES))
    checks = {
        name: check
        for result in told["results"].values()
        for name, check in result["checks"].items()
    }
    findings = [
        f".semgrep: {name} fails its examples" for name, one in checks.items() if not one["passed"]
    ]
    due = sum(path.read_text(encoding="utf-8").count("- id: ") for path in RULES.glob("*.yaml"))
    return Result("rules", len(checks), due, findings)


def semgrep(tools: Path, root: Path) -> Result:
    """Run the rules of .semgrep."""
    command = (tools / "semgrep", "scan", "--json", "--config", RULES, "--no-git-ignore")
    told = json.loads(run(*command, *SOURCES, folder=root))
    findings = [
        f"{one['path']}:{one['start']['line']}: {one['check_id'].rpartition('.')[2]}: "
        f"{one['extra']['message'].strip()}"
        for one in told["results"]
    ]
    findings += [f"{one.get('path', 'semgrep')}: {one['message']}" for one in told["errors"]]
    return Result("modules", len(told["paths"]["scanned"]), len(sources(root)), findings)


def secrets(tools: Path, root: Path) -> Result:
    """Look for secrets in all files under version control."""
    listed = run("git", "ls-files", folder=root).splitlines()
    told = json.loads(
        run(tools / "detect-secrets", "scan", "--exclude-files", NO_SECRETS_IN, folder=root)
    )
    findings = [
        f"{name}:{one['line_number']}: {one['type']}"
        for name, found in told["results"].items()
        for one in found
    ]
    return Result("files", len(listed), 1, findings)


SCANNERS: dict[str, Callable[[Path, Path], Result]] = {
    "bandit": bandit,
    "rules": rules,
    "semgrep": semgrep,
    "secrets": secrets,
}


def main(tools: str, root: str, *names: str) -> int:
    """Run the scanners that are named, or all; gives the status."""
    failed = False
    for name in names or SCANNERS:
        result: Any = SCANNERS[name](Path(tools).resolve(), Path(root).resolve())
        for finding in result.findings:
            print(f"{name}: {finding}")
        short = result.seen < result.due
        if short:
            print(f"{name}: looked at {result.seen} {result.things} of {result.due}")
        print(f"{name}: {len(result.findings)} findings in {result.seen} {result.things}")
        failed = failed or short or bool(result.findings)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
