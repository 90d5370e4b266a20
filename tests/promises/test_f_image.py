"""Part F: the image and what runs it give nobody more than serving needs."""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.image import contents
from tests.promises.conftest import Form, Reached

ROOT = Path(__file__).parents[2]
DOCKERFILES = ("Dockerfile", "deploy/training.Dockerfile")
MANIFESTS = ("server.yaml", "retrain-cronjob.yaml")
HADOLINT = Path(sys.executable).with_name("hadolint")
SECRET = re.compile(r"(?i)(password|secret|token|api_?key)\s*[=:]\s*\S")
IMAGE_TEST_S = 5_400


def pods(manifest: str) -> list[dict[str, Any]]:
    """Give what the pods of a manifest are made of."""
    text = (ROOT / "deploy/kubernetes" / manifest).read_text(encoding="utf-8")
    return list(_pods(list(yaml.safe_load_all(text))))


def _pods(value: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - YAML
    if isinstance(value, dict):
        if "containers" in value:
            yield value
        for one in value.values():
            yield from _pods(one)
    elif isinstance(value, list):
        for one in value:
            yield from _pods(one)


def faults_of_pod(pod: dict[str, Any]) -> list[str]:
    """Name what a pod may that it need not."""
    own = pod.get("securityContext", {})
    faults = [name for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name)]
    faults += [f"volume {one['name']}" for one in pod["volumes"] if "hostPath" in one]
    asked = {
        "runAsNonRoot": own.get("runAsNonRoot") is True,
        "runAsUser": own.get("runAsUser", 0) > 0,
        "runAsGroup": own.get("runAsGroup", 0) > 0,
        "seccompProfile": own.get("seccompProfile", {}).get("type") == "RuntimeDefault",
        "automountServiceAccountToken": pod.get("automountServiceAccountToken") is False,
    }
    for container in (*pod["containers"], *pod.get("initContainers", ())):
        context = container.get("securityContext", {})
        asked |= {
            "readOnlyRootFilesystem": context.get("readOnlyRootFilesystem") is True,
            "allowPrivilegeEscalation": context.get("allowPrivilegeEscalation") is False,
            "capabilities": context.get("capabilities") == {"drop": ["ALL"]},
            "privileged": not context.get("privileged"),
            "limits": "memory" in container.get("resources", {}).get("limits", {}),
        }
    return [*faults, *(name for name, holds in asked.items() if not holds)]


def faults_of_dockerfile(text: str) -> list[str]:
    """Name what a Dockerfile does that it should not."""
    final = re.split(r"^FROM .*$", text.replace("\\\n", " "), flags=re.MULTILINE)[-1]
    users = re.findall(r"^USER (.*)$", final, re.MULTILINE)
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    holds = {
        "user": bool(users) and bool(re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])),
        "add": not any(line.startswith("ADD ") for line in lines),
        "secret": not any(SECRET.search(line) for line in lines),
        "pip": not re.search(r"\bpip\b", final),
        "hashes": all(
            "--require-hashes" in one or "--no-index" in one
            for one in re.findall(
                r"\bpip\b(?:(?!&&).)* install (?:(?!&&).)*", text.replace("\\\n", " ")
            )
        ),
        "setuid": "chmod a-s" in final,
    }
    return [name for name, one in holds.items() if not one]


def hadolint(*files: Path) -> str:
    """Run hadolint and give what it found."""
    done = subprocess.run([HADOLINT, *files], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done
    return done.stdout


def test_f7_the_image_is_strict(form: Form, reached: Reached) -> None:
    """Uid above 0, read-only root, no capabilities, no new privileges; hadolint finds nothing.

    The long form builds the image and runs it so (`make image-test`).
    """
    found = hadolint(*(ROOT / name for name in DOCKERFILES))
    assert found == ""
    for name in DOCKERFILES:
        assert faults_of_dockerfile((ROOT / name).read_text(encoding="utf-8")) == [], name
    made = [pod for manifest in MANIFESTS for pod in pods(manifest)]
    assert [faults_of_pod(pod) for pod in made] == [[]] * len(MANIFESTS)
    built = "not built"
    if form(quick=False, long=True):
        make = shutil.which("make")
        assert make is not None
        done = subprocess.run(
            [make, "image-test"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=IMAGE_TEST_S,
        )
        assert done.returncode == 0, done.stdout[-5_000:]
        built = f"{len(re.findall('^ok ', done.stdout, re.MULTILINE))} checks in containers hold"
    reached("F7", f"hadolint 0 in {len(DOCKERFILES)} files, {len(made)} pods strict, {built}")


LOOSENED: dict[str, Callable[[dict[str, Any]], object]] = {
    "runAsNonRoot": lambda pod: pod["securityContext"].pop("runAsNonRoot"),
    "runAsUser": lambda pod: pod["securityContext"].update(runAsUser=0),
    "runAsGroup": lambda pod: pod["securityContext"].pop("runAsGroup"),
    "seccompProfile": lambda pod: pod["securityContext"].pop("seccompProfile"),
    "automountServiceAccountToken": lambda pod: pod.pop("automountServiceAccountToken"),
    "hostNetwork": lambda pod: pod.update(hostNetwork=True),
    "volume host": lambda pod: pod["volumes"].append({"name": "host", "hostPath": {"path": "/"}}),
    "readOnlyRootFilesystem": lambda pod: own(pod).pop("readOnlyRootFilesystem"),
    "allowPrivilegeEscalation": lambda pod: own(pod).update(allowPrivilegeEscalation=True),
    "capabilities": lambda pod: own(pod).update(capabilities={"drop": ["ALL"], "add": ["NET_RAW"]}),
    "privileged": lambda pod: own(pod).update(privileged=True),
    "limits": lambda pod: pod["containers"][0].pop("resources"),
}


def own(pod: dict[str, Any]) -> dict[str, Any]:
    """Give the security context of a pod's first container."""
    context: dict[str, Any] = pod["containers"][0]["securityContext"]
    return context


@pytest.mark.parametrize("manifest", MANIFESTS)
@pytest.mark.parametrize("fault", sorted(LOOSENED))
def test_f7_a_pod_that_may_more_is_seen(manifest: str, fault: str) -> None:
    """Each of the limits, taken away, is named."""
    (pod,) = copy.deepcopy(pods(manifest))
    LOOSENED[fault](pod)
    assert faults_of_pod(pod) == [fault]


@pytest.mark.parametrize(
    ("fault", "before", "after"),
    [
        ("user", "USER 10001:10001", "USER root"),
        ("user", "USER 10001:10001", ""),
        ("secret", "ENV PATH", "ENV API_KEY=abc PATH"),
        ("add", "COPY src src", "ADD https://example.org/src.tar src"),
        ("hashes", "--require-hashes ", ""),
        ("setuid", "RUN find / -xdev -type f -perm /6000 -exec chmod a-s {} +", ""),
    ],
)
@pytest.mark.parametrize("name", DOCKERFILES)
def test_f7_a_loose_dockerfile_is_seen(name: str, fault: str, before: str, after: str) -> None:
    """Each fault is named."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert before in text
    assert faults_of_dockerfile(text.replace(before, after)) == [fault]


@pytest.mark.parametrize(
    ("rule", "line"),
    [("DL3002", "USER root"), ("DL3020", "ADD x /x"), ("DL3009", "RUN apt-get update")],
)
def test_f7_hadolint_sees_a_fault(tmp_path: Path, rule: str, line: str) -> None:
    """It is run for real, and finds what is planted."""
    file = tmp_path / "Dockerfile"
    file.write_text(f"{(ROOT / 'Dockerfile').read_text(encoding='utf-8')}{line}\n")
    assert rule in hadolint(file)


def test_f7_what_must_not_be_in_an_image_is_seen(tmp_path: Path) -> None:
    """Compilers, caches, keys and set-uid programs, planted into files as an image has them."""
    looks = (contents.builders, contents.leftovers, contents.secrets, contents.privileged)
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/python3").write_text("")
    assert [look(tmp_path) for look in looks] == [[], [], [], []]
    planted = {
        "usr/bin/x86_64-linux-gnu-gcc-12": "",
        "root/.cache/pip": "",
        "etc/key.pem": "-----BEGIN PRIVATE {}-----\n{}\n".format("KEY", "A" * 64),
        "usr/bin/su": "",
    }
    for name, text in planted.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "usr/bin/su").chmod(0o4755)
    places = [str(tmp_path / name) for name in planted]
    assert contents.builders(tmp_path) == ["x86_64-linux-gnu-gcc-12"]
    assert [look(tmp_path) for look in looks[1:]] == [[one] for one in places[1:]]
