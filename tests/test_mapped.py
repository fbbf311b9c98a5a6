"""Bases whose weights lie in a file that all workers map."""
from __future__ import annotations

import copy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lab.engine import mapped
from lab.engine.fast.linear import lay_side_by_side, side_by_side

HOLDS = """
import sys, pathlib, torch
from torch import nn
from lab.engine import mapped
torch.manual_seed(0)
module = nn.Sequential(nn.Linear(2048, 2048), nn.Linear(2048, 2048))
assert mapped.settle(module, "ab" * 32, pathlib.Path(sys.argv[1]))
sum(float(weight.sum()) for weight in module.parameters())  # every page is touched
import gc; gc.collect()
print("here", flush=True)
sys.stdin.read(1)
"""


@pytest.fixture
def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2048, 2048), nn.Linear(2048, 2048))


def test_no_bit_and_no_layout_changes(module: nn.Module, tmp_path: Path) -> None:
    lay_side_by_side(list(module))
    before, x = copy.deepcopy(module), torch.randn(3, 2048)
    assert mapped.settle(module, "ab" * 32, tmp_path)
    assert all(torch.equal(one, other) for one, other in zip(module.parameters(), before.parameters(), strict=True))
    assert torch.equal(module(x), before(x)) and side_by_side([module[0].weight, module[1].weight]) is not None
    assert module[0].bias.untyped_storage().nbytes() == 2048 * 4, "each storage is one of its own"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_one_writes_no_other_sees(module: nn.Module, tmp_path: Path) -> None:
    other = copy.deepcopy(module)
    assert mapped.settle(module, "ab" * 32, tmp_path) and mapped.settle(other, "ab" * 32, tmp_path)
    module[0].weight.data.zero_()
    assert other[0].weight.any()
    assert mapped.settle(copy.deepcopy(other), "ab" * 32, tmp_path), "the file still holds what it is named after"


def test_a_file_with_other_bits_is_made_again(module: nn.Module, tmp_path: Path) -> None:
    before = copy.deepcopy(module)
    assert mapped.settle(copy.deepcopy(module), "ab" * 32, tmp_path)
    path, = tmp_path.iterdir()
    with path.open("r+b") as file:
        file.seek(1000)
        file.write(b"xxxx")
    assert not mapped.settle(module, "ab" * 32, tmp_path) and torch.equal(module[0].weight, before[0].weight)
    assert mapped.settle(module, "ab" * 32, tmp_path) and torch.equal(module[0].weight, before[0].weight)
    path.write_bytes(b"cut short")
    assert mapped.settle(copy.deepcopy(before), "ab" * 32, tmp_path)


def test_where_no_file_can_be_had_the_weights_stay(module: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = module[0].weight.data_ptr()
    (tmp_path / "in the way").write_text("")
    assert not mapped.settle(module, "ab" * 32, tmp_path / "in the way")
    monkeypatch.setattr(mapped.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    assert not mapped.settle(module, "ab" * 32, tmp_path / "full") and module[0].weight.data_ptr() == place
    assert not mapped.settle(nn.Linear(8, 8), "ab" * 32, tmp_path), "too small to be worth a file"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="the system does not say what is shared")
def test_two_processes_hold_it_once(tmp_path: Path) -> None:
    def started() -> Any:
        child = subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert child.stdout.readline() == "here\n"
        return child

    def own(child: Any) -> int:
        """Bytes of the file that this process alone is charged with."""
        lines = Path(f"/proc/{child.pid}/smaps").read_text().split("\n")
        place = next(place for place, line in enumerate(lines) if line.endswith(".weights"))
        return 1024 * int(next(line for line in lines[place:] if line.startswith("Pss:")).split()[1])

    with started() as one, started() as two:
        assert own(one) + own(two) < 1.1 * 2 * 4 * 2048 * 2049
        for child in (one, two):
            child.stdin.close()


@pytest.mark.parametrize("shared", [False, True])
def test_a_base_in_use_does_not_lie_in_the_file_it_was_read_from(shared: bool, workshop: Any, finish: Any, tmp_path: Path) -> None:
    """Shortened, the file would end every process that maps it; overwritten, it would change the base under a run."""
    from lab import catalogue
    from lab.accounting.shapes import shape_of
    from lab.engine import bases

    model = catalogue.find("models", "seed-bert")
    files = finish(workshop.supply.model(model))[1]
    shutil.copytree(files.folder, tmp_path / "copy")
    base = bases.load(tmp_path / "copy", files.sha256, shape_of(model.config), torch.float32, "sdpa", "cpu", None, tmp_path / "mapped" if shared else None)
    weights = tmp_path / "copy" / "model.safetensors"
    with weights.open("r+b") as file:
        file.write(b"\xff" * weights.stat().st_size)
    assert base.intact
    with weights.open("r+b") as file:
        file.truncate(100)
    assert base.intact
