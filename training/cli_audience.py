"""The commands `micromoment audience ...`: thin layers over `training.audiences`."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from micromoment.cli import WORKSPACE
from training.cli_shared import (
    Features,
    IdKeys,
    KnownIds,
    OriginalIdsFlag,
    bundle_folder,
    day_of,
    ids_of,
    without_erased,
)

console = Console(stderr=True)
audience = typer.Typer(
    help="Who is in a bundle's audiences, and how large they are.", no_args_is_help=True
)

Bundle = Annotated[str, typer.Option(help="Bundle, name:version or name:latest.")]
Events = Annotated[Path, typer.Option(help="Folder of events, earlier days included.")]
From = Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")]
To = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day, included.")]
Store = Annotated[Path | None, typer.Option(help="Folder of the bundle store.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes.")]


@audience.command("list")
def list_audiences(bundle: Bundle = "shop:latest", store: Store = None) -> None:
    """Show a bundle's audiences: who is in them, and how large they were at training."""
    from micromoment.scoring.audiences import read_audiences  # noqa: PLC0415 - heavy imports
    from micromoment.scoring.manifest import read_manifest  # noqa: PLC0415
    from training.audiences.tables import audiences_table  # noqa: PLC0415
    from training.segments.portraits import portraits_of  # noqa: PLC0415

    folder = bundle_folder(bundle, store)
    manifest = read_manifest(folder)
    if manifest.audiences is None:
        typer.echo(f"{manifest.tag} has no audiences")
        return
    file = read_audiences(folder / manifest.audiences)
    portraits = portraits_of(folder)
    Console().print(audiences_table(file, portraits))
    if not portraits:
        console.print("Sizes are not known: the bundle was trained before they were kept.")


@audience.command("export")
def export_audience(
    events: Events,
    from_: From,
    audience: Annotated[str, typer.Option(help="The audience's id; see `audience list`.")],
    to: To = None,
    out: Annotated[
        Path | None, typer.Option(help="CSV file to write; standard output if not given.")
    ] = None,
    at_end: Annotated[
        bool, typer.Option("--at-end", help="Only who is in it at their last decision point.")
    ] = False,
    for_ads: Annotated[
        bool,
        typer.Option("--for-ads", help="Leave out who denied ads or opted out of sale as well."),
    ] = False,
    bundle: Bundle = "shop:latest",
    store: Store = None,
    workers: Workers = 2,
    features: Features = WORKSPACE,
    id_keys: IdKeys = None,
    original_ids: OriginalIdsFlag = False,
    known_ids: KnownIds = None,
) -> None:
    """Write the members of an audience as CSV, without those who denied personalization."""
    from training.audiences.csv_file import write_members  # noqa: PLC0415 - heavy imports
    from training.audiences.run import AudienceRequest, export_members  # noqa: PLC0415
    from training.outputs import prepare_file  # noqa: PLC0415
    from training.progress import Steps  # noqa: PLC0415

    if out is not None:
        prepare_file(out)
    without_erased(events, features, id_keys)
    request = AudienceRequest(
        bundle_folder(bundle, store),
        events,
        from_.date(),
        day_of(to),
        ids=ids_of(id_keys),
        workers=workers,
        original_ids=original_ids,
        known_ids=known_ids,
    )
    found = export_members(request, audience, at_end=at_end, for_ads=for_ads, steps=Steps(console))
    with out.open("w", encoding="utf-8", newline="") if out else nullcontext(sys.stdout) as file:
        guarded = write_members(found.frame, file)
    left_out = sum(found.left_out.values())
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in found.left_out.items() if n)
    console.print(
        f"{found.points:,} decision points of {found.visitors:,} visitors read; "
        f"{len(found.frame) + left_out:,} in {audience}, {left_out:,} left out"
        f"{f' ({reasons})' if reasons else ''}, {len(found.frame):,} written"
    )
    if guarded:
        console.print(f"{guarded:,} cells begin like a formula and have an apostrophe before them")


@audience.command("sizes")
def audience_sizes(
    events: Events,
    from_: From,
    to: To = None,
    out: Annotated[Path | None, typer.Option(help="Folder for sizes.json and sizes.html.")] = None,
    bundle: Bundle = "shop:latest",
    store: Store = None,
    workers: Workers = 2,
    features: Features = WORKSPACE,
    id_keys: IdKeys = None,
) -> None:
    """Show how large clusters and audiences are day by day."""
    from micromoment.scoring.bundle import load_bundle  # noqa: PLC0415 - heavy imports
    from training.audiences.page import write_sizes  # noqa: PLC0415
    from training.audiences.run import (  # noqa: PLC0415
        AudienceRequest,
        measure_sizes,
        segment_names,
    )
    from training.audiences.tables import sizes_table  # noqa: PLC0415
    from training.outputs import make_folder  # noqa: PLC0415
    from training.progress import Steps  # noqa: PLC0415

    if out is not None:
        make_folder(out)
    without_erased(events, features, id_keys)
    request = AudienceRequest(
        bundle_folder(bundle, store),
        events,
        from_.date(),
        day_of(to),
        ids=ids_of(id_keys),
        workers=workers,
    )
    sizes = measure_sizes(request, Steps(console))
    Console().print(sizes_table(sizes))
    if out is not None:
        loaded = load_bundle(request.bundle)
        title = f"Sizes of segments: {loaded.tag}"
        console.print(f"page: {write_sizes(sizes, segment_names(loaded), out, title)}")
