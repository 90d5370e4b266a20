"""A Dask cluster in place of processes: what it must be, and how work is handed to it.

Parts of the data are files, and a job names its files: the workers must see the same folders under
the same paths as whoever trains. Bits are equal where the code and the libraries are.
"""

from __future__ import annotations

import platform
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import uuid4

from micromoment.errors import InvalidSettingError

if TYPE_CHECKING:
    from distributed import Client

# What decides about bits, and about whether a model can be trained together.
_PACKAGES: Final = (
    "micromoment",
    "dask",
    "distributed",
    "duckdb",
    "feast",
    "lightgbm",
    "numba",
    "numpy",
    "pandas",
    "pyarrow",
)
_CONNECT_S: Final = 10
# So many jobs a worker are under way: what they give waits in memory until its turn comes.
_JOBS_AT_ONCE: Final = 2

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class DaskCluster:
    """The cluster behind a scheduler's address, such as `tcp://scheduler:8786`."""

    address: str

    @contextmanager
    def client(self) -> Iterator[Client]:
        """Connect for a while. Raises `InvalidSettingError` when nobody answers."""
        try:
            from distributed import Client  # noqa: PLC0415 - part of the dask extra, a second
        except ModuleNotFoundError as error:
            raise _wrong("needs the package distributed: install micromoment[dask]") from error
        try:
            client = Client(self.address, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise _wrong(f"no scheduler answers at {self.address}") from error
        with client:
            yield client

    def check(self, folder: Path) -> None:
        """Make sure that the workers can do the work, with files below `folder`.

        Raises `InvalidSettingError` naming the workers when there are none, when they have several
        threads, other versions of what decides about bits, or don't share the folder.
        """
        with self.client() as client:
            workers = client.scheduler_info(n_workers=-1)["workers"]
            if not workers:
                raise _wrong(f"the cluster at {self.address} has no workers")
            several = [name for name, facts in workers.items() if facts["nthreads"] != 1]
            if several:
                raise _wrong(
                    f"workers need one thread each (dask worker --nthreads 1): {_listed(several)}"
                )
            check_versions(versions(), _ask(client, versions))
            with TemporaryDirectory(dir=folder) as shared:
                _check_shared(client, Path(shared))

    def run(self, work: Callable[[_Job], _Result], jobs: Sequence[_Job]) -> Iterator[_Result]:
        """Run the jobs on the workers and give their results in order.

        What a job raises is raised here. Raises `InvalidSettingError` when workers die of one.
        """
        from distributed import KilledWorker  # noqa: PLC0415

        with self.client() as client:
            at_once = _JOBS_AT_ONCE * max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
            waiting: deque[Any] = deque()
            try:
                for job in jobs:
                    waiting.append(client.submit(work, job, pure=False))
                    if len(waiting) >= at_once:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            except KilledWorker as error:
                raise _wrong(f"workers died of the same job, of memory say: {error}") from error


def versions() -> dict[str, str]:
    """Give the versions here of what decides about bits."""
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "machine": platform.machine(),
        **{name: version(name) for name in _PACKAGES},
    }


def check_versions(own: Mapping[str, str], theirs: Mapping[str, Mapping[str, str]]) -> None:
    """Raise `InvalidSettingError` for the first worker whose versions aren't one's own."""
    for worker, found in theirs.items():
        other = [
            f"{name} {found.get(name)} instead of {wanted}"
            for name, wanted in own.items()
            if found.get(name) != wanted
        ]
        if other:
            raise _wrong(f"worker {worker} has {', '.join(other)}")


def _check_shared(client: Client, shared: Path) -> None:
    token = uuid4().hex
    (shared / "asked").write_text(token, encoding="ascii")
    answers = _ask(client, _answer, str(shared))
    blind = blind_workers(shared, token, answers)
    if blind:
        raise _wrong(
            f"workers must read and write the same files below {shared.parent} as this machine;"
            f" these don't: {_listed(blind)}"
        )


def blind_workers(shared: Path, token: str, answers: Mapping[str, tuple[str, str]]) -> list[str]:
    """List who read another token than what is in the folder, or whose file isn't seen in it."""
    return [
        worker
        for worker, (found, name) in answers.items()
        if found != token or not (shared / name).exists()
    ]


def _answer(shared: str) -> tuple[str, str]:
    """Read the probe and leave an answer beside it: what was read, the answer's name."""
    name = uuid4().hex
    try:
        found = Path(shared, "asked").read_text(encoding="ascii")
        Path(shared, name).touch()
    except OSError:
        return "", name
    return found, name


def _ask(client: Client, question: Callable[..., _Result], *given: str) -> dict[str, _Result]:
    """Run a function on every worker; gives the answers by worker."""
    try:
        answers: dict[str, _Result] = client.run(question, *given)
    except ModuleNotFoundError as error:
        raise _wrong(f"a worker lacks the module {error.name}: install it there too") from error
    return answers


def _listed(workers: Sequence[str]) -> str:
    return ", ".join(sorted(workers))


def _wrong(detail: str) -> InvalidSettingError:
    return InvalidSettingError("dask", detail)
