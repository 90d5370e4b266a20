"""The commands of the privacy office at a server with TLS and tokens."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from micromoment.bootstrap import make_service
from micromoment.errors import ServerCallError
from micromoment.security.callers import Role
from micromoment.settings import Settings
from tests.support.certificates import authority, files_in, issued
from tests.support.serving import SlowUsers
from tests.support.tiny_bundle import make_tiny_store
from tests.support.tokens import Tokens
from training.cli_privacy import register


async def run(*arguments: str, variables: dict[str, str] | None = None) -> Result:
    """Run a command from another thread."""
    app = typer.Typer()
    register(app)
    return await asyncio.to_thread(CliRunner().invoke, app, arguments, env=variables or {})


async def test_a_server_is_asked_over_tls_with_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the issuer and a token of the role privacy; with another role it is one line."""
    monkeypatch.chdir(tmp_path)  # no feature workspace in sight
    bundle = make_tiny_store(tmp_path / "store")
    issuer = authority()
    files = files_in(tmp_path)
    files.write(issued(issuer))
    (tmp_path / "issuer.pem").write_bytes(issuer.pem)
    tokens = Tokens(tmp_path / "credentials.json")
    for role in (Role.PRIVACY, Role.SCORE):
        (tmp_path / role).write_text(tokens.new(roles=[role]))
    settings = Settings(
        port=0,
        metrics_port=None,
        admin_port=None,
        bundle=bundle.tag,
        bundle_store=tmp_path / "store",
        state_dir=tmp_path / "state",
        drain_lag=0.0,
        credentials=tokens.path,
        tls_certificate=files.certificate,
        tls_key=files.key,
    )
    service = make_service(settings, users=SlowUsers())
    await service.listen()
    try:
        await service.load()
        there = ("--user-id", "u1", "--server", f"localhost:{service.port}")
        known = (*there, "--ca", "issuer.pem", "--token-file")
        erased = await run("erase", *known, Role.PRIVACY)
        told = await run("export-user", *known, Role.PRIVACY)
        by_variable = await run(
            "erase", *known[:-1], variables={"MICROMOMENT_TOKEN": tokens.made[0]}
        )
        other_role = await run("erase", *known, Role.SCORE)
        plain = await run("erase", *there, "--token-file", Role.PRIVACY)
    finally:
        await service.drain()
    for done in (erased, told, by_variable):
        assert done.exit_code == 0, (done.output, done.exception)
    assert "0 sessions" in erased.output
    rows = [line for line in told.stdout.splitlines() if line.startswith('{"held_in"')]
    assert all(json.loads(line)["held_in"].startswith("localhost:") for line in rows)
    for done in (other_role, plain):
        assert isinstance(done.exception, ServerCallError)
    assert "lacks the role privacy" in str(other_role.exception)
