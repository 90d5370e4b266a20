"""What the repository promises to somebody who has just cloned it."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("base.txt", "http.txt", "training.txt", "dev.txt")
LARGEST_FILE = 1_000_000  # bytes; a clone is for reading, data lives elsewhere
LONGEST_MODULE = 400  # lines
# Below these: known vulnerabilities, or behaviour that the service relies on is missing.
FLOORS = {"grpcio": "1.69", "protobuf": "6.33.5", "lightgbm": "4.6", "redis": "4.5.5"}


def pins(lock: str) -> dict[str, Version]:
    """Return the pinned version of each package in a requirements file."""
    text = (ROOT / "requirements" / lock).read_text()
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;]+)", text, re.MULTILINE)
    return {name: Version(version) for name, version in found}


def project() -> dict[str, list[Requirement]]:
    """Return the requirements that pyproject.toml declares, `serving` and each extra."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"serving": table["dependencies"], **table["optional-dependencies"]}
    return {name: [Requirement(line) for line in lines] for name, lines in groups.items()}


def tracked_files() -> list[Path]:
    """Return the files under version control that exist."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: nothing is tracked")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def test_help_lists_every_target() -> None:
    """`make help` prints each phony target with its description."""
    makefile = (ROOT / "Makefile").read_text()
    make = shutil.which("make")
    assert make is not None
    printed = subprocess.run([make, "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = set(re.findall(r"^  make (\S+) +\S", printed.stdout, re.MULTILINE))
    assert listed == set(re.findall(r"^\.PHONY: (\S+)$", makefile, re.MULTILINE))
    assert {"setup", "demo", "test", "serve", "lint", "proto", "bench", "clean"} <= listed


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash(lock: str) -> None:
    """Each requirement is one exact version with SHA-256 hashes, and the file names no address."""
    text = (ROOT / "requirements" / lock).read_text()
    assert not re.search(r"://|--(extra-)?index-url|--find-links|(^|\s)/\w", text)
    blocks = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip())
    for block in blocks:
        assert re.match(r"\S+==\S+", block), block
        assert "--hash=sha256:" in block, block


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("name", sorted(FLOORS))
def test_floors_hold(lock: str, name: str) -> None:
    """Neither the locks nor the wheel's own metadata admit a version below the floor."""
    floor = Version(FLOORS[name])
    assert pins(lock)[name] >= floor
    (declared,) = (r for r in project()["serving"] if r.name == name)
    assert any(s.operator == ">=" and Version(s.version) >= floor for s in declared.specifier)


def test_locks_fulfil_the_project() -> None:
    """Whoever changes a dependency in pyproject.toml also runs `make lock`."""
    everything, serving = pins("dev.txt"), pins("base.txt")
    for requirement in [r for group in project().values() for r in group]:
        assert requirement.specifier.contains(everything[requirement.name]), requirement
    for requirement in project()["serving"]:
        assert requirement.name in serving, requirement
    assert serving.items() <= everything.items()
    http = pins("http.txt")
    assert serving.items() <= http.items() <= everything.items()
    assert {requirement.name for requirement in project()["http"]} <= http.keys()


def test_serving_does_without_training() -> None:
    """The packages of a serving image hold no model store and no plotting."""
    assert not {"bentoml", "plotly", "scikit-learn"} & pins("base.txt").keys()


def test_floors_cover_the_generated_code() -> None:
    """The generated code refuses older runtimes at import, so the wheel must ask for newer ones."""
    generated = ROOT / "src/micromoment/v1"
    needed = {
        "grpcio": re.compile(r"GRPC_GENERATED_VERSION = '([\d.]+)'"),
        "protobuf": re.compile(r"# Protobuf Python Version: ([\d.]+)"),
    }
    sources = [path.read_text() for path in sorted(generated.glob("*_pb2*.py"))]
    for requirement in project()["serving"]:
        if requirement.name in needed:
            asked = {v for text in sources for v in needed[requirement.name].findall(text)}
            assert asked, requirement
            (floor,) = (s.version for s in requirement.specifier if s.operator == ">=")
            assert all(Version(floor) >= Version(version) for version in asked), requirement


def test_licence_is_apache_2() -> None:
    """The whole licence lies in the repository, and the metadata name it."""
    text = (ROOT / "LICENSE").read_text()
    assert re.search(r"Apache License\s+Version 2\.0, January 2004", text)
    assert "END OF TERMS AND CONDITIONS" in text
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert table["license"] == "Apache-2.0"


def test_no_large_file_is_tracked() -> None:
    """Data, bundles and build results stay out of version control."""
    sizes = {str(p.relative_to(ROOT)): p.stat().st_size for p in tracked_files()}
    assert {name: size for name, size in sizes.items() if size > LARGEST_FILE} == {}


def test_modules_stay_small() -> None:
    """No hand-written module is longer than what a reader holds in mind."""
    folders = ("src", "training", "tests", "benchmarks", "feature_repo", "examples")
    modules = [p for f in folders for p in (ROOT / f).rglob("*.py") if "_pb2" not in p.name]
    lengths = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in modules}
    assert {name: n for name, n in lengths.items() if n > LONGEST_MODULE} == {}


SKIPS = {
    "test_body.py": "import pytest\ndef test_it(): pytest.skip('no such thing')",
    "test_mark.py": "import pytest\n@pytest.mark.skip(reason='no')\ndef test_it(): pass",
    "test_module.py": "import pytest\npytest.skip('no such thing', allow_module_level=True)",
    "test_import.py": "import pytest\npytest.importorskip('no_such_thing')\ndef test_it(): pass",
    "test_data.py": "def test_it(ga4_dir): pass",
}
OTHERS = {
    "test_plain.py": "def test_it(): pass",
    "test_known.py": "import pytest\n@pytest.mark.xfail(reason='known')\ndef test_it(): assert 0",
}


@pytest.mark.parametrize("require_all", ["0", "1"])
def test_require_all_fails_every_skip(require_all: str, tmp_path: Path) -> None:
    """REQUIRE_ALL=1 fails a skip of any kind, and only that: expected failures stay expected."""
    shutil.copy(ROOT / "tests/conftest.py", tmp_path)
    for name, source in {**SKIPS, **OTHERS}.items():
        (tmp_path / name).write_text(source)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "MICROMOMENT"))}
    options = ["-rfE", "--continue-on-collection-errors", "-p", "no:xdist", "-p", "no:asyncio"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=tmp_path,
        env={**clean, "REQUIRE_ALL": require_all},
        capture_output=True,
        text=True,
        check=False,
    )
    failed = set(re.findall(r"^(?:FAILED|ERROR) (test_\w+\.py)", done.stdout, re.MULTILINE))
    assert failed == (set(SKIPS) if require_all == "1" else set()), done.stdout
    assert (done.returncode == 0) == (require_all == "0")
