"""Compiled blocks: made by a program of its own in the background, kept on disk, put in place between two steps.

torch's ahead-of-time compiler turns a plan's two functions into machine code for any batch size and length. That takes about a
minute of one core, so it is done between runs, never beside one; later runs load the code in milliseconds. Without a C++ compiler on the
machine, or where one fails, everything runs as written.
"""
from __future__ import annotations

import hashlib
import logging
import os
import pickle
import platform
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lab.engine.fast.blocks import Code, Functions, Plan

EXAMPLES = (5, 46), (7, 53), (11, 59), (13, 61)  # batch and tokens to trace with: the first that no width, rank or number of heads equals
HALVES = ("forward", "backward")
Sizes = tuple[tuple[int, ...], ...]
ROOM = 2**29  # bytes on the disk below which compiling is not begun: it needs about half of them for a while


class Compiler:
    """Knows which compiled code there is; `builds` says whether it may have more made. Without `uses` none is put in place, and none is made."""

    def __init__(self, folder: Path, builds: bool = False, uses: bool = True) -> None:
        self.folder, self.builds, self.uses = folder, builds and uses and compiler_found(), uses
        self._loaded: dict[str, Functions] = {}
        self._waiting: list[Code] = []
        self._child: subprocess.Popen[bytes] | None = None
        self._building = ""  # what the child makes
        self._runs = 0  # that go on now
        self._ended: set[str] = set()  # what a child has been started for and has ended: never tried twice in one process

    def use(self, codes: Iterable[Code]) -> None:
        """Put compiled functions in place where they exist, and ask for the others."""
        if self.uses:
            self._waiting += [code for code in codes if not self._put(code) and self._may_come(code)]
            self.look()

    @contextmanager
    def making_way(self) -> Iterator[None]:
        """While a run goes on nothing is compiled: even at the lowest priority that makes its steps a third slower. What was begun is begun again."""
        self._runs += 1
        if self._busy:
            self._child.kill()
            self._child.wait()
            shutil.rmtree(_work(self.folder, self._building, self._child.pid), ignore_errors=True)
            self._child = None
        try:
            yield
        finally:
            self._runs -= 1
            self.look()

    def look(self) -> None:
        """Between two steps or runs: take what has become ready, start what waits where no run goes on. Costs microseconds."""
        if not self._waiting or self._busy:
            return
        if self._child is not None:
            self._ended.add(self._building)
            self._child = None
        self._waiting = [code for code in self._waiting if not self._put(code) and self._may_come(code)]
        if self._waiting and not self._runs:
            self._building = key(self._waiting[0])
            try:
                self._child = _start(self._waiting[0], self.folder, self._building)
            except OSError as error:
                logging.getLogger(__name__).warning("blocks are not compiled here: %s", error)
                self.builds, self._waiting = False, []

    @property
    def _busy(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def build(self, codes: Iterable[Code]) -> None:
        """Compile now and wait for it."""
        for code in codes:
            if not self._put(code):
                child = _start(code, self.folder, key(code))
                child.wait()
                child.stdin.close()
                if not self._put(code):
                    failed = self._path(code, "failed")
                    raise RuntimeError(failed.read_text() if failed.exists() else f"the compiling program ended with code {child.returncode}")

    def _put(self, code: Code) -> bool:
        name = key(code)
        if name not in self._loaded:
            paths = [self._path(code, f"{half}.pt2") for half in HALVES]
            try:
                if not all(path.exists() for path in paths):
                    return False
                self._loaded[name] = Functions(*(_load(path) for path in paths))
            except Exception as error:  # a damaged file, or one that this machine cannot run: it is made again
                logging.getLogger(__name__).warning("compiled code %s cannot be loaded: %s", name, error)
                for path in paths:
                    with suppress(OSError):
                        path.unlink(missing_ok=True)
                return False
        code.compiled = self._loaded[name]
        return True

    def _may_come(self, code: Code) -> bool:
        with suppress(OSError):
            return self.builds and key(code) not in self._ended and not self._path(code, "failed").exists()
        return False

    def _path(self, code: Code, ending: str) -> Path:
        return self.folder / f"{key(code)}.{ending}"


@contextmanager
def as_written(codes: Iterable[Code]) -> Iterator[None]:
    """Without compiled code, whose inner workings cannot be watched."""
    kept = [(code, code.compiled) for code in codes]
    for code, _ in kept:
        code.compiled = None
    try:
        yield
    finally:
        for code, compiled in kept:
            code.compiled = compiled


def compiler_found() -> bool:
    """Whether this machine has the C++ compiler that torch would use."""
    return shutil.which(os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")) is not None


def key(code: Code) -> str:
    """Names everything the machine code depends on."""
    about = (code.plan, code.sizes, code.dtypes, torch.get_num_threads(), _surroundings())
    return hashlib.sha256(repr(about).encode()).hexdigest()[:24]


@cache
def _surroundings() -> str:
    """A digest of what stays the same while a process lives: asked for at every step, so made once."""
    about = (torch.__version__, sys.version_info[:2], _processor(), _source())
    return hashlib.sha256(repr(about).encode()).hexdigest()


def _source() -> str:
    return "".join(path.read_text() for path in sorted(Path(__file__).parent.glob("*.py")))


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return line
    return f"{platform.machine()} {platform.processor()}"


def _load(path: Path) -> Callable[..., Any]:
    """The function in a package. torch's own way there imports its whole compiler first, 2 s, and reads the call's description at each call."""
    try:
        loader = torch._C._aoti.AOTIModelPackageLoader(str(path), "model", False, 1, -1)  # not single-threaded, one runner, no GPU
    except (AttributeError, TypeError):  # a version of torch that has it elsewhere
        return torch._inductor.aoti_load_package(str(path))
    return lambda *tensors: loader.boxed_run(list(tensors))


# ── the program that compiles ─────────────────────────────────────────────────────────────────────────────────────────


def _start(code: Code, folder: Path, name: str) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < ROOM:
        raise OSError(f"{folder} has less than {ROOM:,} bytes left")
    settings = {"TORCHINDUCTOR_COMPILE_THREADS": "1", "OMP_NUM_THREADS": str(torch.get_num_threads())}  # the code gets as many as the compiler sees
    child = subprocess.Popen([sys.executable, "-m", "lab.engine.fast.compiled"], cwd=Path(__file__).parents[3], env={**os.environ, **settings},
                             stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, bufsize=0)
    order = pickle.dumps((code.plan, code.sizes, code.dtypes, str(folder.absolute()), name))
    with suppress(BrokenPipeError):
        child.stdin.write(len(order).to_bytes(8, "little") + order)  # stays open: when it closes, whoever asked is gone
    return child


def main() -> None:
    """Compile what stands on the standard input; ends with whoever asked for it, and never in its way."""
    _stand_back()
    length = int.from_bytes(sys.stdin.buffer.read(8), "little")
    plan, sizes, dtypes, folder, name = pickle.loads(sys.stdin.buffer.read(length))
    work = _work(Path(folder), name, os.getpid())
    threading.Thread(target=_end_with_parent, args=(work,), daemon=True).start()
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(work)
    try:
        work.mkdir()
        make(plan, sizes, dtypes, work)
        for half in HALVES:
            (work / f"{half}.pt2").replace(Path(folder, f"{name}.{half}.pt2"))
    except Exception as error:
        Path(folder, f"{name}.failed").write_text(f"{type(error).__name__}: {error}")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _work(folder: Path, name: str, process: int) -> Path:
    """Where one process keeps what is half done."""
    return folder / f"{name}.{process}.work"


def _end_with_parent(work: Path) -> None:
    """Nothing more comes on the standard input: reading comes to an end when the other side is gone, killed or not."""
    sys.stdin.buffer.read(1)
    shutil.rmtree(work, ignore_errors=True)
    os._exit(1)


def _stand_back() -> None:
    """Run only when nobody else wants the processor: the lowest priority still takes it away for milliseconds, and a whole team waits."""
    if hasattr(os, "SCHED_IDLE"):
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    elif hasattr(os, "nice"):
        os.nice(19)


@torch.no_grad()
def make(plan: Plan, sizes: Sizes, dtypes: tuple[torch.dtype, ...], folder: Path) -> None:
    """Write forward.pt2 and backward.pt2. `sizes` and `dtypes` are those of norms and weights."""
    for batch, tokens in EXAMPLES:
        halves, others = (_example(plan, sizes, dtypes, batch + more, tokens + more) for more in (0, 1))
        free = {half: [_free(*pair) for pair in zip(halves[half], others[half], strict=True)] for half in HALVES}
        sizes_of = [(size, place in places) for half in HALVES for tensor, places in zip(halves[half], free[half], strict=True)
                    for place, size in enumerate(tensor.shape)]
        if {size for size, moves in sizes_of if moves}.isdisjoint(size for size, moves in sizes_of if not moves):
            break
    for half, function in (("forward", plan.forward), ("backward", plan.backward)):
        program = torch.export.export(_Module(function), tuple(halves[half]), dynamic_shapes=(tuple(free[half]),), strict=False)
        _all_free(program, halves[half], free[half])
        settings = {"pattern_matcher": False}  # it would make products that add out of the sums, each with a copy of what is added to
        torch._inductor.aoti_compile_and_package(program, package_path=str(folder / f"{half}.pt2"), inductor_configs=settings)


def _example(plan: Plan, sizes: Sizes, dtypes: tuple[torch.dtype, ...], batch: int, tokens: int) -> dict[str, list[Tensor]]:
    """What goes into each half."""
    width, dtype = sizes[0][0], dtypes[0]
    extras = plan.block.extras(batch, tokens, dtype)
    weights = [torch.randn(size).mul(0.05).to(kind) for size, kind in zip(sizes, dtypes, strict=True)]
    inputs = [torch.randn(batch, tokens, width).to(dtype), *extras, *weights]
    out, *saved = plan.forward(*inputs)
    return {"forward": inputs, "backward": [out, *inputs, *saved]}


class _Module(torch.nn.Module):
    def __init__(self, function: Callable[..., tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return self.function(*tensors)


def _free(tensor: Tensor, other: Tensor) -> dict[int, Any]:
    """The dimensions that change from batch to batch: those in which the same tensor of two examples differs."""
    return {place: torch.export.Dim.AUTO for place, (size, size2) in enumerate(zip(tensor.shape, other.shape, strict=True)) if size != size2}


def _all_free(program: Any, tensors: list[Tensor], free: list[dict[int, Any]]) -> None:
    """Raise where tracing has fixed a dimension that must stay free: such code would be wrong for other batches."""
    found = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"]
    for tensor, places, traced in zip(tensors, free, found, strict=True):
        for place in places:
            if isinstance(traced.shape[place], int):
                raise RuntimeError(f"dimension {place} of a tensor of size {tuple(tensor.shape)} was fixed while tracing")


if __name__ == "__main__":
    main()
