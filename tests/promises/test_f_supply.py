"""Part F: what is installed, and what looks at it, is what the locks say."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.promises.conftest import Reached

ROOT = Path(__file__).parents[2]
SCANNERS = Path(sys.executable).parents[1] / "scan/bin"
LOCKS = ("base", "http", "training", "dev", "scan")
# Below these: known vulnerabilities, or behaviour that the service relies on is missing.
FLOORS = {"grpcio": "1.69", "protobuf": "6.33.5", "lightgbm": "4.6", "redis": "4.5.5"}

# What each scanner must find, in a checkout that is otherwise empty: scanner, file, text, finding.
# By scanner: file, text, and what is found.
FAULTS = {
    "bandit": [
        ("src/hashing.py", "import hashlib\nhashlib.md5(b'')\n", "B324"),
        ("training/binding.py", "host = '0.0.0.0'\n", "B104"),
        ("src/broken.py", "def broken(:\n", "not read"),
    ],
    "semgrep": [
        ("src/pickles.py", "import pickle\n", "no-unpickling"),
        ("training/evaluates.py", "eval('1')\n", "no-evaluation"),
        ("src/logs.py", "_log.info('x', session_id=one)\n", "no-ids-in-logs"),
    ],
    "secrets": [
        ("deploy/planted.yaml", f"password: '{'hunter2' * 2}'\n", "Secret Keyword"),
        ("docs/planted.md", f"key: AKIA{'ABCDEFGHIJKLMNOP'}\n", "AWS Access Key"),
        ("src/planted.pem", "-----BEGIN {}-----\n".format("PRIVATE KEY"), "Private Key"),
    ],
}


def pins(lock: str) -> dict[str, Version]:
    """Give the pinned version of each package of a lock, by its canonical name."""
    text = (ROOT / f"requirements/{lock}.txt").read_text(encoding="utf-8")
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;]+)", text, re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in found}


@pytest.fixture(scope="module")
def scan() -> ModuleType:
    """`scripts/scan.py`, with the scanners in place."""
    if not (SCANNERS / "semgrep").exists():
        make = shutil.which("make")
        assert make is not None
        subprocess.run([make, "scanners"], cwd=ROOT, check=True, capture_output=True)
    spec = importlib.util.spec_from_file_location("scan", ROOT / "scripts/scan.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def a_wheel(folder: Path) -> str:
    """Write the smallest wheel there is; gives its SHA-256."""
    folder.mkdir()
    path = folder / "planted-1.0-py3-none-any.whl"
    info = "planted-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("planted.py", "")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: planted\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty environment."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder


@pytest.mark.parametrize("by", ["uv", "pip"])
def test_f8_what_is_not_locked_is_not_installed(
    tmp_path: Path, venv: Path, by: str, reached: Reached
) -> None:
    """A wheel is installed with the lock's hash; with a digit changed, or without, it is not."""
    digest = a_wheel(tmp_path / "wheels")
    wrong = digest.replace(digest[0], "0" if digest[0] != "0" else "1")
    environment = dict(os.environ)
    for program in ("PIP", "UV"):
        environment |= {
            f"{program}_NO_INDEX": "1",
            f"{program}_FIND_LINKS": str(tmp_path / "wheels"),
        }
    outcomes = []
    installed: list[Path] = []
    for line in (
        f"planted==1.0 --hash=sha256:{wrong}",
        "planted==1.0",
        f"planted==1.0 --hash=sha256:{digest}",
    ):
        lock = tmp_path / "lock.txt"
        lock.write_text(f"{line}\n")
        command = ["bash", "scripts/install_locked.sh", str(venv / "bin"), str(lock)]
        command += [str(Path(sys.executable).with_name("uv"))] if by == "uv" else []
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        installed = list(venv.glob("lib/*/site-packages/planted*"))
        outcomes.append((done.returncode == 0, bool(installed)))
        if by == "uv":  # pip was tried after it where it refused, and refused as well
            assert ("uv could not" in done.stderr) != bool(installed), done.stderr
    for path in installed:
        path.unlink() if path.is_file() else shutil.rmtree(path)
    reached("F8", f"{by} installs 1 of 3: the one with the lock's hash")
    assert outcomes == [(False, False), (False, False), (True, True)]


@pytest.mark.parametrize("name", sorted(FLOORS))
def test_f8_floors_hold(name: str) -> None:
    """Neither the locks nor what the wheel asks for admit a version below the floor."""
    floor = Version(FLOORS[name])
    for lock in LOCKS:
        version = pins(lock).get(canonicalize_name(name))
        assert version is None or version >= floor, lock
        assert version is not None or lock == "scan"
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (asked,) = (one for one in map(Requirement, table["dependencies"]) if one.name == name)
    below = [Version(one) for one in ("0.1", "1.0", "3.0", "4.0", "5.0")]
    assert not any(asked.specifier.contains(one) for one in below if one < floor)
    assert any(one.operator == ">=" and Version(one.version) >= floor for one in asked.specifier)


@pytest.mark.parametrize("lock", ["base", "http"])
def test_f8_the_bill_of_materials_is_the_lock(lock: str, reached: Reached) -> None:
    """Each locked package is in it with its version, and nothing else is."""
    bill = json.loads((ROOT / f"requirements/{lock}.cdx.json").read_bytes())
    assert bill["bomFormat"] == "CycloneDX"
    listed = {canonicalize_name(one["name"]): Version(one["version"]) for one in bill["components"]}
    reached("F8", f"{lock}.cdx.json lists {len(listed)} packages")
    assert listed == pins(lock)
    for one in bill["components"]:
        assert one["purl"] == f"pkg:pypi/{canonicalize_name(one['name'])}@{one['version']}"


def test_f8_the_code_is_clean(scan: ModuleType, reached: Reached) -> None:
    """Bandit, our rules and the search for secrets find nothing, and have looked at everything."""
    told = {name: run(SCANNERS, ROOT) for name, run in scan.SCANNERS.items()}
    reached("F8", "; ".join(f"{name}: 0 in {one.seen} {one.things}" for name, one in told.items()))
    assert {name: one.findings for name, one in told.items() if one.findings} == {}
    assert all(one.seen >= one.due > 0 for one in told.values()), told


@pytest.mark.parametrize("scanner", FAULTS)
def test_f8_planted_faults_are_found(scan: ModuleType, tmp_path: Path, scanner: str) -> None:
    """Each scanner fails on what it is there for, and where it can't read a file."""
    for folder in scan.SOURCES:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "fine.py").write_text("fine = 1\n")
    for file, text, _ in FAULTS[scanner]:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    git = shutil.which("git")
    assert git is not None
    for command in (["init", "-q"], ["add", "-A"]):
        subprocess.run([git, *command], cwd=tmp_path, check=True)
    findings = scan.SCANNERS[scanner](SCANNERS, tmp_path).findings
    for file, _, finding in FAULTS[scanner]:
        assert [one for one in findings if file in one and finding in one], (file, findings)
    assert not [one for one in findings if "fine.py" in one]


def test_f8_a_rule_without_an_example_is_found(
    scan: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each rule has an example that it finds: one that finds nothing, or has none, is told."""
    copied = Path(shutil.copytree(scan.RULES, tmp_path / ".semgrep"))
    monkeypatch.setattr(scan, "RULES", copied)
    example = copied / "processes.py"
    example.write_text(example.read_text().replace("shell=True", "shell=False"))
    assert scan.rules(SCANNERS, ROOT).findings == [".semgrep: no-shell fails its examples"]
    example.unlink()
    without = scan.rules(SCANNERS, ROOT)
    assert without.seen < without.due
