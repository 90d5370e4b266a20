"""Progress of long work on the terminal: a bar where the total is known, a spinner elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

Advance = Callable[[int], None]


class Steps:
    """Shows the steps of a run, one line each; quiet when it has no console."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console

    @contextmanager
    def step(self, title: str, total: int | None = None) -> Iterator[Advance]:
        """Show one step while the body runs; the yielded function moves the bar on."""
        if self._console is None:
            yield lambda _: None
            return
        columns = (
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description:<44}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console) as progress:
            task = progress.add_task(title, total=total)

            def advance(amount: int) -> None:
                progress.advance(task, amount)

            yield advance
            done = total if total is not None else 1
            progress.update(task, total=done, completed=done)
