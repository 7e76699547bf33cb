"""`python -m mlcore train | predict | evaluate | engine | card`, on plain folders or manifests, without Django."""

from __future__ import annotations

import sys

from mlcore.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
