"""All tests: `python -m tests`. First those that share the machine, one process a core; then browsers, likewise; then what is timed, alone on it."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

QUICK = "not slow and not browser"
SHARED = "not browser and not alone"
BROWSER = "browser and not alone"
ALONE = "alone"

if __name__ == "__main__":
    # only files with timed tests: reading all of them takes a while
    TIMED = sorted(str(path) for path in Path(__file__).parent.rglob("test_*.py") if f"mark.{ALONE}" in path.read_text(encoding="utf-8"))
    PARTS = (("-m", SHARED), ("-m", BROWSER, "tests/ui"), ("-m", ALONE, *TIMED))
    sys.exit(max(subprocess.call([sys.executable, "-m", "pytest", *part, *sys.argv[1:]]) for part in PARTS))
