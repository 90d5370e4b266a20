"""The demo: a simulated shop from its raw export to a score over gRPC, and one visit played."""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table

from micromoment.client import Client, event, item
from micromoment.v1 import events_pb2 as events_pb
from micromoment.v1 import scoring_pb2 as pb
from training.event_files import event_days
from training.importers.ga4 import import_ga4
from training.pipeline import TrainRequest, train
from training.progress import Steps
from training.server_process import ServerProcess
from training.simulator import ShopConfig, write_ga4_export

# Churn needs a week to look back on and a week to look ahead to.
DAYS: Final = 16
SESSIONS_PER_DAY: Final = 700
BUNDLE: Final = "demo"


@dataclass(frozen=True, slots=True)
class Product:
    """A product of the simulated shop: what a storefront knows of it."""

    item_id: str
    price: str
    category: str


def run_demo(folder: Path, *, once: bool, port: int) -> int:
    """Simulate, import, train, serve, play a visit; then keep serving unless `once`.

    All files go below `folder`. Gives the exit status.
    """
    console = Console()
    steps = Steps(console)
    folder.mkdir(parents=True, exist_ok=True)
    events = prepare_events(folder, steps)
    request = TrainRequest(
        events=events,
        workspace=folder / "features",
        name=BUNDLE,
        store=folder / "bundles",
    )
    report = train(request, steps)
    console.print(
        f"Trained [b]{report.tag}[/b] on {report.decision_points:,} decision points "
        f"with {report.buyers:,} orders."
    )
    settings: dict[str, str | Path | float] = {
        "bundle": report.tag,
        "bundle_store": folder / "bundles",
        "feature_store": folder / "features",
        "state_dir": folder / "state",
        "port": port,
    }
    with ServerProcess(settings, folder / "server.log") as server:
        play_visit(server.address, popular_product(events), console)
        print_how_to_serve(folder, report.tag, console)
        if once:
            return 0
        print_how_to_call(server.address, console)
        return server.wait()


def prepare_events(folder: Path, steps: Steps) -> Path:
    """Simulate a shop whose last day was yesterday and import its export."""
    export, events = folder / "export", folder / "events"
    start = datetime.now(tz=UTC).date() - timedelta(days=DAYS)
    config = ShopConfig(days=DAYS, start=start, sessions_per_day=SESSIONS_PER_DAY)
    for stale in [*export.glob("events_*.parquet"), *events.glob("*.parquet")]:
        stale.unlink()
    with steps.step(f"Simulate a shop, {DAYS} days from {start}"):
        write_ga4_export(config, export)
    with steps.step("Import the GA4 export"):
        import_ga4(str(export / "events_*.parquet"), events, currency="USD")
    return events


def popular_product(events: Path) -> Product:
    """Find the product that the last day's visitors put into the cart most often."""
    days = event_days(events)
    table = pq.read_table(_last_file(days.files), columns=["type", "items"])
    added = table.filter(pc.equal(table["type"], "cart_add"))
    items = pc.list_flatten(added["items"]).combine_chunks()
    items = items.filter(pc.greater(items.field("quantity").fill_null(0), 0))
    commonest = pc.mode(pc.dictionary_encode(items.field("item_id")).indices)[0]["mode"].as_py()
    item_id = pc.dictionary_encode(items.field("item_id")).dictionary[commonest].as_py()
    chosen = items.filter(pc.equal(items.field("item_id"), item_id))[0].as_py()
    path = chosen["category_path"] or [""]
    return Product(item_id, f"{(chosen['price_micros'] or 0) / 1e6:.2f}", path[0])


def visit_of(product: Product, start: datetime) -> Iterator[tuple[str, events_pb.Event]]:
    """Tell a visit, event by event, in plain words."""
    thing = item(product.item_id, price=product.price, category=[product.category], quantity=1)
    script = (
        (0, "lands at the front", {"t": "page_view", "page": "/", "page_type": "home"}),
        (9, "opens a category", {"t": "page_view", "page": "/apparel", "page_type": "list"}),
        (14, "looks at a product", {"t": "item_view", "items": [thing]}),
        (31, "scrolls to the end", {"t": "scroll", "scroll_percent": 90.0}),
        (58, "reads about shipping", {"t": "page_view", "page": "/help", "page_type": "policy"}),
        (96, "looks at it again", {"t": "item_view", "items": [thing]}),
        (121, "adds it to the cart", {"t": "cart_add", "items": [thing]}),
        (139, "opens the cart", {"t": "page_view", "page": "/cart", "page_type": "cart"}),
        (158, "begins the checkout", {"t": "checkout_start", "items": [thing]}),
        (201, "chooses shipping", {"t": "checkout_step"}),
        (240, "enters payment", {"t": "payment_info"}),
        (268, "orders", {"t": "purchase", "items": [thing], "value": product.price}),
    )
    for second, words, fields in script:
        kind = fields.pop("t")
        moment = start + timedelta(seconds=second)
        yield words, event(str(kind), event_time=moment, device="desktop", **fields)


def play_visit(address: str, product: Product, console: Console) -> None:
    """Send the visit one event a call and show how the answer moves."""
    session_id = f"demo-{uuid.uuid4().hex[:8]}"
    start = datetime.now(tz=UTC) - timedelta(minutes=6)
    table = Table(title="One visit", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("what happens", "stage", "converts", "leaves", "segment", "churn"):
        table.add_column(heading, no_wrap=True)
    with Client(address) as client, Live(table, console=console, auto_refresh=False) as live:
        for words, message in visit_of(product, start):
            reply = client.score(session_id, [message], anonymous_id="demo-visitor")
            table.add_row(*_row(words, reply))
            table.caption = _caption(reply)
            live.refresh()


def _row(words: str, reply: pb.ScoreResponse) -> tuple[str, ...]:
    stage = pb.JourneyStage.Name(reply.journey_stage).removeprefix("JOURNEY_STAGE_").lower()
    churn = f"{reply.churn.probability:.0%}" if reply.HasField("churn") else ""
    rest = reply.segment.display_name, churn
    if reply.converted:
        return words, stage, "converted", "", *rest
    left = f"{reply.abandonment:.1%}" if reply.HasField("abandonment") else ""
    return words, stage, f"{reply.conversion:.1%}", left, *rest


def _caption(reply: pb.ScoreResponse) -> str:
    lines = [f"answered by {reply.bundle}, {reply.events_seen} events seen"]
    if reply.HasField("churn"):
        what = "order" if reply.churn.target == "purchase" else "visit"
        lines.append(f"churn: no {what} within {reply.churn.horizon_days} days after this one")
    return "\n".join(lines)


def print_how_to_serve(folder: Path, tag: str, console: Console) -> None:
    """Print where the files are, and the command that serves them again."""
    console.print(
        f"\nBundle: {folder / 'bundles'}; state: {folder / 'state'}; "
        f"event log: {folder / 'state' / 'event_log'}\n"
        f"Serve them: MICROMOMENT_STATE_DIR={shlex.quote(str(folder / 'state'))} "
        f".venv/bin/micromoment serve --bundle {tag} "
        f"--store {shlex.quote(str(folder / 'bundles'))} "
        f"--features {shlex.quote(str(folder / 'features'))}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def print_how_to_call(address: str, console: Console) -> None:
    """Print calls that work as they stand."""
    now = datetime.now(tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = (
        '{"session_id": "s1", "anonymous_id": "v1", "events": [{"event_id": "e1", '
        f'"type": "EVENT_TYPE_PAGE_VIEW", "event_time": "{now}"}}]}}'
    )
    console.print(f"\nServing on [b]{address}[/b] until Ctrl-C. Call it from Python:\n")
    console.print(
        "    from micromoment.client import Client, event\n"
        f'    with Client("{address}") as client:\n'
        '        print(client.score("s1", [event("page_view")], anonymous_id="v1"))\n',
        highlight=False,
        markup=False,
    )
    console.print("or with grpcurl:\n")
    console.print(
        f"    .venv/bin/grpcurl -plaintext -d '{body}' \\\n"
        f"        {address} micromoment.v1.ScoringService/Score\n",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _last_file(files: dict[date, Path]) -> Path:
    return files[max(files)]
