"""What `explain` costs: a score with reasons beside the same score without them, in one process.

    python -m benchmarks.explain [--store FOLDER --bundle NAME:VERSION] [--visits N] [--rounds N]

Plays visits event by event and scores each state once without and once with reasons, in turn, and
takes the models' contributions alone. Without a bundle a simulated shop's is trained first. Prints
the median over the rounds' medians [min, max].
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar

from benchmarks.latency import KINDS, VISIT_EVENTS, simulated
from micromoment.client import event, item, score_request
from micromoment.events.identity import IdEncoder
from micromoment.features.user_snapshot import UserStatus, no_lookup
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from micromoment.scoring.calls import ScoreCall
from micromoment.scoring.models import CalibratedModel
from micromoment.scoring.scorer import Scorer
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.bundles import find_bundle
from micromoment.transport.decoding import RequestDecoder, now_us

Seconds = list[float]
_Result = TypeVar("_Result")

_MAX_AGE_US: Final = 2 * 86_400_000_000
_UNKNOWN: Final = no_lookup(UserStatus.UNKNOWN)


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, help="folder of the bundle store")
    parser.add_argument("--bundle", default="shop:latest")
    parser.add_argument("--visits", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args(arguments)
    with TemporaryDirectory() as temporary:
        store, tag = given.store, given.bundle
        if store is None:
            served = simulated(Path(temporary))
            store, tag = served.store, served.bundle
        bundle = load_bundle(find_bundle(store, tag))
    _run(bundle, given.visits, given.rounds)


def _run(bundle: LoadedBundle, visits: int, rounds: int) -> None:
    models = _models(bundle)
    for kind, model in models.items():
        print(f"{kind}: {model.trees.n_trees} trees, {model.trees.n_features} features")
    medians: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        measured = _round(Scorer(bundle, max_user_feature_age_us=_MAX_AGE_US), models, visits)
        if number > 0:  # the first round warms up
            for name, seconds in measured.items():
                medians.setdefault(name, []).append(statistics.median(seconds) * 1e3)
    print(f"{rounds} rounds of {visits} visits of {VISIT_EVENTS} events")
    for name, values in medians.items():
        middle = statistics.median(values)
        print(f"{name:26} {middle:.3f} [{min(values):.3f}, {max(values):.3f}] ms")


def _round(scorer: Scorer, models: dict[str, CalibratedModel], visits: int) -> dict[str, Seconds]:
    times: dict[str, Seconds] = {}
    for visit in range(visits):
        entry: SessionEntry | None = None
        for call in _calls(scorer.bundle, visit):
            entry = scorer.score(call, entry, lost=False).entry
            score = _timed(times, "score", partial(scorer.session, entry))
            _timed(times, "score, explained", partial(scorer.session, entry, explain=True))
            for kind, model in models.items():
                row = score.features[model.index]
                _timed(times, f"contributions, {kind}", partial(model.trees.contributions, row))
    return times


def _timed(times: dict[str, Seconds], name: str, work: Callable[[], _Result]) -> _Result:
    started = time.perf_counter()
    result = work()
    times.setdefault(name, []).append(time.perf_counter() - started)
    return result


def _models(bundle: LoadedBundle) -> dict[str, CalibratedModel]:
    models = {}
    if bundle.conversion is not None:
        models["conversion"] = bundle.conversion.at(VISIT_EVENTS)
    if bundle.churn is not None:
        models["churn"] = bundle.churn.model
    return models


def _calls(bundle: LoadedBundle, visit: int) -> Iterator[ScoreCall]:
    decoder = RequestDecoder(bundle.shop, IdEncoder(), now_us)
    for step in range(VISIT_EVENTS):
        one = event(
            KINDS[step % len(KINDS)],
            items=[item(f"sku-{visit + step}", category=("a", "b"), price="19.99", quantity=1)],
            page=f"/products/{visit + step}",
            page_type="item",
            device="mobile",
        )
        request = score_request(f"visit-{visit}", [one], anonymous_id=f"browser-{visit}")
        yield replace(decoder.score_call(request).call, user=_UNKNOWN)


if __name__ == "__main__":
    main()
