"""The commands for signatures of bundles: make keys, sign, tell who signed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_KEY_HELP = "Private key, as `micromoment bundle keygen` makes it."

Tag = Annotated[str, typer.Argument(help="name:version, name:latest or name:serving.")]
Store = Annotated[Path | None, typer.Option(help="Folder of the bundle store.")]

bundle = typer.Typer(no_args_is_help=True, help="Sign bundles, so that servers load no others.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(bundle, name="bundle")


@bundle.command()
def keygen(
    out: Annotated[Path, typer.Argument(help="File for the private key, not there yet.")],
) -> None:
    """Make a key pair: OUT signs, OUT.pub is for the servers' setting bundle_keys."""
    from micromoment.stores.signing_keys import make_key_pair  # noqa: PLC0415 - where it is used

    public = out.with_name(f"{out.name}.pub")
    key_id = make_key_pair(out, public)
    typer.echo(f"{out} signs: keep it secret; {public} is for servers\nkey {key_id}")


@bundle.command()
def sign(
    tag: Tag,
    key: Annotated[Path, typer.Option(help=_KEY_HELP)],
    store: Store = None,
) -> None:
    """Sign a bundle of the store; earlier signatures of other keys stay."""
    from micromoment.stores.bundle_signatures import sign_bundle  # noqa: PLC0415 - where it is used
    from micromoment.stores.bundles import default_bundle_store, find_bundle  # noqa: PLC0415
    from micromoment.stores.loading import check_stored_files  # noqa: PLC0415
    from micromoment.stores.signing_keys import load_signing_key  # noqa: PLC0415

    signing = load_signing_key(key)
    folder = find_bundle(store or default_bundle_store(), tag)
    # Who signs a damaged bundle vouches for what nobody can load.
    manifest = check_stored_files(folder)
    sign_bundle(folder, manifest, signing)
    typer.echo(f"{manifest.tag} signed with key {signing.key_id}")


@bundle.command()
def verify(
    tag: Tag,
    keys: Annotated[Path, typer.Option(help="Public keys: a PEM file or a folder of them.")],
    store: Store = None,
) -> None:
    """Tell whether a server with these keys would take a bundle; status 1 where not."""
    from micromoment.stores.bundle_signatures import BundleTrust  # noqa: PLC0415 - where it is used
    from micromoment.stores.bundles import default_bundle_store, find_bundle  # noqa: PLC0415
    from micromoment.stores.loading import check_stored_files  # noqa: PLC0415

    trust = BundleTrust(keys)
    trust.read_keys()
    folder = find_bundle(store or default_bundle_store(), tag)
    manifest = check_stored_files(folder)
    trust.check(folder, manifest)
    names = [one.name for one in trust.signers(folder, manifest) if one.name]
    typer.echo(f"{manifest.tag} is signed by {', '.join(names)}")
