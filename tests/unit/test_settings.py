"""Settings: read strictly, documented completely."""

from __future__ import annotations

from pathlib import Path

import pytest

from micromoment.errors import InvalidSettingError
from micromoment.settings import PREFIX, Settings, load_settings

DOCS = Path(__file__).parents[2] / "docs" / "operations.md"


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take this project's variables away."""
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)


def test_the_service_listens_on_loopback_unless_told_otherwise() -> None:
    """The defaults open nothing to the network."""
    settings = load_settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 50_051)


def test_what_is_given_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command line's option wins over a variable, a variable over the default."""
    monkeypatch.setenv("MICROMOMENT_PORT", "1")
    monkeypatch.setenv("MICROMOMENT_HOST", "::1")
    settings = load_settings(port=2)
    assert (settings.host, settings.port) == ("::1", 2)


def test_an_empty_variable_switches_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics and the event log are on by default and can be turned off."""
    assert load_settings().event_log is not None
    monkeypatch.setenv("MICROMOMENT_METRICS_PORT", "")
    monkeypatch.setenv("MICROMOMENT_EVENT_LOG", "")
    settings = load_settings()
    assert (settings.metrics_port, settings.event_log) == (None, None)


def test_the_event_log_is_in_the_state_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Moving the folder moves the log."""
    monkeypatch.setenv("MICROMOMENT_STATE_DIR", "/var/lib/micromoment")
    assert load_settings().event_log == Path("/var/lib/micromoment/event_log")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "65536"),
        ("PORT", "x"),
        ("DRAIN_LAG", "-1"),
        ("DRAIN_GRACE", "inf"),
        ("MAX_SESSIONS", "0"),
        ("MAX_SESSIONS_PER_TENANT", "0"),
        ("LOG_LEVEL", "loud"),
        ("HOST", ""),
        ("ABSTAIN_BELOW_EVIDENCE", "-1"),
        ("ABSTAIN_ABOVE_CALIBRATION_ERROR", "1.5"),
        ("ABSTAIN_WITHIN", "0.4"),
        ("ABSTAIN_WITHIN", "0.4:0.3"),
        ("ABSTAIN_WITHIN", "0.4:1.2"),
        ("ABSTAIN_WITHIN", "nan:1"),
        ("ABSTAIN_WITHIN", "a:b"),
        ("ABSTAIN_WITHIN", "0.1:0.2:0.3"),
    ],
)
def test_a_bad_value_names_its_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """The error names the setting that can't be."""
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(InvalidSettingError, match=name.lower()):
        load_settings()


def test_a_misspelt_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable with the prefix that is no setting is an error; the tests' own is none."""
    monkeypatch.setenv("MICROMOMENT_DATA_DIR", "/data")
    monkeypatch.setenv("MICROMOMENT_DRAINLAG", "1")
    with pytest.raises(InvalidSettingError, match="MICROMOMENT_DRAINLAG") as caught:
        load_settings()
    assert "DATA_DIR" not in str(caught.value)


def test_a_misspelt_variable_is_told_what_it_may_stand_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one is near; what is like none gets no guess."""
    monkeypatch.setenv("MICROMOMENT_CREDENTAILS", "c.json")
    with pytest.raises(InvalidSettingError, match=r"mean MICROMOMENT_CREDENTIALS\?;"):
        load_settings()
    monkeypatch.delenv("MICROMOMENT_CREDENTAILS")
    monkeypatch.setenv("MICROMOMENT_QQQQQQQQQQQQQQQQ", "1")
    with pytest.raises(InvalidSettingError) as caught:
        load_settings()
    assert "mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("LOG_RETENTION", "30d", "log_retention: must be a number of seconds; a day has 86400"),
        ("DRAIN_LAG", "soon", "drain_lag: must be a number of seconds; a day has 86400"),
        ("BUNDLE_POLL", "1m", "bundle_poll: must be a number of seconds; a day has 86400"),
        ("SESSION_STORE", "memroy", "session_store: must be memory, redis://"),
        ("TLS_CERTIFICATE", "c.crt", "tls_certificate: tls_key must be set too"),
        ("TLS_KEY", "c.key", "tls_key: tls_certificate must be set too"),
        ("TLS_CLIENT_CA", "ca.crt", "tls_client_ca: tls_client_ca needs tls_certificate"),
    ],
)
def test_a_bad_value_is_answered_in_words(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    """With the setting's name and what it wants, and none of the parser's own words."""
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(InvalidSettingError) as caught:
        load_settings()
    assert str(caught.value).startswith(f"setting {told}")


def test_a_misspelt_option_is_named() -> None:
    """An unknown name that is given in code is an error."""
    with pytest.raises(InvalidSettingError, match="prot"):
        load_settings(prot=1)


def test_settings_cannot_be_changed() -> None:
    """The object is frozen."""
    with pytest.raises(ValueError, match="frozen"):
        load_settings().port = 1  # type: ignore[misc] # on purpose


def test_every_setting_says_what_it_does() -> None:
    """Each field has a description, and the operations page lists each by its variable."""
    page = DOCS.read_text(encoding="utf-8")
    for name, field in Settings.model_fields.items():
        assert field.description
        assert f"`{PREFIX}{name.upper()}`" in page


@pytest.mark.parametrize("value", ["", "memory"])
def test_sessions_are_in_memory_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """The default, its name and the empty variable are the same."""
    assert load_settings().session_store is None
    monkeypatch.setenv("MICROMOMENT_SESSION_STORE", value)
    assert load_settings().session_store is None


def test_the_password_of_the_session_store_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the settings nor an error about them tell it."""
    url = "rediss://user:canary@host:6380/1"  # pragma: allowlist secret - made up
    monkeypatch.setenv("MICROMOMENT_SESSION_STORE", url)
    settings = load_settings()
    assert settings.session_store is not None
    assert settings.session_store.get_secret_value().endswith("canary@host:6380/1")
    assert "canary" not in f"{settings!r}{settings}{settings.model_dump_json()}"
    url = "http://user:canary@host"  # pragma: allowlist secret - made up
    monkeypatch.setenv("MICROMOMENT_SESSION_STORE", url)
    with pytest.raises(InvalidSettingError, match=r"session_store: .*redis://") as caught:
        load_settings()
    assert "canary" not in str(caught.value)


def test_a_state_file_is_for_sessions_in_memory(tmp_path: Path) -> None:
    """With sessions in Redis it would say something else than Redis does."""
    with pytest.raises(InvalidSettingError, match="state_file"):
        load_settings(session_store="redis://host", state_file=tmp_path / "sessions.bin")
    assert load_settings(state_file=tmp_path / "sessions.bin").state_file is not None


def test_a_tenants_cap_is_for_sessions_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis keeps what comes; in memory none is as many as fit, and so is the empty variable."""
    with pytest.raises(InvalidSettingError, match="max_sessions_per_tenant"):
        load_settings(session_store="redis://host", max_sessions_per_tenant=5)
    monkeypatch.setenv("MICROMOMENT_MAX_SESSIONS_PER_TENANT", "")
    assert load_settings().max_sessions_per_tenant is None
    assert load_settings(max_sessions_per_tenant=5).max_sessions_per_tenant == 5


def test_a_band_of_probability_is_two_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As low:high; the empty variable is none, and so is the default."""
    assert load_settings().abstain_within is None
    monkeypatch.setenv("MICROMOMENT_ABSTAIN_WITHIN", "0.25:.35")
    assert load_settings().abstain_within == (0.25, 0.35)
    monkeypatch.setenv("MICROMOMENT_ABSTAIN_WITHIN", "")
    monkeypatch.setenv("MICROMOMENT_ABSTAIN_ABOVE_CALIBRATION_ERROR", "")
    settings = load_settings()
    assert (settings.abstain_within, settings.abstain_above_calibration_error) == (None, None)
