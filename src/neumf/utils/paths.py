"""Paths as users write them, in calls and in errors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def opened_as(path: str | os.PathLike[str], rule: str) -> Iterator[Path]:
    """Give the path with the home for "~"; errors of the system name it as given, and the rule."""
    try:
        yield Path(os.path.expanduser(path))  # noqa: PTH111 - that of Path raises without a home
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, f"{error.strerror}. {rule}", os.fspath(path)) from error
