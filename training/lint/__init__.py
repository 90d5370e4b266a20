"""The leak linter: does anything that a model learns from know what only the outcome can tell?"""

from training.lint.report import Finding, LintReport, Severity

__all__ = ["Finding", "LintReport", "Severity"]
