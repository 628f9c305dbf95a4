"""Let an example of the gallery fail where it warns."""

import warnings


def turn_into_errors(gallery_conf: object, path: str) -> None:
    """Do so for warnings that point to a line of the example, as a script of its own."""
    warnings.filterwarnings("error", module="__main__")
