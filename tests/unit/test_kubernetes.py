"""The CronJob that retrains: what Kubernetes would refuse, and what the command line would."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from training import cli_promotion

ROOT = Path(__file__).parents[2]
JOB: dict[str, Any] = yaml.safe_load((ROOT / "deploy/kubernetes/retrain-cronjob.yaml").read_text())
RUN: dict[str, Any] = JOB["spec"]["jobTemplate"]["spec"]
POD: dict[str, Any] = RUN["template"]["spec"]
(CONTAINER,) = POD["containers"]


def test_one_run_at_a_time() -> None:
    """A night is never begun while the one before is at work, and none lasts for ever."""
    assert (JOB["apiVersion"], JOB["kind"]) == ("batch/v1", "CronJob")
    assert JOB["spec"]["concurrencyPolicy"] == "Forbid"
    assert re.fullmatch(r"\S+( \S+){4}", JOB["spec"]["schedule"])
    assert 0 < RUN["activeDeadlineSeconds"] < 24 * 3_600
    assert RUN["backoffLimit"] >= 1
    # Of a failure policy Kubernetes asks that pods are not restarted in place.
    assert POD["restartPolicy"] == "Never"


def test_a_refusal_is_not_tried_again() -> None:
    """The status of a refusal ends the job; it names the container that there is."""
    rule = RUN["podFailurePolicy"]["rules"][0]
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"]["values"] == [cli_promotion.REFUSED]
    assert rule["onExitCodes"]["containerName"] == CONTAINER["name"]


def test_it_is_strict() -> None:
    """No root, no capabilities, a read-only root, no account, and bounds for memory and disk."""
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["securityContext"]["runAsUser"] == POD["securityContext"]["fsGroup"] == 10_001
    assert POD["automountServiceAccountToken"] is False
    assert POD["enableServiceLinks"] is False
    own = CONTAINER["securityContext"]
    assert own["readOnlyRootFilesystem"] is True
    assert own["allowPrivilegeEscalation"] is False
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert {"memory", "ephemeral-storage"} <= CONTAINER["resources"]["limits"].keys()


def test_every_folder_is_mounted() -> None:
    """Each option's folder is a mount, each mount a volume; temporary files have room."""
    mounts = {one["mountPath"]: one["name"] for one in CONTAINER["volumeMounts"]}
    assert set(mounts.values()) == {one["name"] for one in POD["volumes"]}
    folders = re.findall(r"=(/\S+)", " ".join(CONTAINER["args"]))
    assert folders
    assert {*folders, "/tmp"} <= mounts.keys()  # noqa: S108 - the container's
    written = {one["mountPath"] for one in CONTAINER["volumeMounts"] if not one.get("readOnly")}
    # Events, too: training erases from them whom a server erased.
    assert {"/events", "/bundles", "/features", "/reports"} <= written
    claims = [one["persistentVolumeClaim"] for one in POD["volumes"] if "emptyDir" not in one]
    assert not [claim for claim in claims if claim.get("readOnly")]


@pytest.mark.parametrize("argument", CONTAINER["args"][1:])
def test_the_command_line_knows_its_options(argument: str) -> None:
    """Each is an option of `micromoment retrain`."""
    app = typer.Typer()
    cli_promotion.register(app)
    command = typer.main.get_command(app)
    retrain = command.commands[CONTAINER["args"][0]]  # type: ignore[attr-defined]
    options = {option for one in retrain.params for option in one.opts}
    assert argument.partition("=")[0] in options
