"""The image's files, and its command line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from micromoment.errors import InvalidSettingError
from micromoment.exposure import check_exposure
from micromoment.settings import PREFIX, Settings, load_settings
from tests.image.container import Mount, status_of, strict_config

ROOT = Path(__file__).parents[2]
SETTINGS = {PREFIX + name.upper() for name in Settings.model_fields}
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())


def stages() -> list[str]:
    """Give the Dockerfile's stages, each instruction on one line."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return re.split(r"^FROM .*$", text, flags=re.MULTILINE)[1:]


def variables(stage: str) -> dict[str, str]:
    """Give the variables that a stage sets."""
    lines = re.findall(r"^ENV (.*)$", stage, re.MULTILINE)
    return dict(pair.split("=", 1) for line in lines for pair in line.split())


def test_a_signal_during_the_imports_ends_it() -> None:
    """From the first handler on SIGTERM ends the process with status 0."""
    with subprocess.Popen([sys.executable, "-m", "micromoment.container", "--version"]) as process:
        deadline = time.monotonic() + 30
        while not int(status_of(process.pid)["SigCgt"], 16) >> (signal.SIGTERM - 1) & 1:
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_it_is_the_command_line() -> None:
    """What stands behind it is run."""
    command = [sys.executable, "-m", "micromoment.container", "serve"]
    clean = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
    done = subprocess.run(
        [*command, "--bundle", "no tag"], env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "bundle no tag" in done.stderr


def test_only_locked_hashes_are_installed() -> None:
    """Whatever pip installs has a hash in the lock, or is the wheel that was just built."""
    builder, final = stages()
    installs = re.findall(r"pip\b(?:(?!&&).)* install (?:(?!&&).)*", builder)
    assert len(installs) == 3
    for install in installs:
        assert "--no-deps" in install
        assert "--require-hashes" in install or "--no-index --find-links dist" in install
    assert "pip" not in final
    assert "COPY --from=builder" in final


def test_the_image_runs_as_a_numbered_user() -> None:
    """Kubernetes' runAsNonRoot asks for a number, and the last USER is what counts."""
    users = re.findall(r"^USER (.*)$", stages()[-1], re.MULTILINE)
    assert [int(part) > 0 for part in users[-1].split(":")] == [True, True]


def test_the_image_sets_what_exists() -> None:
    """A variable that is no setting would end every start."""
    names = {name for name in variables(stages()[-1]) if name.startswith(PREFIX)}
    assert names
    assert names <= SETTINGS


def test_machine_code_is_made_as_it_is_looked_for() -> None:
    """The stage that compiles and the one that serves have the same variables of Numba."""
    builder, final = (
        {name: value for name, value in variables(stage).items() if name.startswith("NUMBA_")}
        for stage in stages()
    )
    assert builder == final
    assert {"NUMBA_CPU_NAME", "NUMBA_CACHE_DIR", "NUMBA_CACHE_LOCATOR_CLASSES"} <= final.keys()


def test_the_build_sees_chosen_files_only() -> None:
    """Everything is ignored but what is named: no data, no bundle, no history."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    for rule in rules[1:]:
        assert rule == "**/__pycache__" or (ROOT / rule.removeprefix("!")).exists(), rule


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_compose_services_are_strict(name: str) -> None:
    """Each has a read-only root, no capabilities and no way to gain any."""
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_compose_opens_nothing_to_the_network() -> None:
    """Ports are bound to loopback, since the server is told to be insecure."""
    assert COMPOSE["services"]["server"]["environment"]["MICROMOMENT_INSECURE"] == "true"
    for service in COMPOSE["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_compose_fits_the_settings() -> None:
    """It sets what exists, and it waits for the drain before it kills."""
    server = COMPOSE["services"]["server"]
    assert {name for name in server["environment"] if name.startswith(PREFIX)} <= SETTINGS
    fields = Settings.model_fields
    drain_s = fields["drain_lag"].default + fields["drain_grace"].default
    assert int(server["stop_grace_period"].removesuffix("s")) > drain_s + 1


def test_compose_starts_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing set outside, its environment and the image's make valid settings."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    server = COMPOSE["services"]["server"]
    for name, value in (variables(stages()[-1]) | server["environment"]).items():
        if name.startswith(PREFIX):
            monkeypatch.setenv(name, re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value))
    settings = load_settings()
    check_exposure(settings)
    assert settings.bundle == "shop:latest"
    # Sessions outlive a restart on the Redis beside it.
    assert settings.session_store is not None
    assert urlsplit(server["environment"]["MICROMOMENT_SESSION_STORE"]).hostname == "redis"
    assert "redis" in server["depends_on"]
    # The image's command is what runs: none here goes before it.
    assert not {"command", "entrypoint", "user"} & server.keys()


def test_the_image_alone_does_not_open_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run without certificate, credentials and `insecure`, it ends with their names."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    for name, value in variables(stages()[-1]).items():
        if name.startswith(PREFIX):
            monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettingError, match="tls_certificate and credentials not set"):
        check_exposure(load_settings())


def test_compose_mounts_what_the_image_reads() -> None:
    """Volumes lie where the image's settings look, bundles read-only, and named ones exist."""
    server = COMPOSE["services"]["server"]
    mounts = {re.sub(r"^.*?:(?=/\w+)", "", volume) for volume in server["volumes"]}
    image = variables(stages()[-1])
    assert mounts == {
        image["MICROMOMENT_BUNDLE_STORE"] + ":ro",
        image["MICROMOMENT_FEATURE_STORE"],
        image["MICROMOMENT_STATE_DIR"],
    }
    named = [v.split(":")[0] for s in COMPOSE["services"].values() for v in s["volumes"]]
    assert {name for name in named if name.isalpha()} == set(COMPOSE["volumes"])
    assert set(server["depends_on"]) <= set(COMPOSE["services"])


def test_compose_publishes_what_the_image_exposes() -> None:
    """Each port of the image has one on the machine's loopback."""
    exposed = re.findall(r"^EXPOSE (.*)$", stages()[-1], re.MULTILINE)[0].split()
    ports = COMPOSE["services"]["server"]["ports"]
    assert [port.rpartition(":")[2] for port in ports] == exposed
    fields = Settings.model_fields
    defaults = [str(fields[name].default) for name in ("port", "metrics_port")]
    assert exposed == [*defaults, variables(stages()[-1])["MICROMOMENT_HEALTH_PORT"]]


def test_the_checked_container_is_strict() -> None:
    """Checks run on a read-only root without capabilities, with their mounts in place."""
    config = {
        "process": {"user": {"uid": 1}, "terminal": True, "capabilities": {"bounding": ["CAP_X"]}},
        "root": {"path": "rootfs"},
        "mounts": [{"destination": "/proc"}, {"destination": "/state", "type": "tmpfs"}],
    }
    mount = Mount(Path("/here"), "/state", writable=True)
    strict = strict_config(config, Path("/image/rootfs"), [mount])
    assert strict["root"] == {"path": "/image/rootfs", "readonly": True}
    assert strict["process"]["user"] == {"uid": 1}
    assert not any(strict["process"]["capabilities"].values())
    assert strict["process"]["noNewPrivileges"] is True
    targets = {mount["destination"]: mount["type"] for mount in strict["mounts"][1:]}
    assert targets == {"/tmp": "tmpfs", "/state": "bind"}  # noqa: S108 - of the container
    assert config["root"] == {"path": "rootfs"}
