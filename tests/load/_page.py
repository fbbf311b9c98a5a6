"""The page as a program for attacks: no workers, and every file that it writes, program it starts and address it calls outside of its data folder is noted."""
from __future__ import annotations

import json
import os
import runpy
import sys
import threading
from pathlib import Path
from typing import Any

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "shutil.rmtree", "shutil.move", "os.chmod")
CODE, SECRET = "code-of-the-class-7Q", "secret-of-the-desk-9K"  # nobody is told them
STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn")
QUIET = ("/dev/null", "/dev/shm")


def watch(data: Path, notes: Path) -> None:
    """From now on."""
    allowed, log, inside = (str(data), str(notes)), notes.open("a", buffering=1), threading.local()

    def outside(name: Any) -> bool:
        if not isinstance(name, str | bytes | os.PathLike):
            return False  # a descriptor that is open already
        return not os.path.realpath(os.fsdecode(name)).startswith((*allowed, *QUIET))

    def seen(event: str, given: tuple[Any, ...]) -> None:
        if getattr(inside, "busy", False):
            return
        inside.busy = True
        try:
            if (event == "open" and given[2] is not None and given[2] & WRITES and outside(given[0])) or (event in CHANGES and outside(given[0])):
                log.write(json.dumps([event, str(given[0])]) + "\n")
            elif event in STARTS:
                log.write(json.dumps([event, str(given[:2])[:300]]) + "\n")
            elif event == "socket.connect" and isinstance(given[1], tuple) and given[1][0] not in ("127.0.0.1", "::1"):
                log.write(json.dumps([event, str(given[1])]) + "\n")
        finally:
            inside.busy = False

    sys.addaudithook(seen)


def main(data: Path, notes: Path) -> None:
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "LAB_DATA": str(data), "LAB_RATE": "10000000", "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    from lab.classroom import Settings
    from lab.store import Store
    from lab.ui import page
    from lab.ui.bench import Bench, Limits

    root = Path(__file__).parents[2]
    with Store(data) as store:
        made = runpy.run_path(str(root / "app.py"))  # what the lab itself puts together; the process that foretells memory is left out
        limits = Limits(waiting=4, queue=10_000, address_waiting=None, address_per_hour=None)
        settings = Settings(class_code=CODE, instructor_secret=SECRET, shared_task="toy", limits=limits)
        bench = Bench(store, made["_recorded"](), limits, settings, sweeps=made["_sweeps"](), ready=made["_ready"](data), bank=made["_bank"](),
                      lessons=made["_lessons"](settings), museum=made["_museum"](), glossary=made["_glossary"](), assets=root / "assets")
        blocks = page.build(bench).queue(default_concurrency_limit=None, api_open=False)
        _, address, _ = blocks.launch(server_name="127.0.0.1", prevent_thread_lock=True, **page.launching(bench, root / "assets"))
        watch(data, notes)
        print("AT", address, flush=True)
        sys.stdin.read()  # until the attacker has gone
        os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
