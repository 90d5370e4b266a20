"""Promotion of small bundles: the trial in another process, the gate without later days."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from micromoment.errors import BundleError
from micromoment.scoring.bundle import load_bundle
from micromoment.scoring.manifest import SIGNATURES_FILE
from micromoment.stores.bundle_signatures import BundleTrust
from micromoment.stores.bundles import find_bundle
from tests.support.bundles import bundle_parts, tiny_conversion
from tests.support.planted import with_level, with_other_training
from tests.support.signing import a_key
from training.promotion.checks import Check, failures
from training.promotion.gate import GateRequest, run_gate
from training.promotion.later import served_as_of
from training.promotion.log import log_file, read_log, serving_version
from training.promotion.promote import PromoteRequest, PromotionReport, promote, roll_back
from training.promotion.trial import try_bundles
from training.publishing.store import publish


def names(checks: tuple[Check, ...]) -> list[str]:
    """Give the names of the checks that failed."""
    return [one.name for one in failures(checks)]


def ask(store: Path, tag: str = "tiny:latest", *, force: bool = False) -> PromotionReport:
    """Promote without any later days."""
    return promote(PromoteRequest(tag, store, force=force, who="ann", reason="a test"))


def test_promoted_refused_forced_and_gone_back(tmp_path: Path) -> None:
    """What serves changes by what passes, by force and by going back, and by nothing else."""
    training = {"last_day": "2024-05-01"}
    first = publish(bundle_parts(training=training), tmp_path)
    report = ask(tmp_path)
    assert report.promoted
    assert {"loads", "calibrators", "size", "latency", "later days"} <= {
        one.name for one in report.checks
    }
    assert ask(tmp_path).unchanged

    # Nothing tells whether it is worse: that is no pass.
    other = publish(bundle_parts(training=training, conversion=tiny_conversion(trees=30)), tmp_path)
    before = log_file(tmp_path, "tiny").read_bytes()
    report = ask(tmp_path)
    assert names(report.checks) == ["later days"]
    assert not report.promoted
    assert serving_version(tmp_path, "tiny") == first.version
    assert log_file(tmp_path, "tiny").read_bytes() == before

    report = ask(tmp_path, force=True)
    assert report.forced
    assert serving_version(tmp_path, "tiny") == other.version
    record = read_log(tmp_path, "tiny")[-1]
    assert (record.who, record.forced, record.reason) == ("ann", True, "a test")
    assert (record.before, record.after) == (first.version, other.version)
    assert [one["name"] for one in record.checks if one["verdict"] == "failed"] == ["later days"]

    assert roll_back(tmp_path, "tiny", "bob").after == first.tag
    assert find_bundle(tmp_path, "tiny:serving").name == first.version
    assert read_log(tmp_path, "tiny")[-1].action == "rollback"


def test_a_damaged_bundle_is_refused_even_by_force(tmp_path: Path) -> None:
    """No server could start with it; and nobody can go back to one."""
    first = publish(bundle_parts(training={"last_day": "2024-05-01"}), tmp_path)
    model = tmp_path / "tiny" / first.version / "conversion.txt"
    whole = model.read_bytes()
    model.write_bytes(whole + b"more")
    report = ask(tmp_path, force=True)
    assert names(report.checks) == ["loads"]
    assert "damaged" in report.checks[0].finding
    assert not report.promoted
    assert read_log(tmp_path, "tiny") == []


def test_calibration_alone_may_move_a_step(tmp_path: Path) -> None:
    """A bundle that is recalibrated needs no later days, as long as it stays within the bound."""
    parts = bundle_parts(training={"last_day": "2024-05-01"})
    first = publish(parts, tmp_path)
    ask(tmp_path)
    source = tmp_path / "tiny" / first.version
    near = with_level(source, tmp_path, by=0.2)
    far = with_level(source, tmp_path, by=1.0)
    assert names(ask(tmp_path, far.tag).checks) == ["calibration step"]
    assert ask(tmp_path, near.tag).promoted


def test_serving_is_compared_as_it_was_calibrated_then(tmp_path: Path) -> None:
    """Of one training's calibrations that of the day counts, none that knows what comes after."""
    trained = publish(bundle_parts(training={"last_day": "2024-05-01"}), tmp_path)
    source = tmp_path / "tiny" / trained.version
    root = {"revision_of": trained.version}
    nights = {
        day: with_other_training(source, tmp_path, **root, calibrated_until=f"2024-05-{day:02}")
        for day in (3, 5)
    }
    publish(bundle_parts(training={"last_day": "2024-05-04"}), tmp_path)  # another training
    serving = load_bundle(tmp_path / "tiny" / nights[5].version)
    expected = {2: trained, 3: nights[3], 4: nights[3], 5: nights[5]}
    for day, manifest in expected.items():
        assert served_as_of(serving, date(2024, 5, day)).tag == manifest.tag
    # Nothing is known of it that early: it stays what it is.
    assert served_as_of(serving, date(2024, 4, 30)).tag == serving.tag


def test_a_bundle_that_does_not_answer_is_refused(tmp_path: Path) -> None:
    """The trial ends after its time and says so; the serving bundle is not blamed for it."""
    manifest = publish(bundle_parts(), tmp_path)
    folder = tmp_path / "tiny" / manifest.version
    (check,) = run_gate(GateRequest(folder, folder, timeout_s=0.02))
    assert check.name == "loads"
    assert "did not answer within 0.02 seconds" in check.finding
    _, serving = try_bundles(folder, folder, timeout_s=0.02)
    assert serving is not None
    assert "was not tried" in serving.error


def test_a_tag_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    """It is no refusal: nothing was judged."""
    publish(bundle_parts(), tmp_path)
    with pytest.raises(BundleError, match="isn't in the store"):
        ask(tmp_path, "tiny:0123456789abcdef")


def test_what_is_promoted_is_signed(tmp_path: Path) -> None:
    """What the gate refuses is not; what serves already is signed as well."""
    key, trust = a_key(tmp_path, "release"), BundleTrust(tmp_path / "trusted")
    store = tmp_path / "store"
    first = publish(bundle_parts(), store)
    folder = find_bundle(store, first.tag)
    model = folder / "conversion.txt"
    whole = model.read_bytes()
    model.write_bytes(b"tree")
    assert not promote(PromoteRequest(first.tag, store, sign_key=key)).promoted
    assert trust.signers(folder, first) == ()
    model.write_bytes(whole)
    for _ in range(2):
        promote(PromoteRequest(first.tag, store, sign_key=key))
        trust.check(folder, first)
        (folder / SIGNATURES_FILE).unlink()
