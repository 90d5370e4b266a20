"""What the image promises, checked in containers: `python -m tests.image.checks`.

One line per check; status 1 when one fails. Needs root, runc and nsenter.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.image.container import Container, Mount, status_of, strict_config

START_S = 120.0
DRAIN_LAG_S = 1.0
DRAIN_GRACE_S = 5.0
PROBES = Path(__file__).parent
ELSEWHERE = ("python", "/probes/serve_elsewhere.py")
# What a probe that runs every ten seconds must not import.
HEAVY = frozenset({"feast", "lightgbm", "numba", "numpy", "pandas", "pyarrow", "pydantic"})


@dataclass(frozen=True)
class Image:
    """An image, unpacked by umoci, with what buildah tells of it; folders of a shop to serve."""

    unpacked: Path
    inspected: dict[str, Any]
    bundles: Path
    features: Path
    work: Path
    grpcurl: str

    @property
    def rootfs(self) -> Path:
        """Its files."""
        return self.unpacked / "rootfs"

    @property
    def settings(self) -> dict[str, Any]:
        """What its Dockerfile set."""
        return dict(self.inspected["Docker"]["config"])

    def container(self, name: str, command: tuple[str, ...] = (), **variables: str) -> Container:
        """Make a strict container, with the image's own command unless another is given."""
        config = json.loads((self.unpacked / "config.json").read_text())
        user = config["process"]["user"]
        state = self.work / name / "state"
        state.mkdir(parents=True)
        for folder in (state, *self.features.rglob("*"), self.features):
            os.chown(folder, user["uid"], user["gid"])
        mounts = (
            Mount(self.bundles, "/bundles"),
            Mount(self.features, "/features", writable=True),
            Mount(state, "/var/lib/micromoment", writable=True),
            Mount(PROBES, "/probes"),
        )
        strict = strict_config(config, self.rootfs, mounts)
        strict["process"]["args"] = list(command) or strict["process"]["args"]
        environment = dict(pair.split("=", 1) for pair in strict["process"]["env"])
        environment |= {
            "MICROMOMENT_HOST": "127.0.0.1",
            "MICROMOMENT_DRAIN_LAG": str(DRAIN_LAG_S),
            "MICROMOMENT_DRAIN_GRACE": str(DRAIN_GRACE_S),
            **variables,
        }
        strict["process"]["env"] = [f"{name}={value}" for name, value in environment.items()]
        return Container(f"micromoment-{name}-{os.getpid()}", self.work / name, strict)


@dataclass
class Report:
    """Prints a line per check and remembers whether all held."""

    failed: list[str] = field(default_factory=list)

    @contextmanager
    def check(self, what: str) -> Iterator[Callable[[str], None]]:
        """Check something in the block, which may add words to the line and fails by raising."""
        words: list[str] = []
        try:
            yield words.append
        except Exception as error:  # noqa: BLE001 - the other checks go on, the status tells
            self.failed.append(what)
            words.append(f"{type(error).__name__}: {error}")
        self._print("FAIL" if what in self.failed else "ok", what, words)

    @staticmethod
    def _print(verdict: str, what: str, words: list[str]) -> None:
        sys.stdout.write(f"{verdict:<4} {what}{': ' if words else ''}{'; '.join(words)}\n")
        sys.stdout.flush()


def check_settings(image: Image, report: Report) -> None:
    """Check what the image says of itself."""
    settings = image.settings
    with report.check("it names a user by number, not root") as tell:
        tell(settings["User"])
        assert all(int(part) > 0 for part in settings["User"].split(":"))
    with report.check("command, probe and stop signal are exact"):
        assert settings["Entrypoint"][0] == "python"
        assert settings["Healthcheck"]["Test"][0] == "CMD"
        assert settings["StopSignal"] == "SIGTERM"
    with report.check("nothing of pip's settings is left in it"):
        told = json.dumps(image.inspected)
        assert not [word for word in ("PIP_", "index-url", "find-links") if word in told]
        left = [*image.rootfs.glob("etc/pip.conf"), *image.rootfs.glob("run/secrets/*")]
        assert left == []
    with report.check("the stage that builds stays out of it"):
        packages = next(image.rootfs.glob("opt/micromoment/lib/python3*/site-packages"))
        assert (packages / "micromoment").is_dir()
        tools = [packages / name for name in ("pip", "hatchling", "bentoml", "pytest")]
        assert not [place for place in (*tools, image.rootfs / "build") if place.exists()]


def check_service(image: Image, report: Report) -> None:
    """Run the image's own command and check it from the start to the end."""
    started = time.monotonic()
    with image.container("service") as container:
        with report.check("it serves on a read-only root without capabilities") as tell:
            serving = container.await_logged("serving", START_S)
            tell(f"SERVING after {time.monotonic() - started:.1f} s")
            tell(f"{serving['load_seconds']} s of them loading")
            tell(f"{container.cpu_seconds:.1f} s of CPU")
        with report.check("its process has no privileges and can gain none") as tell:
            tell(_check_privileges(container.pid))
        with report.check("it can't write to its own files"):
            for place in ("/", "/opt/micromoment/machine-code", "/bundles"):
                tried = container.run("python", "-c", f"open('{place}/written', 'w')")
                assert "Read-only file system" in tried.stderr, tried
        with report.check("the probe says SERVING") as tell:
            begun = time.monotonic()
            probe = container.run(*image.settings["Healthcheck"]["Test"][1:])
            tell(f"{time.monotonic() - begun:.1f} s")
            assert (probe.returncode, probe.stdout) == (0, "SERVING\n"), probe
        with report.check("the probe imports nothing heavy") as tell:
            imported = _imports(container, image.settings["Healthcheck"]["Test"][1:])
            tell(f"{len(imported)} modules")
            assert "grpc" in imported
            assert not HEAVY & imported, HEAVY & imported
        with report.check("grpcurl gets a score") as tell:
            reply = _score(image, container)
            tell(f"conversion {reply['conversion']:.4f} by {reply['bundle']}")
            latest = (image.bundles / "shop" / "latest").read_text()
            assert reply["bundle"] == f"shop:{latest}"
            assert "degraded" not in reply, reply["degraded"]
        with report.check(f"{image.settings['StopSignal']} stops it in time") as tell:
            status, seconds = container.stop(image.settings["StopSignal"])
            tell(f"status {status} after {seconds:.1f} s")
            assert status == 0, container.log
            assert seconds < DRAIN_LAG_S + DRAIN_GRACE_S + 1
            assert container.logged("stopped")
        with report.check("its log has no warning"):
            lines = [json.loads(line) for line in container.log.splitlines()]
            assert [line for line in lines if line["level"] not in {"info", "debug"}] == []


def check_early_stop(image: Image, report: Report) -> None:
    """Stop the image's own command before it listens."""
    with (
        report.check("a signal while it imports ends it at once") as tell,
        image.container("early") as container,
    ):
        container.await_handler(image.settings["StopSignal"], START_S)
        status, seconds = container.stop(image.settings["StopSignal"])
        tell(f"status {status} after {seconds:.1f} s")
        assert container.log == ""
        assert status == 0
        assert seconds < 2


def check_exposed(image: Image, report: Report) -> None:
    """Run the image as it is on all addresses: it must want certificate and credentials."""
    with (
        report.check("alone it does not open itself to a network") as tell,
        image.container("exposed", MICROMOMENT_HOST="0.0.0.0") as container,  # noqa: S104 - refused
    ):
        status = container.wait(START_S)
        tell(f"status {status}")
        assert status == 1
        assert "tls_certificate and credentials not set" in container.log, container.log


def check_machine_code(image: Image, report: Report) -> None:
    """Run the server as on another processor, from files of another time."""
    for source in image.rootfs.glob("opt/micromoment/lib/python3*/site-packages/micromoment/**/*"):
        os.utime(source)
    with (
        report.check("it compiles nothing, on another processor and with new file times") as tell,
        image.container("elsewhere", ELSEWHERE) as container,
    ):
        functions = _compiled(image, container)
        tell(f"{len(functions)} compilations until after the first score")
        assert functions == []


def check_the_count(image: Image, report: Report) -> None:
    """Run the server without the image's machine code: what it then compiles must show."""
    with (
        report.check("the same count sees what an empty folder makes it compile") as tell,
        image.container("bare", ELSEWHERE, NUMBA_CACHE_DIR="/tmp/code") as container,  # noqa: S108
    ):
        functions = _compiled(image, container)
        tell(f"{len(functions)} compilations")
        assert {"prepare", "fold", "describe"} <= set(functions), functions
    with (
        report.check("a start without machine code and room for it ends with a reason") as tell,
        image.container("sealed", NUMBA_CACHE_DIR="/bundles") as container,
    ):
        status = container.wait(START_S)
        tell(f"status {status}")
        assert status == 1
        assert "lacks machine code" in container.log, container.log


def _compiled(image: Image, container: Container) -> list[str]:
    """Name the functions that the probe's server compiled until after its first score."""
    container.await_logged("serving", START_S)
    _score(image, container)
    container.stop(image.settings["StopSignal"])
    told = container.logged("compilations")
    assert told is not None, container.log
    return list(told["functions"])


def _imports(container: Container, command: list[str]) -> set[str]:
    """Name the packages and modules that a Python command imports, without dots in them."""
    done = container.run(command[0], "-X", "importtime", *command[1:])
    assert done.returncode == 0, done
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def _check_privileges(pid: int) -> str:
    status = status_of(pid)
    users = {int(part) for name in ("Uid", "Gid") for part in status[name].split()}
    assert 0 not in users, status
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, status
    assert status["NoNewPrivs"] == "1"
    return f"uid {status['Uid'].split()[0]}"


def _score(image: Image, container: Container) -> dict[str, Any]:
    now = datetime.now(tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    event = {"event_id": "e1", "type": "EVENT_TYPE_PAGE_VIEW", "event_time": now}
    request = {"session_id": "s1", "anonymous_id": "v1", "events": [event]}
    called = container.run_beside(
        *(image.grpcurl, "-plaintext", "-max-time", "10", "-d", json.dumps(request)),
        *("127.0.0.1:50051", "micromoment.v1.ScoringService/Score"),
    )
    assert called.returncode == 0, called
    return dict(json.loads(called.stdout))


def main() -> int:
    """Run all checks; gives the status."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("unpacked", "inspected", "bundles", "features", "work"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--grpcurl", default="grpcurl")
    given = vars(parser.parse_args())
    # runc takes paths as seen from the container's folder.
    given |= {name: path.resolve() for name, path in given.items() if isinstance(path, Path)}
    given["inspected"] = json.loads(given["inspected"].read_text())
    image = Image(**given)
    report = Report()
    checks = (
        check_settings,
        check_service,
        check_early_stop,
        check_exposed,
        check_machine_code,
        check_the_count,
    )
    for check in checks:
        check(image, report)
    sys.stdout.write(f"{len(report.failed)} of the checks failed\n" if report.failed else "")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
