"""LightGBM on a Dask cluster: trees of one model grown together, each worker on its rows.

The workers find one set of bins and agree on each split (`tree_learner=data`), so that the model is
of the same kind as a local one. It is not the same bits: bins come of each worker's sample, sums of
gradients are added in another order, and each worker draws its own rows for a tree.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any, Final

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from training.cluster import DaskCluster
from training.models.rows import DecisionRows
from training.models.weights import training_weight

if TYPE_CHECKING:
    from distributed import Client

FloatArray = npt.NDArray[np.float64]

# Where a model was trained is nothing that it should carry along.
_NETWORK: Final = re.compile(
    r"^\[(machines|local_listen_port|num_machines|time_out): .*\]\n", re.MULTILINE
)


def fit_together(
    cluster: DaskCluster, rows: DecisionRows, params: Mapping[str, Any], trees: int
) -> bytes:
    """Fit so many trees on all workers and give LightGBM's text.

    `params` are LightGBM's. Visits go to the workers whole, in turn.
    """
    from lightgbm import DaskLGBMRegressor  # noqa: PLC0415 - needs the dask extra

    # A regressor with the objective of a classifier: that would look for both classes on each
    # worker.
    own = {**params, "n_estimators": trees, "tree_learner": "data"}
    own.pop("num_threads", None)  # as many as the worker has
    own.pop("metric", None)
    with cluster.client() as client:
        model = DaskLGBMRegressor(client=client, **own)
        features, label, weight = _spread(client, rows)
        # LightGBM waits through the current client, not through the one that it is given.
        # And it tells of ports on stdout, where `train` prints the bundle's tag alone.
        with client.as_current(), redirect_stdout(io.StringIO()), warnings.catch_warnings():
            # It warns of its own default for the threads, which it takes from the worker.
            warnings.filterwarnings("ignore", "Parameter n_jobs will be ignored", UserWarning)
            model.fit(features, label, sample_weight=weight, feature_name=list(rows.feature_names))
        text: str = model.booster_.model_to_string()
    return _NETWORK.sub("", text).encode()


def losses_by_tree(
    text: bytes, judged: DecisionRows, weight: FloatArray, num_threads: int
) -> list[float]:
    """Give the weighted mean log loss, nats, after each tree of a model."""
    model = lgb.Booster(model_str=text.decode())
    raw = np.zeros(len(judged))
    losses = []
    for tree in range(model.num_trees()):
        raw += model.predict(
            judged.features,
            start_iteration=tree,
            num_iteration=1,
            raw_score=True,
            num_threads=num_threads,
        )
        loss = np.logaddexp(0.0, np.where(judged.label, -raw, raw))
        losses.append(float(np.average(loss, weights=weight)))
    return losses


def _spread(client: Client, rows: DecisionRows) -> tuple[Any, Any, Any]:
    """Put an even share of the visits on each worker; gives Dask arrays."""
    import dask.array as da  # noqa: PLC0415

    workers = sorted(client.scheduler_info(n_workers=-1)["workers"])
    turn = np.unique(rows.session, return_inverse=True)[1] % len(workers)
    weights = training_weight(rows.events_seen).astype(np.float32)
    columns: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
    for number, worker in enumerate(workers):
        mine = turn == number
        if not mine.any():
            continue
        own = (rows.features[mine], rows.label[mine].astype(np.float32), weights[mine])
        for arrays, array in zip(columns, own, strict=True):
            held = client.scatter(array, workers=[worker], hash=False)
            arrays.append(da.from_delayed(held, array.shape, array.dtype))
    features, labels, weight = (da.concatenate(arrays) for arrays in columns)
    return features, labels, weight
