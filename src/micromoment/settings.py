"""Everything that can be set from outside, in one frozen object.

Each field is read from the environment variable `MICROMOMENT_<FIELD>`. Times are in seconds. What
belongs to a shop (currency, time zone, end of a visit, clock skew) is no setting: its bundle
records it.
"""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Final, Literal

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from micromoment.errors import InvalidSettingError
from micromoment.faults import first_fault
from micromoment.setting_types import (
    Band,
    ConsentAnswer,
    OnWithdrawal,
    OptionalCap,
    OptionalError,
    OptionalPath,
    OptionalPort,
    OptionalSecret,
    Port,
    PositiveSeconds,
    Purposes,
    Seconds,
    SecondsOrNever,
    SessionStoreUrl,
    Share,
    default_bundle_copies,
    default_event_log,
    default_state_dir,
)
from micromoment.stores.bundles import default_bundle_store
from micromoment.stores.durability import Durability
from micromoment.stores.redis_keys import DEFAULT_PREFIX

PREFIX: Final = "MICROMOMENT_"
# Variables with the prefix that are read elsewhere: the tests' real data, a client's token.
OTHER_VARIABLES: Final = frozenset(
    {"MICROMOMENT_DATA_DIR", "MICROMOMENT_TOKEN", "MICROMOMENT_TOKEN_FILE"}
)


class Settings(BaseSettings):
    """How one server runs. Unknown names are refused."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address to listen on. Anything but loopback opens the service to the network "
        "and needs `tls_certificate` and `credentials`, or `insecure`.",
    )
    port: Port = Field(50_051, description="gRPC port. 0 takes any free one and logs it.")
    http_port: Port = Field(
        3_000, description="Port of the HTTP front door (serve-http). 0 takes any free one."
    )
    metrics_port: OptionalPort = Field(
        9_464, description="Prometheus port. 0 takes any free one; empty: no metrics."
    )
    metrics_host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address of the ports for metrics and health, which ask for no token.",
    )
    health_port: OptionalPort = Field(
        None,
        description="gRPC port with health alone and without TLS, for probes that know none. "
        "0 takes any free one and logs it; empty: health is on `port` alone.",
    )
    tls_certificate: OptionalPath = Field(
        None,
        description="The server's certificate and those between it and its issuer, PEM. Empty: "
        "the ports speak plaintext.",
    )
    tls_key: OptionalPath = Field(None, description="Its key, PEM, without a password.")
    tls_client_ca: OptionalPath = Field(
        None,
        description="Issuers of clients' certificates, PEM; clients without one are refused. "
        "Empty: none is asked for.",
    )
    credentials: OptionalPath = Field(
        None,
        description="Who may call: tokens' hashes with tenants and roles, as `micromoment token` "
        "writes them. Empty: whoever reaches the port, all of them as the tenant `default`.",
    )
    insecure: bool = Field(
        False,
        description="Listen beyond loopback without TLS or credentials, and warn at each start.",
    )
    admin_port: OptionalPort = Field(
        50_052,
        description="gRPC port for operators, on the loopback address whatever `host` is. 0 takes "
        "any free one and logs it; empty: bundles can't be activated by a call.",
    )
    bundle: str = Field(
        "shop:latest", min_length=1, description="Bundle to serve, as name:version or name:latest."
    )
    bundle_poll: SecondsOrNever = Field(
        0.0,
        description="Seconds between two looks at what `bundle` names; another one is activated. "
        "0 or empty: it is named at the start and by a call alone.",
    )
    bundle_store: Path = Field(
        default_factory=default_bundle_store,
        description="Folder `models` of the BentoML store that holds the bundle.",
    )
    bundle_keys: OptionalPath = Field(
        None,
        description="Public keys, a PEM file or a folder of them: a bundle answers only if one of "
        "them signed it. They are read anew for each bundle. Empty: any bundle answers.",
    )
    feature_store: OptionalPath = Field(
        None,
        description="Feature workspace with the users' features. Empty: every visit lacks them, "
        "and every reply says so.",
    )
    feature_tenant: str = Field(
        "default",
        pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$",
        description="Tenant whose visitors the feature workspace knows; all others' are unknown.",
    )
    user_feature_timeout: PositiveSeconds = Field(
        0.05, description="Longest wait for a user's features; a visit that waited lacks them."
    )
    max_user_feature_age: PositiveSeconds = Field(
        172_800.0, description="User features older than this at take-up are called stale."
    )
    session_store: SessionStoreUrl = Field(
        None,
        description="Where sessions are kept: `memory` or empty, for this server alone, or a "
        "Redis for all that name it, redis://[user:password@]host:port[/db], rediss:// with TLS.",
    )
    session_timeout: PositiveSeconds = Field(
        0.05,
        description="Longest round trip to Redis. A call that waited for one longer is answered "
        "from its own events alone.",
    )
    session_prefix: str = Field(
        DEFAULT_PREFIX,
        max_length=64,
        description="What keys in Redis begin with. Servers share sessions when it is the same.",
    )
    max_sessions: int = Field(
        200_000,
        ge=1,
        description="Sessions in this server's memory, 2.9 KB each. Beyond it one that had a "
        "single call makes room, else the least recently used; it is lost, or with Redis read "
        "from there.",
    )
    max_sessions_per_tenant: OptionalCap = Field(
        None,
        description="Those of one tenant, who beyond it loses its own. Empty: as many as "
        "`max_sessions`. Not with Redis.",
    )
    session_ttl: PositiveSeconds = Field(
        7_200.0,
        description="A session unused for this long is forgotten; in Redis its events alone count "
        "as use. Above the end of a session (the bundle's session_expiry_s), or visits are cut "
        "short.",
    )
    state_dir: Path = Field(
        default_factory=default_state_dir, description="Folder for what outlives a restart."
    )
    state_file: OptionalPath = Field(
        None,
        description="Where sessions in memory are kept over a restart, one file per server. "
        "Empty: they are lost. Not with Redis, which keeps them anyway.",
    )
    event_log: OptionalPath = Field(
        default_factory=default_event_log,
        description="Folder of the event log, one per server, by default in state_dir. Visits are "
        "logged in it, or with Redis there. Empty: nothing is logged, sessions do not outlive a "
        "crash, and events outside a visit are refused.",
    )
    durability: Durability = Field(
        "commit",
        description="When a call is answered: `commit` when its events are written, so that they "
        "outlive the process, `fsync` when they are on the disk and outlive a power cut, `async` "
        "at once. Not with Redis, whose own settings decide.",
    )
    log_scores: Share = Field(
        1.0, description="Share of sessions, 0 to 1, whose served scores are logged."
    )
    log_features: Share = Field(
        0.1, description="Share of sessions, 0 to 1, whose feature vectors are logged with them."
    )
    log_segment_bytes: int = Field(
        268_435_456, ge=65_536, description="Size at which the log goes on in a new file."
    )
    log_retention: PositiveSeconds = Field(
        2_592_000.0,
        description="Files of the log whose last event is older are removed; in Redis, entries.",
    )
    log_max_bytes: int = Field(
        17_179_869_184,
        ge=131_072,
        description="Size of the whole log beyond which its oldest files go. Not in Redis.",
    )
    log_max_entries: int = Field(
        1_000_000,
        ge=1_000,
        description="Calls in the log beyond which the oldest are removed, in Redis alone.",
    )
    outside_retention: PositiveSeconds = Field(
        34_560_000.0, description="Events from outside visits that are older are removed."
    )
    tombstone_retention: PositiveSeconds = Field(
        7_776_000.0,
        description="For how long it is remembered who was erased, by hashes: events from before "
        "that come later than this after the erasure are taken as anybody's.",
    )
    bundle_copies: OptionalPath = Field(
        default_factory=default_bundle_copies,
        description="Folder for a copy of the bundle that answers, by default in state_dir: a "
        "server starts with it where the store is gone. Empty: it does not start then.",
    )
    id_key_file: OptionalPath = Field(
        None,
        description="Keys that turn ids into pseudonyms, one `key_id:secret` a line, the current "
        "one first. Empty: ids are kept as they come.",
    )
    id_keys: OptionalSecret = Field(
        None,
        description="The same keys themselves, with white space between them, in place of a file. "
        "Never logged.",
    )
    consent_default_analytics: ConsentAnswer = Field(
        "granted",
        description="What counts where neither an event nor its request nor its session says "
        "whether the visit may be measured. `denied`: nothing is kept before consent comes.",
    )
    consent_default_personalization: ConsentAnswer = Field(
        "granted",
        description="The same for acting on scores. `denied`: no actions, audiences, segment.",
    )
    consent_default_ads: ConsentAnswer = Field(
        "granted", description="The same for advertising; it is told again in replies."
    )
    global_privacy_control_denies: Purposes = Field(
        frozenset(),
        description="What Global Privacy Control denies beside ads, separated by commas: "
        "personalization, analytics. Empty: ads alone.",
    )
    on_withdrawal: OnWithdrawal = Field(
        "erase",
        description="What becomes of a session's earlier rows in the event log when analytics are "
        "denied in it: `erase` or `keep`. Its state is deleted always.",
    )
    abstain_below_evidence: int = Field(
        0,
        ge=0,
        description="With fewer events than this in the visit, `evidence.abstain` advises not to "
        "act on a conversion. 0: never for that.",
    )
    abstain_above_calibration_error: OptionalError = Field(
        None,
        description="The same where the calibration error that training measured at so many "
        "events is above this, 0 to 1, or was not measured. Empty: never for that.",
    )
    abstain_within: Band = Field(
        None,
        description="The same where the conversion lies in this band, low:high, both ends in it: "
        "set it around the probability at which the shop decides. Empty: never for that.",
    )
    abstain_degraded: bool = Field(
        False,
        description="The same where events of the visit are lost or unavailable, or user features "
        "unavailable.",
    )
    default_deadline: PositiveSeconds = Field(
        1.0, description="Longest time for a call whose client set no deadline."
    )
    max_concurrent: int = Field(
        512, ge=1, description="Calls under way at once; one more is refused likewise."
    )
    max_wait: PositiveSeconds = Field(
        0.02,
        description="When calls wait longer than this for the processor, a part of them is refused "
        "with RESOURCE_EXHAUSTED.",
    )
    max_waiting: int = Field(
        256,
        ge=16,
        description="Calls that wait for the processor; beyond it gRPC drops some, and beyond a "
        "quarter more all, as CANCELLED.",
    )
    max_streams: int = Field(
        256, ge=1, description="Streams of StreamScores open at once; one more is refused likewise."
    )
    stream_idle: PositiveSeconds = Field(
        300.0,
        description="A stream on which nothing comes and nothing is read for this long is ended.",
    )
    stream_stall: PositiveSeconds = Field(
        30.0, description="A stream whose peer does not read an answer for this long is broken off."
    )
    drain_lag: Seconds = Field(
        2.0,
        description="From NOT_SERVING to closing the port: what a balancer needs to notice.",
    )
    drain_grace: Seconds = Field(
        10.0, description="Longest wait for calls in flight when the port has closed."
    )
    reflection: bool = Field(True, description="Let clients such as grpcurl list the services.")
    traces: bool = Field(
        False,
        description="Send OpenTelemetry traces of calls, to where the variables `OTEL_*` say. "
        "Needs the extra `traces`.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity that is logged."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="`auto` is console on a terminal and JSON elsewhere."
    )

    @field_validator("max_sessions_per_tenant", "state_file")
    @classmethod
    def _is_memory_s(cls, value: object, info: ValidationInfo) -> object:
        if value is not None and info.data.get("session_store") is not None:
            raise ValueError("must be empty: sessions are kept in session_store")
        return value

    @model_validator(mode="after")
    def _is_whole_tls(self) -> Settings:
        given = self.tls_certificate, self.tls_key
        # pydantic would tell of no setting: it is none of them alone that is wrong.
        if (given[0] is None) != (given[1] is None):
            there, missing = "tls_certificate", "tls_key"
            if given[0] is None:
                there, missing = missing, there
            raise InvalidSettingError(there, f"{missing} must be set too: they belong together")
        if self.tls_client_ca is not None and given[0] is None:
            raise InvalidSettingError(
                "tls_client_ca", "tls_client_ca needs tls_certificate and tls_key"
            )
        return self


def load_settings(**given: object) -> Settings:
    """Read the settings; `given` ones, named as the fields, go before the environment.

    Raises `InvalidSettingError` for a bad value and for a variable `MICROMOMENT_*` that is none.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields} | OTHER_VARIABLES
    ours = sorted(name for name in os.environ if name.upper().startswith(PREFIX))
    unknown = [name for name in ours if name.upper() not in known]
    if unknown:
        near = get_close_matches(unknown[0].upper(), known, 1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise InvalidSettingError(
            ", ".join(unknown), f"unknown{meant}; docs/operations.md lists them all"
        )
    try:
        return Settings(**given)  # type: ignore[arg-type] # pydantic judges them
    except ValidationError as error:
        raise InvalidSettingError(*first_fault(error)) from None
