"""The manifests of the server: what Kubernetes would refuse, and what the server would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from micromoment.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
MANIFESTS: dict[str, dict[str, Any]] = {
    one["kind"]: one
    for one in yaml.safe_load_all((ROOT / "deploy/kubernetes/server.yaml").read_text())
}
SERVERS: dict[str, Any] = MANIFESTS["StatefulSet"]["spec"]
POD: dict[str, Any] = SERVERS["template"]["spec"]
(CONTAINER,) = POD["containers"]
IMAGE = {"MICROMOMENT_HEALTH_PORT": 50_053}  # what the Dockerfile sets
SET: dict[str, str] = {one["name"]: one.get("value", "") for one in CONTAINER["env"]}


def test_the_parts_belong_together() -> None:
    """Service and disruption budget select the pods; the set names the service."""
    labels = SERVERS["template"]["metadata"]["labels"]
    assert MANIFESTS["Service"]["spec"]["selector"] == labels
    assert MANIFESTS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert SERVERS["selector"]["matchLabels"] == labels
    assert SERVERS["serviceName"] == MANIFESTS["Service"]["metadata"]["name"]
    assert MANIFESTS["PodDisruptionBudget"]["spec"]["maxUnavailable"] < SERVERS["replicas"]
    # Clients spread calls over the pods themselves.
    assert MANIFESTS["Service"]["spec"]["clusterIP"] == "None"


def test_variables_are_settings() -> None:
    """A misspelt one would end the start."""
    assert SET.keys() <= {PREFIX + name.upper() for name in Settings.model_fields}
    assert POD["enableServiceLinks"] is False


def test_a_drain_has_time() -> None:
    """Kubernetes kills later than the server would have ended by itself."""
    drain = float(SET["MICROMOMENT_DRAIN_LAG"]) + float(SET["MICROMOMENT_DRAIN_GRACE"])
    assert POD["terminationGracePeriodSeconds"] >= drain + 2
    # Whoever watches the probe must have noticed before the port closes.
    probe = CONTAINER["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] < float(SET["MICROMOMENT_DRAIN_LAG"])


def test_probes_ask_the_port_that_is_open() -> None:
    """Readiness and start by the server's health, liveness by what no dependency decides."""
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    fields = Settings.model_fields
    assert ports == {
        "grpc": fields["port"].default,
        "metrics": fields["metrics_port"].default,
        "health": IMAGE["MICROMOMENT_HEALTH_PORT"],
    }
    probes = {
        name: CONTAINER[f"{name}Probe"]["grpc"] for name in ("startup", "readiness", "liveness")
    }
    assert {probe["port"] for probe in probes.values()} == {ports["health"]}
    assert "service" not in probes["startup"]
    assert "service" not in probes["readiness"]
    assert probes["liveness"]["service"]
    targets = {port["name"]: port["targetPort"] for port in MANIFESTS["Service"]["spec"]["ports"]}
    assert set(targets.values()) == ports.keys() - {"health"}


def test_it_is_strict() -> None:
    """No root, no capabilities, a read-only root, no account, bounds for memory and processor."""
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["securityContext"]["runAsUser"] == POD["securityContext"]["fsGroup"] == 10_001
    assert POD["automountServiceAccountToken"] is False
    own = CONTAINER["securityContext"]
    assert own["readOnlyRootFilesystem"] is True
    assert own["allowPrivilegeEscalation"] is False
    assert own["capabilities"] == {"drop": ["ALL"]}
    resources = CONTAINER["resources"]
    assert {"cpu", "memory"} <= resources["limits"].keys() & resources["requests"].keys()


def test_every_folder_is_mounted() -> None:
    """What the image names is mounted; the state is each pod's own and has room for the log."""
    mounts = {one["mountPath"]: one["name"] for one in CONTAINER["volumeMounts"]}
    claims = {one["metadata"]["name"]: one["spec"] for one in SERVERS["volumeClaimTemplates"]}
    assert set(mounts.values()) == {one["name"] for one in POD["volumes"]} | claims.keys()
    folders = {"/access", "/bundles", "/features", "/var/lib/micromoment", "/tmp"}  # noqa: S108 - the container's
    assert mounts.keys() == folders
    room = claims[mounts["/var/lib/micromoment"]]["resources"]["requests"]["storage"]
    assert int(room.removesuffix("Gi")) * 2**30 > Settings.model_fields["log_max_bytes"].default


def test_callers_need_tls_and_a_token() -> None:
    """It opens to the network with certificate and credentials of a Secret, not as insecure."""
    assert "MICROMOMENT_INSECURE" not in SET
    secret = next(one["secret"] for one in POD["volumes"] if one["name"] == "access")
    assert secret["secretName"]
    for name in ("TLS_CERTIFICATE", "TLS_KEY", "CREDENTIALS"):
        assert SET[PREFIX + name].startswith("/access/")
    # The key is for its user's group, and for nobody else.
    assert secret["defaultMode"] == 0o440
