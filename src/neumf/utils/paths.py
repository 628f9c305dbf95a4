"""Open files, with errors that name the path as the user wrote it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def opened_as(path: str | os.PathLike[str], rule: str) -> Iterator[Path]:
    """Expand "~" in a path; add the rule, and the path as given, to errors of the system."""
    try:
        yield Path(os.path.expanduser(path))  # noqa: PTH111 - Path.expanduser needs a home
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, f"{error.strerror}. {rule}", os.fspath(path)) from error
