"""A server with `bundle_keys` answers with signed bundles alone, however they come to it."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from typer.testing import CliRunner

from micromoment.cli import app
from micromoment.errors import BundleUntrustedError, InvalidSettingError
from micromoment.scoring.manifest import SIGNATURES_FILE
from micromoment.settings import Settings
from micromoment.stores.bundle_signatures import signed_message
from micromoment.stores.bundles import find_bundle
from micromoment.stores.loading import read_stored_manifest
from micromoment.v1 import models_pb2
from tests.support.signing import a_key, sign
from tests.support.swapping import Served, golden_visit, swapping
from tests.support.two_bundles import make_two_bundles
from training.publishing.store import point_to


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two small bundles, the first of them `serving`; nobody signed them."""
    folder = tmp_path_factory.mktemp("store")
    make_two_bundles(folder)
    return folder


@pytest.fixture
def store(originals: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(originals, tmp_path / "store"))


@pytest.fixture
def settings(store: Path, tmp_path: Path) -> Settings:
    """Settings of a server that trusts one key, which signed the bundle that it begins with."""
    sign(find_bundle(store, "shop:serving"), a_key(tmp_path, "release"))
    return Settings(
        port=0,
        metrics_port=None,
        admin_port=0,
        bundle="shop:serving",
        bundle_store=store,
        bundle_keys=tmp_path / "trusted",
        state_dir=tmp_path / "state",
        drain_lag=0.0,
        drain_grace=1.0,
    )


async def still_answers(served: Served, store: Path, tag: str, session: str) -> None:
    """Assert that a bundle answers."""
    reply = await served.scoring.score(session, golden_visit(store, tag), anonymous_id="visitor")
    assert reply.bundle == tag


async def test_only_signed_bundles_are_activated(
    settings: Settings, store: Path, tmp_path: Path
) -> None:
    """Each refusal has its name and is counted; the last good bundle answers on."""
    latest = find_bundle(store, "shop:latest")
    first = f"shop:{(store / 'shop/serving').read_text()}"
    async with swapping(settings) as served:
        code, unsigned = await served.refused("shop:latest")
        assert (code, "UNSIGNED: " in unsigned) == ("FAILED_PRECONDITION", True)
        shutil.copy(find_bundle(store, first) / SIGNATURES_FILE, latest)
        assert "WRONG_SIGNATURE: " in (await served.refused("shop:latest"))[1]
        (latest / SIGNATURES_FILE).unlink()
        stranger = a_key(tmp_path, "stranger")
        key = (tmp_path / "trusted/stranger.pub").rename(tmp_path / "stranger.pub")
        sign(latest, stranger)
        assert "UNKNOWN_KEY: " in (await served.refused("shop:latest"))[1]
        assert served.value("micromoment_activations_total", outcome="untrusted") == 3
        await still_answers(served, store, first, "before")
        key.rename(tmp_path / "trusted/stranger.pub")  # no restart is needed
        reply = await served.activate("shop:latest")
        assert reply.changed
        await still_answers(served, store, reply.bundle, "after")


async def test_a_refusal_has_its_own_reason(settings: Settings) -> None:
    """Programs tell an untrusted bundle from a damaged one by `ErrorInfo`."""
    async with swapping(settings) as served:
        request = models_pb2.ActivateBundleRequest(bundle="shop:latest", dry_run=True)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await served.models.ActivateBundle(request)
    status = Status()
    trailers: Any = caught.value.trailing_metadata()
    for key, value in trailers:
        if key == "grpc-status-details-bin":
            status.ParseFromString(value)
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.reason == "BUNDLE_UNTRUSTED"


async def test_a_poll_takes_a_bundle_once_it_is_signed(
    settings: Settings, store: Path, tmp_path: Path
) -> None:
    """A pointer that moves to an unsigned bundle changes nothing until somebody signs it."""
    second = (store / "shop/latest").read_text()
    polling = settings.model_copy(update={"bundle_poll": 0.05})
    async with swapping(polling) as served:
        point_to(store, "shop", "serving", second)
        await served.until(
            lambda: served.value("micromoment_activations_total", outcome="untrusted") == 1
        )
        command = ["bundle", "sign", "shop:latest", "--store", str(store)]
        command += ["--key", str(tmp_path / "release")]
        assert CliRunner().invoke(app, command).exit_code == 0
        name = "micromoment_bundle_info"
        await served.until(lambda: served.value(name, bundle=f"shop:{second}") == 1)
        assert served.value("micromoment_activations_total", outcome="untrusted") == 1


async def test_a_start_takes_nothing_that_is_not_signed(settings: Settings, store: Path) -> None:
    """Neither from the store nor from its own copy; with the copy signed, it starts with that."""
    signatures = find_bundle(store, "shop:serving") / SIGNATURES_FILE
    async with swapping(settings):
        pass
    signatures.unlink()
    async with swapping(settings) as served:
        await still_answers(served, store, "shop:" + signatures.parent.name, "s1")
    (copied,) = (settings.state_dir / "bundles").rglob(SIGNATURES_FILE)
    copied.unlink()
    with pytest.raises(BundleUntrustedError, match="UNSIGNED: "):
        async with swapping(settings):
            pass


async def test_keys_that_are_not_there_end_the_start(settings: Settings, tmp_path: Path) -> None:
    """The setting is named: to trust nobody is a mistake."""
    wrong = settings.model_copy(update={"bundle_keys": tmp_path / "nowhere"})
    with pytest.raises(InvalidSettingError, match=r"bundle_keys: .*can't be read"):
        async with swapping(wrong):
            pass


async def test_who_signed_is_listed(settings: Settings, store: Path, tmp_path: Path) -> None:
    """With the name of the key's file where it is trusted; anybody else is called not trusted."""
    stranger = a_key(tmp_path, "stranger")
    (tmp_path / "trusted/stranger.pub").unlink()
    sign(find_bundle(store, "shop:latest"), stranger)
    async with swapping(settings) as served:
        arguments = ["bundles", "--port", str(served.service.admin_port)]
        run = CliRunner().invoke
        shown = await asyncio.to_thread(run, app, arguments, env={"COLUMNS": "200"})
    rows = {
        line.split("shop:")[1][:16]: line for line in shown.stdout.splitlines() if "shop:" in line
    }
    serving, latest = ((store / "shop" / one).read_text() for one in ("serving", "latest"))
    assert "release (" in rows[serving]
    assert f"not trusted ({stranger.key_id[:12]})" in rows[latest]


def test_the_commands_make_keys_sign_and_verify(store: Path, tmp_path: Path) -> None:
    """What `verify` tells is what a server would do; the key is OpenSSL's kind of file."""

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["bundle", *arguments])
        return result.exit_code, result.output + str(result.exception or "")

    key = tmp_path / "release.key"
    assert run("keygen", str(key))[0] == 0
    public, place = f"{key}.pub", str(store)
    assert "UNSIGNED" in run("verify", "shop:latest", "--keys", public, "--store", place)[1]
    signed = run("sign", "shop:latest", "--key", str(key), "--store", place)
    assert signed[0] == 0, signed
    told = run("verify", "shop:latest", "--keys", public, "--store", place)
    assert told[0] == 0, told
    assert told[1].strip().endswith("is signed by release.key")
    folder = find_bundle(store, "shop:latest")
    model = folder / "conversion.txt"
    model.write_bytes(model.read_bytes() + b"\n")
    for command in (("sign", "--key", str(key)), ("verify", "--keys", public)):
        name, *options = command
        assert "damaged" in run(name, "shop:latest", *options, "--store", place)[1]


def test_openssl_agrees(store: Path, tmp_path: Path) -> None:
    """A key that OpenSSL made signs, and OpenSSL verifies what was signed."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    key, public, message, raw = (tmp_path / name for name in ("key", "pub", "message", "raw"))
    for command in (
        ["genpkey", "-algorithm", "ed25519", "-out", str(key)],
        ["pkey", "-in", str(key), "-pubout", "-out", str(public)],
    ):
        subprocess.run([openssl, *command], check=True, capture_output=True)
    folder = find_bundle(store, "shop:latest")
    done = CliRunner().invoke(
        app, ["bundle", "sign", "shop:latest", "--key", str(key), "--store", str(store)]
    )
    assert done.exit_code == 0, done.output
    from micromoment.stores.bundle_signatures import read_signatures

    manifest = read_stored_manifest(folder)
    message.write_bytes(signed_message(manifest))
    raw.write_bytes(read_signatures(folder, manifest).signatures[0].content())
    verify = ["pkeyutl", "-verify", "-pubin", "-inkey", str(public), "-rawin"]
    files = ["-in", str(message), "-sigfile", str(raw)]
    subprocess.run([openssl, *verify, *files], check=True, capture_output=True)
