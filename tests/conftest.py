"""What every test may ask for, and the switch that turns a skip into a failure."""

import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import prometheus_client  # noqa: F401 - before Feast, which otherwise moves all metrics into files
import pytest

DATA_VARIABLE = "MICROMOMENT_DATA_DIR"
REQUIRE_ALL = os.environ.get("REQUIRE_ALL", "") == "1"
MODEL_STORE = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Give this process a model store of its own, so that no test reads or writes the user's."""
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    os.environ["BENTOML_HOME"] = tempfile.mkdtemp(prefix="micromoment-bentoml-")
    config.stash[MODEL_STORE] = os.environ["BENTOML_HOME"]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the model store that `pytest_configure` made."""
    shutil.rmtree(config.stash[MODEL_STORE], ignore_errors=True)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with the real exports, one subfolder per shop."""
    value = os.environ.get(DATA_VARIABLE, "")
    if not value:
        pytest.skip(f"{DATA_VARIABLE} is not set: it names the folder with the real exports")
    folder = Path(value).resolve()
    if not folder.is_dir():
        pytest.fail(f"{DATA_VARIABLE}={value} is not a folder")
    return folder


@pytest.fixture(scope="session")
def ga4_dir(data_dir: Path) -> Path:
    """The folder with a GA4 BigQuery export, one Parquet file per day."""
    folder = data_dir / "ga4"
    if not any(folder.glob("events_*.parquet")):
        pytest.skip(f"{DATA_VARIABLE} has no ga4/events_*.parquet")
    return folder


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item,
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that skipped itself while REQUIRE_ALL=1; an expected failure stays one."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        _require(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail a module that skipped itself while REQUIRE_ALL=1."""
    report = yield
    if report.skipped:
        _require(report)
    return report


def _require(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not REQUIRE_ALL:
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"REQUIRE_ALL=1 turns this skip into a failure: {reason}"
