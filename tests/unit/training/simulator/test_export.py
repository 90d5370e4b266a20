from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from micromoment.errors import InvalidSettingError
from training.importers.ga4 import import_ga4
from training.simulator import ShopConfig, SimulationReport, write_ga4_export
from training.simulator.ga4.schema import EXPORT_SCHEMA

Export = tuple[Path, SimulationReport]
Row = dict[str, Any]


def param(row: Row, key: str) -> Any:  # noqa: ANN401 - a parameter may be of any type
    """Value of an event parameter, None where it is missing."""
    for entry in row["event_params"]:
        if entry["key"] == key:
            return next((value for value in entry["value"].values() if value is not None), None)
    return None


@pytest.fixture(scope="module")
def rows(export: Export) -> list[Row]:
    """All rows of the small export, in file order."""
    folder, _ = export
    files = sorted(folder.glob("events_*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


@pytest.fixture(scope="module")
def by_session(rows: list[Row]) -> dict[tuple[str, int], list[Row]]:
    """Rows of each session in time order, stray rows left out."""
    sessions: dict[tuple[str, int], list[Row]] = {}
    for row in sorted(rows, key=lambda row: row["event_timestamp"]):
        session = param(row, "ga_session_id")
        if session is not None:
            sessions.setdefault((row["user_pseudo_id"], session), []).append(row)
    return sessions


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes of every Parquet file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}


def test_the_same_config_gives_the_same_bytes(
    export: Export, small_config: ShopConfig, tmp_path: Path
) -> None:
    """Two exports of one config, truth included, are equal byte for byte; another seed's differ."""
    write_ga4_export(small_config, tmp_path / "again", truth_fraction=0.3, n_rollouts=50)
    first, again = contents(export[0]), contents(tmp_path / "again")
    assert len(first) == small_config.days + 1
    assert again == first
    write_ga4_export(replace(small_config, seed=12), tmp_path / "other")
    for name, content in contents(tmp_path / "other").items():
        assert content != first[name]


def test_files_have_the_schema_of_a_real_export(export: Export, ga4_dir: Path) -> None:
    """Names, types, order and nullability of all fields are those of the real files."""
    real = pq.read_schema(next(iter(sorted(ga4_dir.glob("events_*.parquet")))))
    assert EXPORT_SCHEMA.equals(real)
    for file in export[0].glob("events_*.parquet"):
        assert pq.read_schema(file).equals(real)


def test_parameters_have_the_types_of_a_real_export(rows: list[Row], ga4_dir: Path) -> None:
    """Every parameter that both have comes in a type that the real export gives it, too."""
    real = pq.read_table(
        next(iter(sorted(ga4_dir.glob("events_*.parquet")))), columns=["event_params"]
    ).to_pylist()

    def types(some: list[Row]) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for row in some:
            for entry in row["event_params"]:
                used = {name for name, value in entry["value"].items() if value is not None}
                found.setdefault(entry["key"], set()).update(used)
        return found

    real_types, own_types = types(real), types(rows)
    assert len(own_types.keys() & real_types.keys()) > 15
    for key in own_types.keys() & real_types.keys():
        assert own_types[key] <= real_types[key], key


def test_the_report_counts_what_is_in_the_files(
    export: Export, rows: list[Row], by_session: dict[tuple[str, int], list[Row]]
) -> None:
    """The report's numbers are those of the files."""
    report = export[1]
    purchases = [row for row in rows if row["event_name"] == "purchase"]
    assert report.events == len(rows)
    assert report.sessions == len(by_session)
    assert report.users == len({row["user_pseudo_id"] for row in rows})
    assert report.purchases == len(purchases)
    assert report.converted_sessions == len(
        {(row["user_pseudo_id"], param(row, "ga_session_id")) for row in purchases}
    )
    assert f"{report.sessions:,} sessions" in str(report)


def test_the_confirmation_page_comes_just_before_every_order(
    by_session: dict[tuple[str, int], list[Row]],
) -> None:
    """The first purchase of a session follows its confirmation page within two milliseconds."""
    orders = 0
    for session in by_session.values():
        names = [row["event_name"] for row in session]
        if "purchase" not in names:
            continue
        orders += 1
        place = names.index("purchase")
        page, purchase = session[place - 1], session[place]
        assert page["event_name"] == "page_view"
        assert param(page, "page_title") == "Checkout Confirmation"
        assert param(page, "page_location").endswith("/ordercompleted.html")
        assert 0 < purchase["event_timestamp"] - page["event_timestamp"] < 2_000
        assert purchase["ecommerce"]["purchase_revenue"] == pytest.approx(
            sum(item["price"] * item["quantity"] for item in purchase["items"])
        )
    assert orders > 10


def test_the_export_has_its_untidy_habits(
    rows: list[Row], by_session: dict[tuple[str, int], list[Row]]
) -> None:
    """Repeated purchases, unset order ids and rows without a session id occur, but not often."""
    purchases = [row for row in rows if row["event_name"] == "purchase"]
    unset = [row for row in purchases if row["ecommerce"]["transaction_id"] == "(not set)"]
    assert 0 < len(unset) < 0.6 * len(purchases)
    assert all(param(row, "transaction_id") is None for row in unset)
    repeats = [
        sum(row["event_name"] == "purchase" for row in session) for session in by_session.values()
    ]
    assert max(repeats) == 2
    stray = [row for row in rows if param(row, "ga_session_id") is None]
    assert 0 < len(stray) < 0.01 * len(rows)


def test_rows_of_one_batch_share_time_and_bundle_and_are_shuffled(rows: list[Row]) -> None:
    """A batch has one timestamp and one bundle id; the file isn't in the order of time."""
    bundles: dict[tuple[str, int], set[int]] = {}
    for row in rows:
        key = (row["user_pseudo_id"], row["event_timestamp"])
        bundles.setdefault(key, set()).add(row["event_bundle_sequence_id"])
    assert all(len(ids) == 1 for ids in bundles.values())
    assert len(bundles) < 0.8 * len(rows)
    starts = [
        rows[place + 1]["event_name"] == "session_start"
        for place, row in enumerate(rows[:-1])
        if row["event_name"] == "page_view"
        and row["event_timestamp"] == rows[place + 1]["event_timestamp"]
    ]
    assert any(starts)
    times = np.array([row["event_timestamp"] for row in rows])
    assert 0.4 < (np.diff(times) >= 0).mean() < 0.8


def test_only_the_item_acted_on_has_a_quantity(rows: list[Row]) -> None:
    """Product events hold one item, none, or a whole list in which at most one has a quantity."""
    sizes = Counter[str]()
    for row in rows:
        if row["event_name"] in {"view_item", "select_item", "add_to_cart"}:
            quantities = [item["quantity"] for item in row["items"]]
            acted = [quantity for quantity in quantities if quantity is not None]
            assert len(acted) <= 1
            sizes["list" if len(quantities) > 1 else f"{len(quantities)}"] += 1
            if row["event_name"] == "add_to_cart":
                assert acted == [1]
    assert min(sizes["list"], sizes["0"], sizes["1"]) > 50


def test_a_session_starts_once(by_session: dict[tuple[str, int], list[Row]]) -> None:
    """Each session begins with session_start; first_visit comes with session number 1 alone."""
    for session in by_session.values():
        first_time = session[0]["event_timestamp"]
        starts = [row for row in session if row["event_name"] == "session_start"]
        firsts = [row for row in session if row["event_name"] == "first_visit"]
        assert [row["event_timestamp"] for row in starts] == [first_time]
        assert len(firsts) == (param(session[0], "ga_session_number") == 1)
        for row in firsts:
            assert row["user_first_touch_timestamp"] == row["event_timestamp"]


def test_truth_rows_are_batches_of_the_export(
    export: Export, rows: list[Row], small_config: ShopConfig
) -> None:
    """Each truth row names a batch that is there, before any purchase of its session."""
    folder, report = export
    truth = pq.read_table(folder / "truth" / "truth.parquet").to_pylist()
    assert report.truth_points == len(truth)
    batches = set()
    bought: dict[tuple[str, int], int] = {}
    for row in rows:
        session = (row["user_pseudo_id"], param(row, "ga_session_id"))
        batches.add((*session, row["event_timestamp"]))
        if row["event_name"] == "purchase":
            bought[session] = min(bought.get(session, 2**63), row["event_timestamp"])
    for point in truth:
        session = (point["user_pseudo_id"], point["ga_session_id"])
        assert (*session, point["event_timestamp"]) in batches
        assert point["event_timestamp"] < bought.get(session, 2**63)
        assert point["conversion"] * point["n_rollouts"] == pytest.approx(
            round(point["conversion"] * point["n_rollouts"])
        )
    assert len(truth) > 500


def test_days_of_another_export_are_not_mixed_in(small_config: ShopConfig, tmp_path: Path) -> None:
    """A folder with other days is refused and left as it is."""
    (tmp_path / "events_20230101.parquet").touch()
    with pytest.raises(InvalidSettingError, match=r"events_20230101\.parquet"):
        write_ga4_export(small_config, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["events_20230101.parquet"]


def test_a_second_run_leaves_no_stale_truth(small_config: ShopConfig, tmp_path: Path) -> None:
    """The truth of an earlier run doesn't outlive its events."""
    short = replace(small_config, days=1)
    write_ga4_export(short, tmp_path, truth_fraction=0.05, n_rollouts=2)
    assert (tmp_path / "truth" / "truth.parquet").is_file()
    assert write_ga4_export(short, tmp_path).truth_points == 0
    assert not (tmp_path / "truth" / "truth.parquet").exists()


@pytest.mark.parametrize("fraction", [-0.1, 1.1])
def test_a_share_of_the_truth_is_a_share(
    fraction: float, small_config: ShopConfig, tmp_path: Path
) -> None:
    """A truth fraction outside 0 to 1 is refused by name."""
    with pytest.raises(InvalidSettingError, match="truth_fraction"):
        write_ga4_export(small_config, tmp_path, truth_fraction=fraction)


def test_progress_is_told_day_by_day(small_config: ShopConfig, tmp_path: Path) -> None:
    """The progress hook hears of every day written."""
    heard: list[tuple[int, int]] = []
    write_ga4_export(small_config, tmp_path, progress=lambda *days: heard.append(days))
    assert heard == [(1, 3), (2, 3), (3, 3)]


def test_the_importer_reads_the_export_unchanged(export: Export, tmp_path: Path) -> None:
    """The GA4 importer finds all sessions and orders, and drops only rows without a session id."""
    folder, report = export
    imported = import_ga4(folder, tmp_path / "events", currency="USD")
    assert imported.rows_read == report.events
    assert imported.sessions == report.sessions
    assert imported.visitors == report.users
    assert imported.purchase_events_read == report.purchases
    assert imported.purchase_sessions == report.converted_sessions
    assert set(imported.dropped) == {"missing_ga_session_id"}
    assert imported.merged == {"repeated_purchase": report.purchases - report.converted_sessions}
