"""The command line as a container's first process: `python -m micromoment.container serve`.

The kernel lets nothing but a handler of its own end a first process, and the server sets its
handlers once everything is imported. A signal before that ends this one at once, with status 0.
"""

from __future__ import annotations

import os
import signal
from typing import NoReturn


def main() -> None:
    """Run the command line."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    from micromoment.cli import main as run  # noqa: PLC0415 - the handlers come first

    run()


def _end(*_: object) -> NoReturn:
    # An exception would be caught, or printed, by whatever is being imported.
    os._exit(0)


if __name__ == "__main__":
    main()
