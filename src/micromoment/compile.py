"""Compiles the reducer as serving calls it: `python -m micromoment.compile`.

For building an image: machine code goes to the folder `NUMBA_CACHE_DIR`, and a server that finds it
there compiles nothing. `NUMBA_CPU_NAME=generic` makes code that every machine of the kind can run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numba import config
from numba.core import event

from micromoment.events.proto_codec import events_from_proto
from micromoment.events.record import RecordArray
from micromoment.events.shop import Shop
from micromoment.features.catalogue import FEATURE_NAMES
from micromoment.features.session import describe_session, fold_batch
from micromoment.features.state import new_state
from micromoment.features.tables import neutral_tables
from micromoment.features.user_snapshot import UserStatus, no_lookup
from micromoment.scoring.clusters import ClusterFile, ClusterRecord, Clusters, Dimension
from micromoment.v1 import events_pb2

_MINUTE_US = 60_000_000


@contextmanager
def compilations() -> Iterator[list[str]]:
    """List the functions, by name, that are compiled in this block rather than read from disk."""
    names: list[str] = []

    class Listener(event.Listener):
        def on_start(self, event: event.Event) -> None:
            names.append(event.data["dispatcher"].__qualname__)

        def on_end(self, event: event.Event) -> None:
            pass

    with event.install_listener("numba:compile", Listener()):
        yield names


def compile_reducer() -> list[str]:
    """Fold and describe one event with arguments of serving's types; names what was compiled."""
    message = events_pb2.Event(event_id="e1", type=events_pb2.EVENT_TYPE_PAGE_VIEW)
    message.event_time.FromSeconds(1)
    batch = events_from_proto([message], 0, 0, _MINUTE_US, Shop())
    states = new_state()
    with compilations() as compiled:
        fold_batch(states, batch, no_lookup(UserStatus.UNKNOWN), _MINUTE_US, _MINUTE_US)
        features = describe_session(states, _MINUTE_US, neutral_tables())
        _find_clusters(features)
    return compiled


def _find_clusters(features: RecordArray) -> None:
    dimension = Dimension(feature=FEATURE_NAMES[0], log=True, fill=0.0, mean=0.0, scale=1.0)
    one = ClusterRecord(number=1, id="all", name="All", meaning="", share=1.0, centroid=(0.0,))
    clusters = Clusters(
        ClusterFile(dimensions=(dimension,), clusters=(one,), quality={}), FEATURE_NAMES
    )
    # A bundle's rows are picked out of the vector, which gives them another layout in memory.
    rows = features.view(np.float32).reshape(len(features), len(FEATURE_NAMES))
    clusters.numbers(rows[:, np.arange(len(FEATURE_NAMES))])


def main() -> int:
    """Compile what is not on disk yet and say how much that was."""
    compiled = compile_reducer()
    folder = config.CACHE_DIR  # type: ignore[attr-defined] # set when Numba starts
    sys.stdout.write(f"compiled {len(compiled)} functions into {folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
