"""Evaluate a bundle's churn on cuts that come after its training."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import numpy.typing as npt

from micromoment.errors import InvalidDataError, NotEnoughDataError
from micromoment.events.identity import IdEncoder
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from micromoment.scoring.models import ChurnModel
from training.churn.coming import Coming
from training.churn.cuts import CutPlan, later_cuts
from training.churn.judging import MODEL, ChurnEvaluation, judge
from training.churn.rows import ChurnRows, CustomerHistory, churn_rows
from training.churn.target import Target
from training.event_files import EventDays, event_days
from training.pipeline.features import build_history, temporary_workspace
from training.pipeline.score import replay_settings
from training.progress import Steps
from training.publishing.bundle import read_churn_baselines, read_metrics

FloatArray = npt.NDArray[np.float64]

# At most so many rows are judged; above, a share of the visitors with all their cuts.
MAX_ROWS: Final = 1_000_000
_AT_ONCE: Final = 50_000  # rows, of all of a bundle's features


@dataclass(frozen=True)
class ChurnRequest:
    """Which bundle at which cuts: from `first_day` on, every `step` days (None: as suits it).

    Windows end with `last_day` of `events` at the latest. Earlier days are what customers did.
    `rival` is a bundle with the same target, whose churn is judged beside it, under that name.
    """

    bundle: Path
    events: Path
    first_day: date
    last_day: date | None = None
    step: int | None = None
    ids: IdEncoder | None = None
    bootstrap: int = 500
    seed: int = 1
    rival: Path | None = None


def planned_cuts(bundle: LoadedBundle, days: EventDays, request: ChurnRequest) -> CutPlan | None:
    """Give the cuts whose windows the events cover; None when the bundle says nothing of churn."""
    if bundle.churn is None:
        return None
    end = days.days[-1] + timedelta(days=1)
    target = Target(bundle.churn.target, bundle.churn.horizon_days)
    return later_cuts(target, request.first_day, end, request.step)


def evaluate_churn(request: ChurnRequest, steps: Steps | None = None) -> ChurnEvaluation:
    """Compare the probabilities at the cuts with what came, beside the bundle's baselines.

    Raises `NotEnoughDataError` when the bundle has no churn model or no window is covered.
    """
    steps = steps or Steps()
    bundle = load_bundle(request.bundle)
    days = event_days(request.events).between(last=request.last_day)
    plan = planned_cuts(bundle, days, request) if days.files else None
    if bundle.churn is None:
        reason = bundle.manifest.absent.get("churn", "")
        raise NotEnoughDataError(f"{bundle.tag} has no churn model: {reason}")
    if plan is None or not plan.cuts:
        raise NotEnoughDataError(
            f"{request.events} ends before {bundle.churn.horizon_days} days have passed since "
            f"{request.first_day}: what came of customers is not known yet"
        )
    rows = _rows(request, bundle, days, plan, steps)
    others = _baselines(bundle, bundle.churn, rows) | _rival(request, days, plan, steps)
    with steps.step("Compute churn metrics and intervals"):
        churn, coming = _prospects(bundle, bundle.churn, rows)
        return judge(
            rows,
            {MODEL: churn} | others,
            plan.target,
            bootstrap=request.bootstrap,
            seed=request.seed,
            time_to_next_order=_time_to_next_order(request.bundle),
            coming=coming,
        )


def _rows(
    request: ChurnRequest, bundle: LoadedBundle, days: EventDays, plan: CutPlan, steps: Steps
) -> ChurnRows:
    settings = replay_settings(bundle, days.encoder(request.ids), workers=1)
    lag = timedelta(seconds=bundle.manifest.publish_lag_s)
    last = plan.cuts[-1] + timedelta(days=plan.target.horizon_days)
    with TemporaryDirectory() as temporary:
        with steps.step("Cut user snapshots up to the last window's end"):
            workspace = temporary_workspace(Path(temporary) / "features")
            build_history(days, workspace, settings, lag, last)
        with steps.step("Look at customers at the cuts"):
            history = CustomerHistory(workspace, bundle.shop, lag, bundle.tables)
            return churn_rows(history, plan, MAX_ROWS)


def _rival(
    request: ChurnRequest, days: EventDays, plan: CutPlan, steps: Steps
) -> dict[str, FloatArray]:
    if request.rival is None:
        return {}
    rival = load_bundle(request.rival)
    if rival.churn is None:
        return {}
    # The same customers at the same cuts; what is known of them rests on the bundle's own tables.
    rows = _rows(request, rival, days, plan, steps)
    return {"rival": _prospects(rival, rival.churn, rows)[0]}


def _prospects(
    bundle: LoadedBundle, churn: ChurnModel, rows: ChurnRows
) -> tuple[FloatArray, Coming | None]:
    """Ask the bundle's model, as serving does; (n,) each."""
    places = [bundle.feature_places[name] for name in rows.feature_names]
    found = []
    for start in range(0, len(rows), _AT_ONCE):
        part = rows.features[start : start + _AT_ONCE]
        wide = np.full((len(part), len(bundle.feature_names)), np.nan, np.float32)
        wide[:, places] = part
        found += churn.prospects(wide)
    probability = np.array([one.churn for one in found])
    coming = [one.coming for one in found if one.coming is not None]
    if not coming:
        return probability, None
    values = [one.value for one in coming if one.value is not None]
    orders = np.array([one.orders for one in coming])
    return probability, Coming(orders, np.array(values) if values else None)


def _baselines(bundle: LoadedBundle, churn: ChurnModel, rows: ChurnRows) -> dict[str, FloatArray]:
    baselines = read_churn_baselines(bundle.path)
    if baselines is None:
        raise InvalidDataError(str(bundle.path), "holds no baselines of churn")
    return baselines.probabilities(rows, churn.horizon_days)


def _time_to_next_order(bundle: Path) -> dict[str, list[float]] | None:
    curve: dict[str, list[float]] | None = (
        read_metrics(bundle).get("churn", {}).get("time_to_next_order")
    )
    return curve
