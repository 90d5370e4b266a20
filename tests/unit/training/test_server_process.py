"""What a server that the tools start takes over from the environment: nothing that answers show."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from micromoment.settings import OTHER_VARIABLES, PREFIX, Settings
from training.server_process import HttpServerProcess, ServerProcess

# What each setting is to a server that a tool starts. A new one must be put somewhere.
NAMED_BY_THE_TOOL = {"bundle", "bundle_store", "feature_store", "state_dir", "port", "http_port"}
FOR_THIS_MACHINE_ALONE = {
    "host": "127.0.0.1",
    "metrics_port": None,
    "admin_port": None,
    "health_port": None,
    "tls_certificate": None,
    "tls_key": None,
    "tls_client_ca": None,
    "credentials": None,
}
# Values that would be seen in answers, or would keep visits where others' are.
SEEN_IN_ANSWERS = {
    "abstain_above_calibration_error": "0.5",
    "abstain_below_evidence": "9",
    "abstain_degraded": "true",
    "abstain_within": "0.1:0.9",
    "bundle_copies": "/elsewhere",
    "bundle_keys": "/elsewhere",
    "bundle_poll": "5",
    "consent_default_ads": "denied",
    "consent_default_analytics": "denied",
    "consent_default_personalization": "denied",
    "event_log": "/elsewhere",
    "feature_tenant": "another",
    "global_privacy_control_denies": "analytics",
    "id_key_file": "/elsewhere",
    "id_keys": "k1:a-secret-of-another-shop",
    "max_sessions": "1",
    "max_sessions_per_tenant": "1",
    "max_user_feature_age": "1",
    "on_withdrawal": "keep",
    "session_prefix": "others:",
    "session_store": "redis://others:6379",
    "session_timeout": "0.001",
    "session_ttl": "1",
    "state_file": "/elsewhere",
    "tombstone_retention": "1",
    "user_feature_timeout": "0.001",
}
# How long, how much and how loud; whether a call is refused, never what is answered.
NOT_SEEN = {
    "default_deadline", "drain_grace", "drain_lag", "durability", "insecure", "log_features",
    "log_format", "log_level", "log_max_bytes", "log_max_entries", "log_retention", "log_scores",
    "log_segment_bytes", "max_concurrent", "max_streams", "max_wait", "max_waiting",
    "metrics_host", "outside_retention", "reflection", "stream_idle", "stream_stall", "traces",
}  # fmt: skip


def test_each_setting_has_its_place() -> None:
    """Whoever adds a setting says whether answers show it."""
    places = [NAMED_BY_THE_TOOL, FOR_THIS_MACHINE_ALONE, SEEN_IN_ANSWERS, NOT_SEEN]
    names = [name for place in places for name in place]
    assert sorted(names) == sorted(Settings.model_fields)


@pytest.mark.parametrize("kind", [ServerProcess, HttpServerProcess])
def test_answers_are_those_of_the_defaults(
    kind: type[ServerProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the environment says; what changes no answer is taken from there."""
    default = _settings(monkeypatch, {f"{PREFIX}STATE_DIR": str(tmp_path)})
    for name, value in SEEN_IN_ANSWERS.items():
        monkeypatch.setenv(PREFIX + name.upper(), value)
    monkeypatch.setenv("micromoment_id_keys", "k2:a-secret-in-small-letters")
    for name in FOR_THIS_MACHINE_ALONE:
        monkeypatch.setenv(PREFIX + name.upper(), "1")
    monkeypatch.setenv(f"{PREFIX}LOG_LEVEL", "error")
    process = kind({"state_dir": tmp_path})
    served = _settings(monkeypatch, process.environment)
    for name in SEEN_IN_ANSWERS:
        assert getattr(served, name) == getattr(default, name), name
    assert {name: getattr(served, name) for name in FOR_THIS_MACHINE_ALONE} == (
        FOR_THIS_MACHINE_ALONE
    )
    assert served.log_level == "error"


def test_what_the_tool_gives_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the parity check gives keys, or a store of sessions."""
    monkeypatch.setenv(f"{PREFIX}ID_KEYS", "k1:a-secret-of-another-shop")
    process = ServerProcess({"id_keys": "k2:a-secret-of-the-check", "state_dir": tmp_path})
    served = _settings(monkeypatch, process.environment)
    assert served.id_keys is not None
    assert served.id_keys.get_secret_value() == "k2:a-secret-of-the-check"


def _settings(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Settings:
    with monkeypatch.context() as inside:
        for name in list(os.environ):
            if name.upper().startswith(PREFIX) and name not in OTHER_VARIABLES:
                inside.delenv(name)
        for name, value in environment.items():
            if name.upper().startswith(PREFIX):
                inside.setenv(name, value)
        return Settings()
