"""Compiled code is never older than the sources that it was compiled from."""

import importlib.util
import shutil
from pathlib import Path

import numba
import pytest

import micromoment
from micromoment.features import _compile

PACKAGE = Path(micromoment.__file__).parent


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the sources that compiled code depends on."""
    for name in ("events", "features", "scoring"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PACKAGE / name, tmp_path / name, ignore=ignore)
    return tmp_path


def digest_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name the cache as a process would that runs these sources."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")  # importing the copy sets it
    path = folder / "features" / "_compile.py"
    spec = importlib.util.spec_from_file_location("copied_compile", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module._source_digest())


def test_the_same_sources_share_a_cache(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a package is installed doesn't matter, only what it says."""
    assert digest_of(sources, monkeypatch) == _compile._source_digest()


@pytest.mark.parametrize(
    "name",
    [
        "features/families/cart.py",
        "features/reducer.py",
        "events/vocabulary.py",
        "scoring/clusters.py",
    ],
)
def test_a_changed_source_has_another_cache(
    sources: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A family's change reaches the kernels that call it, which Numba itself wouldn't see."""
    before = digest_of(sources, monkeypatch)
    with (sources / name).open("a", encoding="utf-8") as file:
        file.write("\n# changed\n")
    assert digest_of(sources, monkeypatch) != before


def test_a_new_family_has_another_cache(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that appears, or takes another name, counts as a change."""
    before = digest_of(sources, monkeypatch)
    families = sources / "features" / "families"
    (families / "churn.py").write_text('"""New."""\n', encoding="utf-8")
    added = digest_of(sources, monkeypatch)
    (families / "churn.py").rename(families / "loss.py")
    assert len({before, added, digest_of(sources, monkeypatch)}) == 3


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`NUMBA_CACHE_DIR` decides, else `XDG_CACHE_HOME`, else the home folder's `.cache`."""
    name = _compile._source_digest()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "fixed"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert _compile._cache_folder() == tmp_path / "fixed" / name
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    assert _compile._cache_folder() == tmp_path / "xdg" / "micromoment" / "numba" / name
    monkeypatch.delenv("XDG_CACHE_HOME")
    expected = tmp_path / "home" / ".cache" / "micromoment" / "numba" / name
    assert _compile._cache_folder() == expected
