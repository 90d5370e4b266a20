"""What training hands over to a bundle, and what it takes over from the one before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from micromoment.errors import InvalidDataError
from micromoment.scoring.bundle import load_bundle
from tests.support.bundles import bundle_parts
from tests.support.segments import audience, audience_file, two_clusters
from tests.unit.training.segments.test_limits import write_decisions
from training.models.rows import DecisionRows
from training.publishing.bundle import write_bundle
from training.publishing.store import publish
from training.segments import fit_segments, plan_segments
from training.segments.definitions import DEFAULT_AUDIENCES
from training.segments.previous import previous_segments

Maker = Callable[..., tuple[DecisionRows, np.ndarray]]


@pytest.fixture
def decisions(tmp_path: Path) -> list[Path]:
    """A few decision points."""
    return write_decisions(tmp_path, [{"visit": visit, "events": 1} for visit in range(4)])


def test_without_a_bundle_before(tmp_path: Path) -> None:
    """An empty store leaves nothing to take over."""
    found = previous_segments(tmp_path, "shop")
    assert (found.clusters, found.audiences) == (None, None)


def test_the_latest_bundle_of_the_name_is_the_one_before(tmp_path: Path) -> None:
    """Its clusters and audiences are read, those of another name are not."""
    old = audience_file(audience(3, "own", "true"))
    manifest = publish(bundle_parts(clusters=two_clusters(), audiences=old), tmp_path)
    found = previous_segments(tmp_path, "tiny")
    assert found.tag == manifest.tag
    assert found.clusters == two_clusters()
    assert found.audiences == old
    assert previous_segments(tmp_path, "other").clusters is None
    publish(bundle_parts(), tmp_path)
    assert previous_segments(tmp_path, "tiny").clusters is None


def test_a_broken_bundle_before_is_passed_over(tmp_path: Path) -> None:
    """Training does not stop because an older format can't be read."""
    manifest = publish(bundle_parts(clusters=two_clusters()), tmp_path)
    folder = tmp_path / "tiny" / manifest.version
    (folder / "clusters.json").write_text('{"format": "of long ago"}')
    assert previous_segments(tmp_path, "tiny").clusters is None
    (folder / "manifest.json").write_text('{"format": 1}')
    assert previous_segments(tmp_path, "tiny").tag == ""


@pytest.mark.parametrize(("bit", "name"), [(3, "another"), (4, "own")])
def test_bits_and_ids_keep_their_meaning(tmp_path: Path, bit: int, name: str) -> None:
    """A file that gives either to another audience is refused, with a way out."""
    publish(bundle_parts(audiences=audience_file(audience(3, "own", "true"))), tmp_path)
    path = tmp_path / "own.yaml"
    entry = {"id": name, "bit": bit, "name": "n", "meaning": "m", "rule": "true"}
    path.write_text(yaml.safe_dump({"audiences": [entry]}))
    with pytest.raises(InvalidDataError, match=f"own.yaml.*audience {name} has the bit {bit}.*own"):
        plan_segments(path, tmp_path, "tiny")
    assert plan_segments(path, tmp_path, "another-shop").previous.tag == ""


def test_a_file_that_keeps_them_is_taken(tmp_path: Path) -> None:
    """Audiences may go, come with free bits, and change their rule."""
    before = audience_file(audience(3, "own", "true"), audience(4, "gone", "true"))
    publish(bundle_parts(audiences=before), tmp_path)
    path = tmp_path / "own.yaml"
    entries = [
        {"id": "own", "bit": 3, "name": "n", "meaning": "m", "rule": "n_events > 2.0"},
        {"id": "fresh", "bit": 5, "name": "n", "meaning": "m", "rule": "false"},
    ]
    path.write_text(yaml.safe_dump({"audiences": entries}))
    plan = plan_segments(path, tmp_path, "tiny")
    assert [one.id for one in plan.definitions.audiences] == ["own", "fresh"]


def test_a_bundle_loads_what_was_fitted(shop: Maker, decisions: list[Path], tmp_path: Path) -> None:
    """Clusters and the default audiences go into a bundle and come out as they went in."""
    rows, _ = shop(700)
    fitted = fit_segments(rows, decisions, plan_segments(None, tmp_path, "shop"))
    assert fitted.absent is None
    assert fitted.record["limits_rest_on"]["many_events"] == 4
    parts = bundle_parts(clusters=fitted.clusters, audiences=fitted.audiences, absent={})
    write_bundle(tmp_path / "bundle", parts)
    loaded = load_bundle(tmp_path / "bundle")
    assert loaded.clusters is not None
    assert loaded.audiences is not None
    assert loaded.clusters.file == fitted.clusters
    assert loaded.audiences.file == fitted.audiences


def test_refunds_alone_are_no_behaviour(shop: Maker, decisions: list[Path], tmp_path: Path) -> None:
    """Visits that show no page, product or list make no clusters, however many they are."""
    rows, _ = shop(700)
    features = rows.features.copy()
    for name in ("n_page_views", "n_item_views", "n_list_views"):
        features[20:, rows.feature_names.index(name)] = 0
    silent = replace(rows, features=features)
    fitted = fit_segments(silent, decisions, plan_segments(None, tmp_path, "shop"))
    assert fitted.clusters is None
    assert fitted.absent is not None
    assert "of 700 visits show a page, a product or a list; 500 are needed" in fitted.absent


def test_without_clusters_the_reason_is_given(
    shop: Maker, decisions: list[Path], tmp_path: Path
) -> None:
    """Audiences don't need them."""
    rows, _ = shop(30)
    fitted = fit_segments(rows, decisions, plan_segments(DEFAULT_AUDIENCES, tmp_path, "shop"))
    assert fitted.clusters is None
    assert fitted.absent == "30 visits; 500 are needed for clusters"
    assert len(fitted.audiences.audiences) == 13
