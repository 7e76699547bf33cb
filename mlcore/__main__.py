"""`python -m mlcore COMMAND`, on plain folders or manifests, without Django; `--help` lists the commands."""

from __future__ import annotations

import os
import sys

from mlcore.cli.main import STOPPED, main

if __name__ == "__main__":
    code = main(sys.argv[1:])
    if code == STOPPED:
        # Everything is put away by now. TensorFlow would first wait for its threads, which takes seconds.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
