"""What is wrong in a YAML file, in few words."""

from __future__ import annotations

import yaml


def line_of(error: yaml.YAMLError) -> str:
    """Where the file is no YAML, for example ``line 3``."""
    mark = getattr(error, "problem_mark", None)
    return "the file" if mark is None else f"line {mark.line + 1}"


def problem_of(error: yaml.YAMLError) -> str:
    """What is wrong there, after a colon; empty when the parser has no word for it.

    It may repeat a word of the file, so it is not for files that hold secrets.
    """
    problem = getattr(error, "problem", None) or getattr(error, "reason", None)
    return f": {problem}" if problem else ""
