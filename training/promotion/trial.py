"""A trial of a bundle in a process of its own: a damaged model can crash or hang the one it is in.

`python -m training.promotion.trial CANDIDATE [SERVING]` prints one JSON object a line: for each
bundle what it is, then, where both load, the time of an answer for each.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from micromoment.errors import BundleError
from micromoment.features.points import EVENTS_SEEN
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from micromoment.scoring.golden import EXPECTED_FILE, check_golden
from micromoment.scoring.point_judge import PointJudge

TIMEOUT_S: Final = 120.0
_ROWS: Final = 50
_ROUNDS: Final = 15


@dataclass(frozen=True, slots=True)
class Trial:
    """What a trial told of one bundle; `error` says why it could not be used.

    `leaves` is the most of any model of it, `size` bytes of all files, `answer_us` the median
    microseconds from a row of features to all that is said of it.
    """

    error: str = ""
    golden_answers: int = 0
    trees: int = 0
    leaves: int = 0
    size: int = 0
    answer_us: float = float("nan")


def try_bundles(
    candidate: Path, serving: Path | None = None, timeout_s: float = TIMEOUT_S
) -> tuple[Trial, Trial | None]:
    """Load bundles and score their golden sessions, elsewhere; None where there is no `serving`."""
    folders = [str(one) for one in (candidate, serving) if one is not None]
    command = [sys.executable, "-P", "-m", "training.promotion.trial", *folders]
    ended = ""
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False)
        out = done.stdout
        if done.returncode:
            ended = _ending(done)
    except subprocess.TimeoutExpired as error:
        out, ended = error.stdout or b"", f"did not answer within {timeout_s:g} seconds"
    whole = out[: out.rfind(b"\n") + 1]
    told = [json.loads(line) for line in whole.decode().splitlines()]
    trials = [Trial(**one) for one in told[: len(folders)]]
    while len(trials) < len(folders):
        trials.append(Trial(error=ended or "told nothing"))
        ended = "was not tried, after the other one"
    if len(told) > len(folders):
        times = told[len(folders)]
        trials = [_timed(one, us) for one, us in zip(trials, times, strict=True)]
    return trials[0], trials[1] if serving is not None else None


def _ending(done: subprocess.CompletedProcess[bytes]) -> str:
    if done.returncode < 0:
        return f"loading or scoring it ended the process by signal {-done.returncode}"
    last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
    return f"loading or scoring it ended the process: {''.join(last)}"


def _timed(trial: Trial, answer_us: float) -> Trial:
    return Trial(
        trial.error, trial.golden_answers, trial.trees, trial.leaves, trial.size, answer_us
    )


def main(folders: list[str]) -> None:
    """Try the bundles in these folders."""
    loaded = []
    for folder in folders:
        try:
            bundle = load_bundle(Path(folder))
            told = _describe(bundle)
            loaded.append(bundle)
        except BundleError as error:
            told = {"error": str(error)}
        _tell(told)
    if len(loaded) == len(folders):
        _tell(_answer_times(loaded))


def _describe(bundle: LoadedBundle) -> dict[str, Any]:
    report = check_golden(bundle)
    models = [one for one in (bundle.manifest.conversion, bundle.manifest.churn) if one]
    leaves = [_leaves(bundle.path / one.file) for one in models]
    return {
        "golden_answers": report.answers,
        "trees": max((len(one) for one in leaves), default=0),
        "leaves": max((sum(one) for one in leaves), default=0),
        "size": sum(one.size for one in bundle.manifest.files.values()),
    }


def _leaves(model: Path) -> list[int]:
    """Give the number of leaves of each tree."""
    lines = model.read_text(encoding="utf-8").splitlines()
    return [int(line.partition("=")[2]) for line in lines if line.startswith("num_leaves=")]


def _answer_times(bundles: list[LoadedBundle]) -> list[float]:
    """Give each bundle's microseconds an answer; they take turns, so that a busy core is shared.

    The median of a round, and of the rounds the least: what disturbs makes it longer, never less.
    """
    rows = [_golden_rows(bundle) for bundle in bundles]
    rounds = [
        [_median_us(bundle, some) for bundle, some in zip(bundles, rows, strict=True)]
        for _ in range(_ROUNDS)
    ]
    return [min(times) for times in zip(*rounds, strict=True)]


def _golden_rows(bundle: LoadedBundle) -> npt.NDArray[np.float32]:
    columns = [f"feature.{name}" for name in bundle.feature_names]
    table = pq.read_table(bundle.path / EXPECTED_FILE, columns=columns).slice(0, _ROWS)
    return np.stack([table[name].to_numpy() for name in columns], axis=1)


def _median_us(bundle: LoadedBundle, rows: npt.NDArray[np.float32]) -> float:
    judge = PointJudge(bundle, 1)
    judge.known[0, EVENTS_SEEN] = 1
    times = []
    for row in rows:
        judge.rows[0] = row
        start = time.perf_counter_ns()
        judge.run(1)
        times.append(time.perf_counter_ns() - start)
    return float(np.median(times)) / 1_000


def _tell(what: dict[str, Any] | list[float]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
