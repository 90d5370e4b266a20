"""The fenced blocks of a Markdown page, as a reader would run them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_PROMPT = "$ "
_DIGEST = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True)
class Program:
    """A Python program."""

    text: str


@dataclass(frozen=True)
class Command:
    """A command line and what the page says that it prints; nothing is said of the rest."""

    line: str
    printed: str

    def prints(self, stdout: str) -> bool:
        """Tell whether the output is what the page shows, digests of content aside."""
        pattern = _DIGEST.sub("[0-9a-f]{16}", re.escape(self.printed))
        return not self.printed or re.fullmatch(pattern, stdout.strip()) is not None


def steps(page: str) -> Iterator[Program | Command]:
    """Give the programs and commands of `python` and `console` blocks, in their order."""
    for block in _BLOCK.finditer(page):
        if block["language"] == "python":
            yield Program(block["text"])
        elif block["language"] == "console":
            yield from _commands(block["text"])


def _commands(text: str) -> Iterator[Command]:
    before, *commands = f"\n{text}".split(f"\n{_PROMPT}")
    if before.strip():
        raise ValueError(f"a console block begins with {before.strip()!r}, not with a command")
    for command in commands:
        line, _, printed = command.partition("\n")
        yield Command(line, printed.strip())
