"""What ends the benchmark; the message says what to look at."""

from __future__ import annotations


class BenchmarkError(Exception):
    """Something is missing, a server failed, or an answer is wrong."""
