"""User features belong to one tenant: the same id of another names nobody in them."""

from __future__ import annotations

from pathlib import Path

from micromoment.erasure_places import FeaturePlaces
from micromoment.stores.tombstones import Erasure
from micromoment.stores.user_features import FeastUserFeatures
from tests.support.privacy import USER, a_workspace_with_them, traces_in_files


async def test_another_tenants_erasure_leaves_them(tmp_path: Path) -> None:
    """Neither told nor erased for another tenant, both for their own."""
    root = a_workspace_with_them(tmp_path / "shop").root
    users = FeastUserFeatures(root, timeout_s=5)
    users.warm_up()
    places = FeaturePlaces(users, root, "shop-a")
    planted = traces_in_files(root)
    counts = []
    for tenant in ("shop-b", "shop-a", "shop-a"):
        erasure = Erasure(tenant, (USER,), frozenset(), 1)
        told = [piece async for piece in places.held_features(tenant, [USER])]
        erased = await places.erase_online(erasure), await places.erase_workspace(erasure)
        counts.append((bool(told), *map(bool, erased)))
        if tenant == "shop-b":
            assert traces_in_files(root) == planted
    await users.close()
    assert planted
    assert counts == [(False, False, False), (True, True, True), (False, False, False)]
