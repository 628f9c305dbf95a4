"""Let an example of the gallery fail if it warns."""

import warnings


def turn_into_errors(gallery_conf: object, path: str) -> None:
    """Turn warnings that point to a line of the example into errors."""
    warnings.filterwarnings("error", module="__main__")
