"""All tests: `python -m tests`. First those that need no real weights, one process a core; then real models and the browser, alone on the machine."""
from __future__ import annotations

import subprocess
import sys

QUICK = "not slow and not browser"
SEEDED = "not real and not browser"
REST = "real or browser"

if __name__ == "__main__":
    sys.exit(max(subprocess.call([sys.executable, "-m", "pytest", "-m", part, *sys.argv[1:]]) for part in (SEEDED, REST)))
