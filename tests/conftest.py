"""What every test may ask for, and the switch that turns a skip into a failure."""

import os
import shutil
import signal
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

if "PYTEST_XDIST_WORKER" in os.environ:
    # The cores have other workers; one bundle comes of any number of threads.
    os.environ.setdefault("OMP_THREAD_LIMIT", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import prometheus_client  # noqa: F401 - before Feast, which otherwise moves all metrics into files
import pytest
from hypothesis import HealthCheck, settings

import training  # noqa: F401 - before LightGBM, whose threads then wait without spinning

if TYPE_CHECKING:
    from micromoment.scoring.bundle import LoadedBundle

# Repeatable by default; `--hypothesis-profile=explore` looks for new examples.
_COMMON = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("repeatable", _COMMON, max_examples=100)
settings.register_profile("explore", _COMMON, derandomize=False, max_examples=2_000)
settings.load_profile("repeatable")

DATA_VARIABLE = "MICROMOMENT_DATA_DIR"
REQUIRE_ALL = os.environ.get("REQUIRE_ALL", "") == "1"
MODEL_STORE = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Give this process a model store of its own, so that no test reads or writes the user's.

    And let interrupts interrupt: a shell lets what it runs in the background ignore them, and
    commands that tests start would inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    os.environ["BENTOML_HOME"] = tempfile.mkdtemp(prefix="micromoment-bentoml-")
    config.stash[MODEL_STORE] = os.environ["BENTOML_HOME"]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the model store that `pytest_configure` made."""
    shutil.rmtree(config.stash[MODEL_STORE], ignore_errors=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the figures that the promises reached."""
    figures = sorted(
        str(value)
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == "promise"
    )
    if figures:
        terminalreporter.section("promises")
        for figure in figures:
            terminalreporter.line(figure)


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


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> "LoadedBundle":
    """A small bundle with a real model, loaded; its files lie in `tiny_bundle.path`."""
    # Imported here, so that tests without a model don't pay for LightGBM.
    from micromoment.scoring.bundle import load_bundle
    from tests.support.bundles import bundle_parts
    from training.publishing.bundle import write_bundle

    folder = tmp_path_factory.mktemp("bundle")
    write_bundle(folder, bundle_parts())
    return load_bundle(folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the modules that take long first where workers take modules in turn: they end together.

    Those that don't need the trained shop precede those that do: while one worker trains it, the
    other still has something else to do. So it has while the first compiles all kernels: on a fresh
    machine each would do that.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    long = {item.path for item in items if item.get_closest_marker("slow") or _is_e2e(item)}
    take_shop = {item.path for item in items if "shop" in getattr(item, "fixturenames", ())}
    items.sort(
        key=lambda item: (
            not item.path.match(_COMPILES),
            not item.path.match(_COMPILES_NOTHING),
            item.path not in long,
            item.path in long & take_shop,
        )
    )


# What takes all kernels, and what takes as long and none.
_COMPILES = "e2e/test_demo.py"
_COMPILES_NOTHING = "promises/test_f_supply.py"


def _is_e2e(item: pytest.Item) -> bool:
    return item.path.parent.name == "e2e"


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
