"""What the image promises, checked in containers: `python -m tests.image.checks`.

One line per check; status 1 when one fails. Needs root, runc and nsenter.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.image import contents
from tests.image.container import Container, status_of
from tests.image.image import DRAIN_GRACE_S, DRAIN_LAG_S, Image, Report

START_S = 120.0
# A call from outside the container, of an address and, if there is one, a body in JSON.
GET = """
import sys, urllib.request
body = sys.argv[2].encode() if len(sys.argv) > 2 else None
request = urllib.request.Request(sys.argv[1], body, {"Content-Type": "application/json"})
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print(opener.open(request, timeout=10).read().decode())
"""
ELSEWHERE = ("python", "/probes/serve_elsewhere.py")
# What a probe that runs every ten seconds must not import.
HEAVY = frozenset({"feast", "lightgbm", "numba", "numpy", "pandas", "pyarrow", "pydantic"})


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


def check_contents(image: Image, report: Report) -> None:
    """Check what lies in the image's files."""
    with report.check("it has no compiler and nothing that fetches programs"):
        assert contents.builders(image.rootfs) == []
    with report.check("no cache, no checkout and no test of ours is left in it"):
        assert contents.leftovers(image.rootfs) == []
    with report.check("no private key is in it"):
        assert contents.secrets(image.rootfs) == []
    with report.check("no program of it changes who one is"):
        assert contents.privileged(image.rootfs) == []
    with report.check("its bill of materials is what is installed") as tell:
        installed = contents.installed(image.rootfs)
        assert installed.pop("micromoment")
        listed = contents.bill_of_materials(image.rootfs)
        tell(f"{len(installed)} packages")
        assert installed.items() <= listed.items()
        # The lock is for other systems, too: what is for those alone is not installed.
        assert len(listed) - len(installed) <= 5, listed.keys() - installed.keys()
        assert (image.rootfs / image.settings["Labels"]["micromoment.sbom"].lstrip("/")).is_file()


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


def check_state(image: Image, report: Report) -> None:
    """Let a second container go on with the volume of the one before."""
    with report.check("the event log on the volume outlives the container") as tell:
        with image.container("first") as container:
            container.await_logged("serving", START_S)
            _score(image, container, "e1")
            container.stop("SIGKILL")
        state = image.work / "first" / "state"
        owners = {path.stat().st_uid for path in state.rglob("*")}
        tell(f"{sum(path.is_file() for path in state.rglob('*'))} files")
        assert owners == {int(image.settings["User"].partition(":")[0])}
        assert list((state / "event_log").iterdir())
        with image.container("second", state=state) as container:
            container.await_logged("serving", START_S)
            reply = _score(image, container, "e2")
        assert reply["events_seen"] == "2", reply


def check_signatures(image: Image, report: Report) -> None:
    """Start with a bundle that nobody trusted signed."""
    keys = "/probes/somebody.pub"
    with (
        report.check("told to take signed bundles alone, it takes no other") as tell,
        image.container("unsigned", MICROMOMENT_BUNDLE_KEYS=keys) as container,
    ):
        status = container.wait(START_S)
        tell(f"status {status}")
        assert status == 1
        assert "UNSIGNED" in container.log, container.log


def check_front_door(image: Image, report: Report) -> None:
    """Run the HTTP front door and call it."""
    command = ("python", "-m", "micromoment.container", "serve-http")
    with (
        report.check("it serves over HTTP on a read-only root without capabilities") as tell,
        image.container("http", command) as container,
    ):
        port = container.await_logged("serving_http", START_S)["port"]
        tell(_check_privileges(container.pid))
        ready = container.run_beside(sys.executable, "-c", GET, f"http://127.0.0.1:{port}/readyz")
        assert ready.returncode == 0, ready
        body = json.dumps(_request("h1", "e1"))
        address = f"http://127.0.0.1:{port}/v1/score"
        called = container.run_beside(sys.executable, "-c", GET, address, body)
        assert called.returncode == 0, called
        reply = json.loads(called.stdout)
        tell(f"conversion {reply['conversion']:.4f} by {reply['bundle']}")
        status, seconds = container.stop(image.settings["StopSignal"])
        tell(f"status {status} after {seconds:.1f} s")
        assert status == 0, container.log


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


def check_training(image: Image, report: Report) -> None:
    """Run the command line of the training image as strictly."""
    with (
        report.check("the training image answers on a read-only root without capabilities") as tell,
        image.container("training", ("micromoment", "train", "--help")) as container,
    ):
        status = container.wait(START_S)
        tell(f"status {status}")
        assert status == 0
        assert "--sign-key" in container.log, container.log
    with report.check("it names a user by number, not root, and holds no private key"):
        assert all(int(part) > 0 for part in image.settings["User"].split(":"))
        assert contents.leftovers(image.rootfs) == []
        assert contents.secrets(image.rootfs) == []


# By form of the image (the Dockerfile's FORM).
CHECKS: dict[str, tuple[Callable[[Image, Report], None], ...]] = {
    "base": (
        check_settings,
        check_contents,
        check_service,
        check_state,
        check_signatures,
        check_early_stop,
        check_exposed,
        check_machine_code,
        check_the_count,
    ),
    "http": (check_contents, check_front_door),
    "training": (check_training,),
}


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


def _score(image: Image, container: Container, event_id: str = "e1") -> dict[str, Any]:
    request = _request("s1", event_id)
    called = container.run_beside(
        *(image.grpcurl, "-plaintext", "-max-time", "10", "-d", json.dumps(request)),
        *("127.0.0.1:50051", "micromoment.v1.ScoringService/Score"),
    )
    assert called.returncode == 0, called
    return dict(json.loads(called.stdout))


def _request(session: str, event_id: str) -> dict[str, Any]:
    now = datetime.now(tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    event = {"eventId": event_id, "type": "EVENT_TYPE_PAGE_VIEW", "eventTime": now}
    return {"sessionId": session, "anonymousId": "v1", "events": [event]}


def main() -> int:
    """Run all checks; gives the status."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("unpacked", "inspected", "bundles", "features", "work"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--grpcurl", default="grpcurl")
    parser.add_argument("--form", choices=sorted(CHECKS), default="base")
    given = vars(parser.parse_args())
    checks = CHECKS[given.pop("form")]
    # runc takes paths as seen from the container's folder.
    given |= {name: path.resolve() for name, path in given.items() if isinstance(path, Path)}
    given["inspected"] = json.loads(given["inspected"].read_text())
    image = Image(**given)
    report = Report()
    for check in checks:
        check(image, report)
    sys.stdout.write(f"{len(report.failed)} of the checks failed\n" if report.failed else "")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
