"""Telling the user how far an import is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

# Called with what is being done, how much of it is done, and how much there is.
ProgressHook = Callable[[str, int, int], None]


@contextmanager
def reporting(progress: bool | ProgressHook) -> Iterator[ProgressHook]:
    """Give the hook to call: the caller's own, a bar on stderr for True, nothing for False."""
    if callable(progress):
        yield progress
    elif not progress:
        yield _silent
    else:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as bar:
            yield _bar_hook(bar)


def _silent(_what: str, _done: int, _total: int) -> None:
    pass


def _bar_hook(bar: Progress) -> ProgressHook:
    tasks = {}

    def show(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=total)
        bar.update(tasks[what], completed=done, total=total)

    return show
