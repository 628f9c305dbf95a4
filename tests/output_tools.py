"""Read a script's output, without TensorFlow's first lines, which no log level suppresses."""

import re

LOADING = re.compile(r"WARNING: All log messages before absl::InitializeLog\(\)|[IWE]\d{4} ")


def own_lines(stderr):
    return [line for line in stderr.splitlines() if not LOADING.match(line)]
