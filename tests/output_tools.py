"""What a script writes, without what TensorFlow's libraries write before any level can be set."""

import re

LOADING = re.compile(r"WARNING: All log messages before absl::InitializeLog\(\)|[IWE]\d{4} ")


def own_lines(stderr):
    return [line for line in stderr.splitlines() if not LOADING.match(line)]
