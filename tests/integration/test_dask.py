"""Training on a real Dask cluster of two workers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from micromoment.errors import InvalidDataError, InvalidSettingError
from micromoment.events.shop import Shop
from training import cluster as cluster_module
from training.cluster import DaskCluster, blind_workers, check_versions, versions
from training.event_files import EventDays, event_days
from training.feature_store import FeatureWorkspace, apply
from training.importers.ga4 import import_ga4
from training.models.conversion import ConversionParams, find_growth, fit_conversion, later_scores
from training.models.distributed import losses_by_tree
from training.models.rows import DecisionRows
from training.pipeline.features import build_history
from training.pipeline.rows import load_rows
from training.replay import partition
from training.replay.partition import partition_events
from training.replay.run import ReplayReport, ReplaySettings, Workers, replay_parts
from training.simulator import ShopConfig, write_ga4_export
from training.tables.fit import fit_tables

DAYS = 4
SHOP = Shop()
PARAMS = ConversionParams(max_trees=40, num_threads=1, min_data_in_leaf=20)


@pytest.fixture(scope="module")
def cluster() -> Iterator[DaskCluster]:
    """Two worker processes with one thread each, as the documentation asks for."""
    import distributed

    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=":0",
        silence_logs=50,
        host="127.0.0.1",
    ) as local:
        yield DaskCluster(local.scheduler_address)


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> EventDays:
    """A small simulated shop, imported."""
    folder = tmp_path_factory.mktemp("shop")
    config = ShopConfig(days=DAYS, sessions_per_day=400)
    write_ga4_export(config, folder / "exports")
    import_ga4(str(folder / "exports" / "events_*.parquet"), folder / "events")
    return event_days(folder / "events")


def replayed(
    days: EventDays, folder: Path, workers: Workers
) -> tuple[FeatureWorkspace, ReplayReport]:
    """Do what training does up to its rows: snapshots, tables, replay."""
    workspace = FeatureWorkspace(folder)
    workspace.make_folders()
    settings = ReplaySettings(SHOP, workers=workers)
    last = days.days[-1] + timedelta(days=1)
    history = build_history(days, workspace, settings, timedelta(hours=1), last)
    apply(workspace)
    parts = partition_events(days, folder / "parts")
    tables = fit_tables(parts, settings)
    report = replay_parts(
        parts,
        folder / "out",
        settings,
        history.rows_at,
        tables,
        only_eligible=True,
        cross_fit=True,
    )
    return workspace, report


@pytest.fixture(scope="module")
def both(
    days: EventDays, cluster: DaskCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, tuple[FeatureWorkspace, ReplayReport]]]:
    """The same days replayed here and on the cluster, in several parts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partition, "ROWS_PER_PART", 5_000)
        yield {
            "here": replayed(days, tmp_path_factory.mktemp("here"), 1),
            "there": replayed(days, tmp_path_factory.mktemp("there"), cluster),
        }


Both = dict[str, tuple[FeatureWorkspace, ReplayReport]]


def rows_of(both: Both, where: str, cluster: DaskCluster | None = None) -> DecisionRows:
    """Read the rows back through Feast."""
    workspace, report = both[where]
    return load_rows(workspace, report.outputs, censored_from=1 << 62, cluster=cluster)


@pytest.fixture(scope="module")
def rows(both: Both) -> DecisionRows:
    """The rows that models learn from, joined here."""
    return rows_of(both, "here")


def test_features_are_equal_bit_by_bit(both: Both) -> None:
    """Every part that the cluster writes, its users joined there, is the one written here."""
    here, there = both["here"][1].outputs, both["there"][1].outputs
    assert len(here) == len(there) >= 3
    for one, other in zip(here, there, strict=True):
        left, right = pq.read_table(one), pq.read_table(other)
        assert left.schema == right.schema
        for name in left.column_names:
            ours, theirs = left[name].combine_chunks(), right[name].combine_chunks()
            assert ours.buffers()[-1].equals(theirs.buffers()[-1]), name


def test_joins_on_workers_give_the_same_rows(
    both: Both, rows: DecisionRows, cluster: DaskCluster
) -> None:
    """Decision points joined part by part on the cluster are those joined here, in their order."""
    found = rows_of(both, "there", cluster)
    assert found.features.tobytes() == rows.features.tobytes()
    assert np.array_equal(found.session, rows.session)
    assert np.array_equal(found.label, rows.label)
    assert sum(1 for _ in both["there"][0].root.glob("joining-*")) == 0


def test_trees_of_a_cluster_are_as_good(rows: DecisionRows, cluster: DaskCluster) -> None:
    """Log loss on later days differs by no more than its standard error by visit."""
    days = np.unique(rows.day)
    later = rows.day >= days[-2]
    crossing = np.isin(rows.session, np.intersect1d(rows.session[later], rows.session[~later]))
    split = rows.take(~later & ~crossing), rows.take(later & ~crossing)
    growth = find_growth([split], PARAMS)
    (here,) = later_scores([split], growth, PARAMS)
    (there,) = later_scores([split], growth, PARAMS, cluster)
    label, session = split[1].label, split[1].session
    gap = log_loss(there, label) - log_loss(here, label)
    visits = np.unique(session, return_inverse=True)[1]
    by_visit = np.bincount(visits, gap) / len(gap)
    error = float(np.sqrt(len(by_visit)) * by_visit.std())
    assert abs(gap.mean()) < 2 * error
    base = np.full(len(label), np.log(label.mean() / (1 - label.mean())))
    assert log_loss(there, label).mean() < log_loss(base, label).mean()
    assert not np.array_equal(here, there)


def log_loss(raw: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Log loss of each row, nats."""
    return np.logaddexp(0.0, np.where(label, -raw, raw))


def test_the_search_stops_by_the_same_loss(rows: DecisionRows, cluster: DaskCluster) -> None:
    """The loss after each tree is LightGBM's own, and the search on a cluster ends in reach."""
    days = np.unique(rows.day)
    split = rows.take(rows.day < days[-1]), rows.take(rows.day == days[-1])
    here = find_growth([split], PARAMS)
    there = find_growth([split], PARAMS, cluster)
    assert min(there.history) == pytest.approx(min(here.history), rel=0.05)
    assert 1 <= there.stopped_at <= PARAMS.max_trees
    text = fit_conversion(rows, there, PARAMS, cluster)
    assert b"machines" not in text
    everything = losses_by_tree(text, rows, np.ones(len(rows)), 1)
    assert len(everything) == there.trees
    assert everything[-1] < everything[0]


def test_an_error_of_a_worker_arrives_as_it_was(cluster: DaskCluster, tmp_path: Path) -> None:
    """What a job raises names its file here as it would without a cluster."""
    with pytest.raises(InvalidDataError, match=r"broken\.parquet: row 3") as raised:
        list(cluster.run(fail_on, [tmp_path / "broken.parquet"]))
    assert raised.value.source.endswith("broken.parquet")


def fail_on(path: Path) -> None:
    """Refuse a file."""
    raise InvalidDataError(str(path), "row 3")


def test_a_fit_cluster_passes(cluster: DaskCluster, tmp_path: Path) -> None:
    """Workers with the same versions that see the folder are taken, and leave nothing in it."""
    cluster.check(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_other_versions_are_named() -> None:
    """A worker with another version of a library is an error that says which."""
    own = versions()
    with pytest.raises(InvalidSettingError, match=r"worker tcp://w has numpy 1\.0 instead of 2"):
        check_versions(own, {"tcp://v": own, "tcp://w": {**own, "numpy": "1.0"}})


def test_answers_that_are_not_there_name_their_workers(tmp_path: Path) -> None:
    """A worker that read something else, or whose own file can't be seen here, is named."""
    (tmp_path / "written").touch()
    answers = {"a": ("token", "written"), "b": ("", "written"), "c": ("token", "unseen")}
    assert blind_workers(tmp_path, "token", answers) == ["b", "c"]


def test_nobody_at_the_address_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler that isn't there is named by its address."""
    monkeypatch.setattr(cluster_module, "_CONNECT_S", 0.5)
    address = "tcp://127.0.0.1:9"
    with pytest.raises(InvalidSettingError, match="no scheduler answers at tcp://127"):
        DaskCluster(address).check(Path(os.devnull))
