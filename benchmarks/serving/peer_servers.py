"""Starts MLServer and BentoML on the trees of our conversion model, each as one process.

Both get one thread for LightGBM: with more, their slowest calls take ten times as long.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import lightgbm
import numpy as np

from benchmarks.serving.processes import Running, started
from micromoment.scoring.models import Float32Array
from training.server_process import free_port

MLSERVER_METHOD: Final = "/inference.GRPCInferenceService/ModelInfer"
BENTOML_PATH: Final = "/predict"
_PEERS: Final = Path(__file__).parent / "peers"
_MESSAGES: Final = _PEERS / "mlserver_messages.py"
_SERVICE: Final = _PEERS / "bentoml_service.py"
_MODEL: Final = "conversion"  # as in mlserver_messages.py
_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class PeerModel:
    """The model file that a peer serves and the row that it is asked about, NaN made 0.

    JSON knows no NaN, and a row must be the same for both.
    """

    file: Path
    row: Float32Array

    def prediction(self) -> float:
        """Ask LightGBM itself for the row's probability."""
        booster = lightgbm.Booster(model_file=self.file)
        predicted = booster.predict(self.row[np.newaxis, :], num_threads=1)
        return float(np.asarray(predicted)[0])


@contextmanager
def mlserver(binaries: Path, model: PeerModel, folder: Path) -> Iterator[Running]:
    """Run MLServer with its LightGBM runtime and no pool of workers; `folder` is its own."""
    folder.mkdir(parents=True)
    port, other = free_port(), free_port()
    settings = {
        "host": "127.0.0.1",
        "grpc_port": port,
        "http_port": other,
        "metrics_endpoint": None,
        "parallel_workers": 0,
        "debug": False,
    }
    served = {
        "name": _MODEL,
        "implementation": "mlserver_lightgbm.LightGBMModel",
        "parameters": {"uri": str(model.file)},
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(served))
    command: list[str | Path] = [binaries / "mlserver", "start", folder]
    log = folder / "server.log"
    with started(command, port, log, environment=_ONE_THREAD, folder=folder) as running:
        yield running


@contextmanager
def bentoml(binaries: Path, model: PeerModel, folder: Path) -> Iterator[Running]:
    """Run a bare BentoML HTTP service with one worker; `folder` is its own."""
    folder.mkdir(parents=True)
    port = free_port()
    command: list[str | Path] = [
        *(binaries / "bentoml", "serve", f"{_SERVICE.stem}:Conversion"),
        *("--host", "127.0.0.1", "--port", str(port), "--working-dir", _PEERS, "--quiet"),
    ]
    environment = {
        **_ONE_THREAD,
        "MODEL_FILE": str(model.file),
        "BENTOML_HOME": str(folder),
        "BENTOML_DO_NOT_TRACK": "True",
    }
    with started(
        command, port, folder / "server.log", environment=environment, folder=folder
    ) as running:
        yield running


def mlserver_request(binaries: Path, row: Float32Array) -> bytes:
    """Write the request for a row in MLServer's own messages."""
    return _messages(binaries, "request", json.dumps(row.tolist()).encode())


def mlserver_prediction(binaries: Path, reply: bytes) -> float:
    """Read the prediction out of MLServer's reply."""
    return float(json.loads(_messages(binaries, "reply", reply)))


def bentoml_request(row: Float32Array) -> bytes:
    """Write the request for a row as JSON."""
    return json.dumps({"features": row.tolist()}).encode()


def _messages(binaries: Path, what: str, given: bytes) -> bytes:
    command = [str(binaries / "python"), str(_MESSAGES), what]
    return subprocess.run(command, input=given, capture_output=True, check=True).stdout
