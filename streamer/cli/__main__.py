"""``python -m streamer.cli``: the command line where its script is not on the path."""

from __future__ import annotations

import sys

from streamer.cli import main

sys.exit(main())
