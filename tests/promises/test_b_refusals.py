"""Part B: damaged bundles and those of other features or answers never serve."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from micromoment.client import AsyncClient
from micromoment.scoring.golden import EXPECTED_FILE
from micromoment.scoring.manifest import read_manifest
from micromoment.stores.bundles import find_bundle
from tests.promises.conftest import Form, Reached
from tests.support.paced_calls import paced
from tests.support.shop_server import ShopServer, Visits
from tests.support.swapping import accept_damage, change_latest, damage
from tests.support.two_bundles import TOLERANCE, tags
from training.publishing.store import point_to

KINDS = ("truncate", "flip", "zero", "header")
FILES = ("conversion.txt", "manifest.json", "golden/expected.parquet", "tables/page_keys.npy")


def damaged(store: Path, number: int, remade: bool) -> str:
    """Put a damaged copy of the latest bundle into a store; gives its tag.

    Where `remade`, its manifest and version say that its files are to be so.
    """
    good = find_bundle(store, "shop:latest")
    if not remade:
        copy = Path(shutil.copytree(good, good.with_name("damaged")))
        damage(copy / FILES[number % 4], KINDS[number // 4 % 4], number)
        # Under the version of the good one, as a disk that fails damages it.
        shutil.rmtree(good)
        copy.rename(good)
        return f"shop:{good.name}"
    copy = Path(shutil.copytree(good, good.with_name("remade")))
    kind = KINDS[number % 4]
    damage(copy / ("conversion.txt" if number % 3 else FILES[2 + number % 2]), kind, number)
    return accept_damage(store, "shop:remade")


async def test_b2_damaged_bundles_never_answer(
    models: ShopServer, form: Form, reached: Reached
) -> None:
    """1,000 damaged bundles: 0 process deaths, 0 served, last good serves on, one metric each.

    Truncated, flipped, zeroed, headers swapped, in all kinds of files; a tenth with a manifest that
    was made anew to match, so that only the throw-away process can tell. What that lets pass must
    be damage that changes no golden answer by more than 1e-9.
    """
    total, every = form((40, 13), (1_000, 10))
    store, (first, second) = models.store, tags(models.store)
    pristine = Path(shutil.copytree(store, store.with_name("pristine")))
    version = second.partition(":")[2]
    before, outcomes, harmless = models.activations("refused"), [], 0

    def one(number: int) -> tuple[str, str]:
        remade = number % every == every - 1
        tag = damaged(store, number, remade)
        refusal = models.refused(tag)
        if refusal == ("", ""):
            models.admin.activate_bundle(first)
        if not remade:
            shutil.rmtree(find_bundle(store, second))
            shutil.copytree(find_bundle(pristine, second), store / "shop" / version)
        return refusal

    async with AsyncClient(models.address, deadline_s=30) as client:
        visits = Visits(client, store, first, tolerance=TOLERANCE)
        async with paced(visits.call, 20) as calls:
            for number in range(total):
                code, details = await asyncio.to_thread(one, number)
                harmless += not code
                outcomes.append(code)
                assert code in {"", "FAILED_PRECONDITION"}, (number, code, details)
    counted = models.activations("refused") - before
    reached(
        "B2",
        f"{total} damaged bundles: {outcomes.count('FAILED_PRECONDITION')} refused, {counted} "
        f"counted, {harmless} changed no golden answer; {len(calls.failed)} of "
        f"{len(calls.outcomes)} calls failed, {len(visits.wrong)} answered wrongly",
    )
    assert models.server.process.poll() is None
    assert outcomes.count("FAILED_PRECONDITION") == counted == total - harmless
    assert harmless <= total // every
    assert (calls.failed, visits.wrong) == ([], [])
    assert models.answers_with == first
    assert models.admin.activate_bundle(second).changed
    assert models.admin.activate_bundle(first).changed


def test_b4_unknown_features_are_refused_before_the_swap(models: ShopServer) -> None:
    """A bundle with unknown features or fingerprints refused before the swap."""
    store, (first, second) = models.store, tags(models.store)
    features = read_manifest(find_bundle(store, second)).features
    for change in ({"fingerprint": "0" * 16}, {"name": "user_shoe_size"}):
        changed = change_latest(
            store, features=(features[0].model_copy(update=change), *features[1:])
        )
        code, details = models.refused(changed)
        point_to(store, "shop", "latest", second.partition(":")[2])
        assert code == "FAILED_PRECONDITION"
        assert str(change.get("name", features[0].name)) in details
        assert models.answers_with == first


def with_other_answers(store: Path, by: float) -> str:
    """Put a bundle into a store whose golden conversions are so much higher; gives its tag."""
    good = find_bundle(store, "shop:latest")
    copy = Path(shutil.copytree(good, good.with_name("other-answers")))
    table = pq.read_table(copy / EXPECTED_FILE)
    place = table.column_names.index("conversion")
    other = pa.array(np.asarray(table["conversion"]) + by)
    pq.write_table(table.set_column(place, "conversion", other), copy / EXPECTED_FILE)
    return accept_damage(store, "shop:other-answers")


def test_b4_golden_sessions_agree(models: ShopServer, reached: Reached) -> None:
    """Golden sessions agree to the last bit in one image, to 1e-9 elsewhere."""
    first, second = tags(models.store)
    same = models.admin.activate_bundle(second, dry_run=True)
    near = models.admin.activate_bundle(
        with_other_answers(models.store, TOLERANCE / 10), dry_run=True
    )
    code, details = models.refused(with_other_answers(models.store, TOLERANCE * 10))
    reached(
        "B4",
        f"{same.golden_answers} golden answers agree, {same.golden_inexact} of their numbers not "
        f"to the last bit; {near.golden_inexact} that are 1e-10 off pass, 1e-8 off are refused",
    )
    assert (same.golden_answers, same.golden_inexact) == (4, 0)
    assert near.golden_inexact == 4
    assert code == "FAILED_PRECONDITION"
    assert "conversion differs" in details
    assert models.answers_with == first
