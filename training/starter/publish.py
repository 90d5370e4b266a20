"""Make the starter bundle and put it into the store."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from micromoment.errors import InvalidSettingError
from micromoment.events.shop import Shop
from micromoment.features.catalogue import FEATURE_NAMES
from micromoment.features.tables import neutral_tables
from micromoment.scoring.manifest import NAME_PATTERN, LifecycleRecord
from training.pipeline.golden import pick_golden
from training.pipeline.plain_rows import nobody
from training.progress import Steps
from training.publishing.bundle import BundleParts
from training.publishing.store import publish
from training.replay.run import ReplaySettings
from training.segments.definitions import DEFAULT_AUDIENCES, read_definitions
from training.simulator import ShopConfig
from training.starter.model import PARAMS, SLOPE, StarterModel, conversion_parts, fit_starter
from training.starter.shops import SHOPS, SimulatedRows, simulated_rows

NO_DATA: Final = "starter bundle: no data of this shop yet"
# What the simulated shops are: the shop's own currency and time zone change no portable feature.
_SIMULATED: Final = Shop("USD", "UTC")


@dataclass(frozen=True)
class StarterRequest:
    """For which shop, and the share of its visits, 0 to 1, that end with an order."""

    name: str = "shop"
    store: Path | None = None
    shop: Shop = field(default_factory=Shop)
    conversion_rate: float = 0.02
    publish_lag: timedelta = timedelta(hours=1)
    shops: Sequence[ShopConfig] = SHOPS
    workers: int = 2


@dataclass(frozen=True)
class StarterReport:
    """The bundle's tag, and what it was learned from."""

    tag: str
    rows: int
    buyers: int
    trees: int


def publish_starter(request: StarterRequest, steps: Steps | None = None) -> StarterReport:
    """Publish a starter; the same request gives the same version.

    Raises `InvalidSettingError` for a name or a rate that can't be one.
    """
    steps = steps or Steps()
    if re.match(NAME_PATTERN, request.name) is None:
        raise InvalidSettingError("name", "must be 1 to 63 of a-z, 0-9, '_', '.' and '-'")
    if not 0 < request.conversion_rate < 1:
        raise InvalidSettingError("conversion_rate", "must lie between 0 and 1, ends excluded")
    with TemporaryDirectory() as temporary:
        simulated = _simulate(request, Path(temporary), steps)
        with steps.step("Fit what the shops have in common"):
            model = fit_starter([one.rows for one in simulated])
        with steps.step("Publish the bundle"):
            manifest = publish(_parts(request, model, simulated[0]), request.store)
    return StarterReport(manifest.tag, model.rows, model.buyers, model.growth.trees)


def _simulate(request: StarterRequest, scratch: Path, steps: Steps) -> list[SimulatedRows]:
    settings = ReplaySettings(_SIMULATED, workers=request.workers)
    found = []
    with steps.step("Simulate shops and replay their visits", len(request.shops)) as advance:
        for number, config in enumerate(request.shops):
            found.append(simulated_rows(config, scratch / f"shop-{number}", settings))
            advance(1)
    return found


def _parts(request: StarterRequest, model: StarterModel, example: SimulatedRows) -> BundleParts:
    golden_events, golden_users = pick_golden(example.days, nobody, None)
    definitions = read_definitions(DEFAULT_AUDIENCES, FEATURE_NAMES)
    limits = {name: limit.default for name, limit in definitions.limits.items()}
    return BundleParts(
        name=request.name,
        starter=True,
        settings=ReplaySettings(request.shop),
        publish_lag_s=int(request.publish_lag.total_seconds()),
        feature_names=FEATURE_NAMES,
        tables=neutral_tables(),
        conversion=conversion_parts(model, request.conversion_rate),
        churn=None,
        clusters=None,
        audiences=definitions.with_limits(limits),
        lifecycle=LifecycleRecord(),
        absent={"churn": NO_DATA, "clusters": NO_DATA},
        metrics={},
        training=_record(request, model),
        golden_events=golden_events,
        golden_users=golden_users,
    )


def _record(request: StarterRequest, model: StarterModel) -> dict[str, Any]:
    return {
        "simulated_shops": [
            {
                "seed": one.seed,
                "days": one.days,
                "sessions_per_day": one.sessions_per_day,
                "n_items": one.n_items,
                "target_conversion": one.target_conversion,
            }
            for one in request.shops
        ],
        "conversion_rate": request.conversion_rate,
        "slope": SLOPE,
        "params": asdict(PARAMS),
        "decision_points": model.rows,
        "visits_with_order": model.buyers,
        "trees": model.growth.trees,
        "learning_rate": model.growth.learning_rate,
    }
