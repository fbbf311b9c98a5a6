"""peft's tuners: each runs the formula that its page shows, merges, reloads exactly, draws from the run's seed, and says why where it cannot be used."""
from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from _trials import every_nth
from torch import Tensor, nn

from lab import catalogue
from lab.accounting.shapes import shape_of
from lab.contracts import Base, LabError, Linear, Shape
from lab.engine import bases
from lab.engine.chance import drawn_from
from lab.engine.fast import speed_up
from lab.engine.job import Job, prepare
from lab.engine.learner import Classifier, Writer
from lab.methods import lokr
from lab.spec import RunSpec

KEYS = ("vera", "loha", "lokr", "oft", "boft", "hra", "fourierft", "miss", "vblora", "randlora", "beft", "ia3")
METHODS = {key: catalogue.entries("methods")[key] for key in KEYS}
SEEDED = {key: shape_of(model.config) for key, model in catalogue.entries("models").items() if model.seeded}


# ── the formula that is shown is what runs ────────────────────────────────────────────────────────────────────────────


@dataclass
class Found:
    """One adapted linear layer, taken apart: the frozen weight and bias, the method's tensors, and inputs with what came out."""

    weight: Tensor
    bias: Tensor
    tensors: dict[str, Tensor]
    x: Tensor
    out: Tensor

    def __getitem__(self, part: str) -> Tensor:
        """The one tensor whose name holds this part."""
        return next(tensor for name, tensor in self.tensors.items() if part in name)

    def linear(self, weight: Tensor) -> Tensor:
        return self.x @ weight.T + self.bias


@torch.no_grad()
def adapted(key: str, inputs: int, outputs: int, role: str = "query", **knobs: Any) -> Found:
    """The method on one linear layer of these sizes, its trained tensors moved away from where they start."""
    torch.manual_seed(3)
    layer = nn.Linear(inputs, outputs)
    weight, bias = layer.weight.clone(), layer.bias.clone()
    shape = Shape("one", "encoder", 1, inputs, 1, 1, outputs, 8, 8, "block", "embedding", (Linear(role, 0, f"block.0.{role}", inputs, outputs, True),), ())
    model = nn.ModuleDict({"block": nn.ModuleList([nn.ModuleDict({role: layer})])})
    module = METHODS[key](targets=(role,), **knobs).attach(Base(model, shape, None, ())).eval()
    for trained in module.parameters():
        if trained.requires_grad:
            trained += 0.1 * torch.randn(trained.shape)
    tensors = {name: tensor for name, tensor in (*module.named_parameters(), *module.named_buffers()) if "base_layer" not in name}
    x = torch.randn(5, inputs)
    return Found(weight, bias, tensors, x, module.base_model.model["block"][0][role](x))


def vera(found: Found, inputs: int, outputs: int) -> Tensor:
    a, b = found["vera_A"], found["vera_B"]
    assert not a.requires_grad and not b.requires_grad and a.shape == (256, inputs) and b.shape == (outputs, 256)
    return found.linear(found.weight + found["lambda_b"].diag() @ b @ found["lambda_d"].diag() @ a)


def loha(found: Found, inputs: int, outputs: int) -> Tensor:
    first, second = (found[f"w{n}_a"] @ found[f"w{n}_b"] for n in (1, 2))
    return found.linear(found.weight + 16 / 8 * first * second)


def a_kronecker_product(found: Found, alpha: float, rank: int) -> Tensor:
    small = found["lokr_w1"]
    block = found["w2_a"] @ found["w2_b"] if any("w2_a" in name for name in found.tensors) else found["lokr_w2"]
    rows = [torch.cat([small[o, i] * block for i in range(small.shape[1])], dim=1) for o in range(small.shape[0])]
    return found.linear(found.weight + alpha / rank * torch.cat(rows))


def lokr_whole(found: Found, inputs: int, outputs: int) -> Tensor:
    return a_kronecker_product(found, 16, 8)


def lokr_thin(found: Found, inputs: int, outputs: int) -> Tensor:
    assert found["w2_a"].shape[1] == 2
    return a_kronecker_product(found, 3, 2)


def skew(numbers: Tensor, size: int) -> Tensor:
    """The skew-symmetric matrix with these numbers above its diagonal, row by row."""
    q = torch.zeros(size, size)
    for place, (row, column) in enumerate((i, j) for i in range(size) for j in range(i + 1, size)):
        q[row, column], q[column, row] = numbers[place], -numbers[place]
    return q


def cayley(q: Tensor) -> Tensor:
    eye = torch.eye(len(q))
    return (eye + q) @ torch.linalg.inv(eye - q)


def oft_exact(found: Found, inputs: int, outputs: int) -> Tensor:
    rotation = torch.block_diag(*(cayley(skew(row, 4)) for row in found["oft_R"]))
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(inputs))
    return found.linear(found.weight @ rotation)


def oft_shared(found: Found, inputs: int, outputs: int) -> Tensor:
    assert len(found["oft_R"]) == 1
    return found.linear(found.weight @ torch.block_diag(*[cayley(skew(found["oft_R"][0], 4))] * (inputs // 4)))


def oft_approximate(found: Found, inputs: int, outputs: int) -> Tensor:
    """The same with the inverse as a sum, whose numbers have the other sign: 1 / (1 - q) = 1 + q + q² + …"""
    blocks = []
    for row in found["oft_R"]:
        q = skew(-row, 4)
        blocks.append(torch.eye(4) + 2 * q + 2 * q @ q + 2 * q @ q @ q + q @ q @ q @ q)
        assert (blocks[-1] - cayley(q)).norm() < 2 * q.norm() ** 4
    return found.linear(found.weight @ torch.block_diag(*blocks))


def boft(found: Found, inputs: int, outputs: int) -> Tensor:
    rotation = torch.eye(inputs)
    for level, blocks in enumerate(found["boft_R"]):
        halves = torch.arange(inputs).view(-1, 2 ** (level + 1), 2)  # half blocks, of block size 4: those at even places first, then those at odd ones
        shuffle = torch.eye(inputs)[torch.cat([halves[:, ::2], halves[:, 1::2]], dim=1).flatten()]
        turned = torch.block_diag(*(cayley(-(d - d.T) / 2) for d in blocks))
        rotation = rotation @ (shuffle @ turned @ shuffle.T).T
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(inputs))
    return found.x @ (found.weight @ rotation).T * found["boft_s"].squeeze(1) + found.bias


def hra(found: Found, inputs: int, outputs: int) -> Tensor:
    weight = found.weight
    for u in found["hra_u"].T:
        weight = weight @ (torch.eye(inputs) - 2 * torch.outer(u, u) / u.dot(u))
    return found.linear(weight)


def fourierft(found: Found, inputs: int, outputs: int) -> Tensor:
    """The transform back written out as two matrices of waves; the places follow from the run's seed."""
    torch.manual_seed(3)
    nn.Linear(inputs, outputs)  # as in `adapted`; what is drawn next is the seed of the places
    source = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
    places = torch.randperm(inputs * outputs, generator=source)[:20]
    c = torch.zeros(inputs * outputs).index_put((places,), found["spectrum"]).view(outputs, inputs)
    waves = [torch.exp(2j * math.pi * torch.outer(torch.arange(n), torch.arange(n)) / n) / n for n in (outputs, inputs)]
    return found.linear(found.weight + 150 * (waves[0] @ c.to(torch.complex64) @ waves[1]).real)


def miss(found: Found, inputs: int, outputs: int) -> Tensor:
    d = found["miss_block"].T  # (out, r)
    pieces = nn.functional.pad(found.x, (0, -inputs % 5)).view(5, -1, 5)
    return found.linear(found.weight) + pieces.sum(1) @ d.T


def vblora(found: Found, inputs: int, outputs: int) -> Tensor:
    bank = found["vector_bank"]

    def piece(logits: Tensor) -> Tensor:
        best = logits.argsort(descending=True)[:2]
        share = logits[best].exp() / logits[best].exp().sum()
        return share[0] * bank[best[0]] + share[1] * bank[best[1]]

    a = torch.stack([torch.cat([piece(logits) for logits in row]) for row in found["logits_A"]])
    b = torch.cat([torch.stack([piece(logits) for logits in row], dim=1) for row in found["logits_B"]])
    assert a.shape == (4, inputs) and b.shape == (outputs, 4)
    return found.linear(found.weight + b @ a)


def randlora(found: Found, inputs: int, outputs: int) -> Tensor:
    a, scales, gammas = found["randlora_A"].float()[:, 0], found["lambda"], found["gamma"]
    b = found["randlora_B"].float().flatten(1)  # every n-th column belongs to one product
    change = sum(b[:, j::len(gammas)] @ scales[:, j].diag() @ a @ gammas[j].diag() for j in range(len(gammas)))
    assert torch.linalg.matrix_rank(change) == min(inputs, outputs), "the sum has full rank"
    return found.linear(found.weight + 20 / 10 * (change if inputs <= outputs else change.T))


def beft(found: Found, inputs: int, outputs: int) -> Tensor:
    return found.x @ found.weight.T + found.bias + found["beft_bias"][0]


def ia3_key(found: Found, inputs: int, outputs: int) -> Tensor:
    return found["ia3_l"].squeeze(1) * found.linear(found.weight)


def ia3_ffn_out(found: Found, inputs: int, outputs: int) -> Tensor:
    return (found["ia3_l"].squeeze(0) * found.x) @ found.weight.T + found.bias


FORMULAS: list[tuple[Callable[[Found, int, int], Tensor], dict[str, Any]]] = [
    (vera, {}), (loha, {}), (lokr_whole, {}), (lokr_thin, {"rank": 2, "alpha": 3.0, "factor": 2}),
    (oft_exact, {"block_size": 4, "approximate": False}), (oft_shared, {"block_size": 4, "approximate": False, "share": True}),
    (oft_approximate, {"block_size": 4}), (boft, {"block_size": 4, "butterflies": 3}), (hra, {"rank": 4}), (fourierft, {"frequencies": 20}),
    (miss, {"rank": 5}), (vblora, {}), (randlora, {"rank": 10, "alpha": 20.0}), (beft, {}), (ia3_key, {"role": "key"}), (ia3_ffn_out, {"role": "ffn_out"}),
]


@pytest.mark.parametrize("sizes", [(32, 48), (48, 32)], ids=["wide", "tall"])
@pytest.mark.parametrize(("formula", "knobs"), FORMULAS, ids=[formula.__name__ for formula, _ in FORMULAS])
@torch.no_grad()
def test_what_runs_is_the_formula(formula: Callable[[Found, int, int], Tensor], knobs: dict[str, Any], sizes: tuple[int, int]) -> None:
    found = adapted(formula.__name__.partition("_")[0], *sizes, **knobs)
    torch.testing.assert_close(found.out, formula(found, *sizes), rtol=1e-4, atol=1e-4)
    assert (found.out - found.linear(found.weight)).abs().max() > 1e-2, "the comparison would hold for the base as well"


# ── merging, reloading, seeds ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def made(workshop: Any, finish: Any) -> Any:
    """A job with the method attached, in eval mode, its trained tensors moved away from their start."""

    def make(method: Any, model: str, moved: bool = True, **changes: Any) -> Job:
        job = finish(prepare(RunSpec.parse({"model": model, "task": "toy", "method": method, "dtype": "float32", **changes}), workshop))[1]
        draw = torch.Generator().manual_seed(5)
        for weight in job.trained() if moved else ():
            weight.data += 0.1 * torch.randn(weight.shape, generator=draw)
        job.module.eval()
        return job

    return make


@torch.no_grad()
def asked(job: Job, module: Any = None) -> Tensor:
    """Features or logits of a few texts."""
    batch = job.batch(job.texts.test[:6])
    return (module or job.module)(input_ids=batch.ids, attention_mask=batch.mask)[0]


def pristine(job: Job) -> Any:
    """A copy of the base that may be written to."""
    module = bases.fresh(job.pristine)
    bases.unshare(module, job.pristine, everything=True)
    return module


def supported(keys: Any, *models: str) -> list[tuple[str, str]]:
    return [(key, model) for key in keys for model in models if METHODS[key]().supports(SEEDED[model]).ok]


MERGING = [key for key in KEYS if METHODS[key].merges]
MODELS = ("seed-bert", "seed-llama", "seed-gpt2", "seed-neox", "seed-qwen2")


@pytest.mark.parametrize(("key", "model"), every_nth(3, supported(MERGING, *MODELS)))
def test_merged_it_answers_as_unmerged(key: str, model: str, made: Any) -> None:
    job = made(key, model)
    apart = asked(job)
    assert not torch.allclose(apart, asked(job, pristine(job)), atol=1e-3)
    merged = asked(job, copy.deepcopy(job.module).merge_and_unload())
    assert (merged - apart).abs().max() <= 1e-5 * apart.abs().max()


def test_a_vector_merges_only_where_there_is_a_bias(made: Any) -> None:
    job = made("beft", "seed-bert")
    torch.testing.assert_close(asked(job, copy.deepcopy(job.module).merge_and_unload()), asked(job))
    with pytest.raises(ValueError, match="no bias"):
        made("beft", "seed-llama").module.merge_and_unload()


def frozen(module: Any) -> dict[str, Tensor]:
    """What was drawn once and is not trained: projections, and the places of frequencies."""
    buffers = {name: tensor for name, tensor in module.named_buffers() if "_A." in name or "_B." in name}
    places = {name: part.indices["default"] for name, part in module.named_modules() if hasattr(part, "fourierft_spectrum")}
    banks = {name: weight for name, weight in module.named_parameters() if "vector_bank" in name}
    return {**buffers, **places, **banks}


@pytest.mark.parametrize(("key", "model"), supported(("vera", "randlora", "fourierft", "vblora"), "seed-bert", "seed-llama", "seed-gpt2"))
def test_what_is_drawn_follows_from_the_seed_and_reloads_exactly(key: str, model: str, made: Any, tmp_path: Path) -> None:
    job, again, other = made(key, model, seed=1), made(key, model, seed=1), made(key, model, seed=2)
    kept = frozen(job.module)
    assert kept and all(torch.equal(tensor, frozen(again.module)[name]) for name, tensor in kept.items())
    assert not any(torch.equal(tensor, frozen(other.module)[name]) for name, tensor in kept.items())
    job.spec.method.format.save(job.module, tmp_path)
    for start in (11, 12):
        torch.manual_seed(start)
        assert torch.equal(asked(job, job.spec.method.format.load(pristine(job), tmp_path).eval()), asked(job))


def test_butterflies_survive_a_folder(made: Any, tmp_path: Path) -> None:
    job = made({"name": "boft", "butterflies": 3, "block_size": 4}, "seed-llama")
    job.spec.method.format.save(job.module, tmp_path)
    loaded = job.spec.method.format.load(pristine(job), tmp_path).eval()
    assert {tensor.shape[0] for name, tensor in loaded.named_parameters() if "boft_R" in name} == {3}
    assert torch.equal(asked(job, loaded), asked(job))


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
@pytest.mark.parametrize(("key", "model"), supported([key for key in KEYS if METHODS[key].quantizable], "seed-bert", "seed-llama"))
def test_on_a_quantised_base_every_tensor_gets_a_gradient(key: str, model: str, quantization: str, made: Any) -> None:
    job = made(key, model, quantization=quantization)
    job.module.train()
    job.learner.loss(job.batch(job.texts.train[:8])).backward()
    assert [name for name, weight in job.module.named_parameters() if weight.requires_grad and not weight.grad.any()] == []
    assert job.pristine.intact


# ── beside the fast paths ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("model", ["seed-bert", "seed-llama"])
@pytest.mark.parametrize("method", ["vera", "loha", "boft", "ia3", {"name": "beft", "targets": ["layer.1.attention.self.value", "layers.1.self_attn.v_proj"]}])
def test_the_loss_is_that_of_the_librarys_own_code(method: Any, model: str, made: Any) -> None:
    """Blocks with such a layer run as written; a block without one may still be fast."""
    if isinstance(method, dict):
        method = {**method, "targets": [target for target in method["targets"] if _names(target, model)]}
    job = made(method, model, moved=False)
    losses, gradients = [], []
    for fast in (True, False):
        with drawn_from(0, "adapter"):
            module = job.spec.method.attach(Base(pristine(job), job.spec.shape, job.reader.tokenizer, job.spec.goal.words)).eval()
        if fast:
            speed_up(module, job.spec.shape)
        learner: Any = Writer(module, job.reader.answers(), "cpu") if job.spec.shape.writes else Classifier(module, copy.deepcopy(job.learner.head))
        loss = learner.loss(job.batch(job.texts.train[:8]))
        loss.backward()
        losses.append(loss.detach())
        gradients.append([weight.grad for weight in module.parameters() if weight.requires_grad and weight.grad is not None])
    torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-6)
    assert gradients[0]


def _names(target: str, model: str) -> bool:
    return any(linear.module.endswith(target) for linear in SEEDED[model].linears)


# ── refusals, in words ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("key", "model", "knobs", "reason"), [
    ("oft", "seed-llama", {"block_size": 24}, "block_size is 24: it must divide the inputs of every chosen matrix, and query has 32; 32 divides them all"),
    ("oft", "seed-llama", {"block_size": 64, "targets": ("ffn_out", "query")}, "64.*query has 32"),
    ("boft", "seed-llama", {"block_size": 7}, "block_size is 7: it must be even"),
    ("boft", "seed-llama", {"block_size": 8, "butterflies": 4}, "butterflies but one is 64: it must divide the inputs"),
    ("vblora", "seed-llama", {"vector_length": 32}, "vector_length is 32: .* outputs .* value has 16; 16 divides them all"),
    ("vblora", "seed-llama", {"top": 9, "vectors": 8}, "top is 9: at most as many as .* vectors is 8"),
    ("hra", "seed-llama", {"rank": 3}, "rank is 3: it must be even.*take 4"),
    ("miss", "seed-llama", {"rank": 33}, "rank is 33: .* query has 32"),
    ("fourierft", "seed-llama", {"frequencies": 513}, "frequencies is 513: .* value has 512"),
    *((key, "seed-gpt2", {}, "transposed, in Conv1D layers") for key in ("loha", "lokr", "oft", "boft", "hra", "miss", "beft")),
])
def test_it_says_why_not(key: str, model: str, knobs: dict[str, Any], reason: str) -> None:
    with pytest.raises(LabError, match=reason):
        RunSpec.parse({"model": model, "task": "toy", "method": {"name": key, **knobs}})


@pytest.mark.parametrize("key", KEYS)
def test_a_wrong_target_is_refused(key: str) -> None:
    support = METHODS[key](targets=("attentoin",)).supports(SEEDED["seed-llama"])
    assert not support.ok and '"attentoin"' in support.reason


# ── sizes by arithmetic, and what is special to one method ────────────────────────────────────────────────────────────


VARIANTS: list[dict[str, Any]] = [
    {"name": "vera", "rank": 7}, {"name": "loha", "rank": 3, "targets": ["all"]}, {"name": "lokr", "rank": 2, "factor": 4, "targets": ["all"]},
    {"name": "lokr", "factor": 5}, {"name": "oft", "block_size": 8, "share": True, "targets": ["all"]}, {"name": "boft", "block_size": 4, "butterflies": 3},
    {"name": "hra", "rank": 2, "targets": ["ffn"]}, {"name": "fourierft", "frequencies": 9, "init": "gaussian"}, {"name": "miss", "rank": 5},
    {"name": "vblora", "vector_length": 8, "vectors": 12, "top": 3, "targets": ["all"]}, {"name": "randlora", "rank": 5, "targets": ["all"]},
    {"name": "beft", "targets": ["all"]}, {"name": "ia3", "targets": ["all"]},
]


@pytest.mark.parametrize("model", ["seed-bert", "seed-llama"])
@pytest.mark.parametrize("method", VARIANTS, ids=[f"{method['name']}-{place}" for place, method in enumerate(VARIANTS)])
def test_other_knobs_train_what_they_count(method: dict[str, Any], model: str, made: Any) -> None:
    job = made(method, model, moved=False)
    sizes = sorted(tuple(size) for place in job.spec.method.places(job.spec.shape) for _, size in place.tensors)
    assert sorted(tuple(weight.shape) for weight in job.trained()) == sizes
    base = asked(job, pristine(job))
    assert torch.equal(asked(job), base) == job.spec.method.starts_as_base()


def test_lokr_cuts_as_peft_does() -> None:
    from peft.tuners.lokr.layer import factorization

    for length in (1, 7, 12, 16, 36, 64, 97, 192, 384, 576, 1536):
        for factor in (0, 1, 3, 4, 5, 16, 24, 100):
            assert lokr._cut(length, factor) == factorization(length, factor or -1), (length, factor)


def test_the_bank_moves_more_slowly_than_what_chooses_from_it(made: Any) -> None:
    job = made("vblora", "seed-llama", moved=False)
    logits, bank = job.spec.method.groups(job.module, 0.5)
    assert (logits["lr"], bank["lr"]) == (0.5, 0.05)
    assert [tuple(weight.shape) for weight in bank["params"]] == [(90, 16)] and len(logits["params"]) == len(job.trained()) - 1


def test_mirrors_start_in_pairs_that_undo_each_other(made: Any) -> None:
    job = made("hra", "seed-llama", moved=False)
    torch.testing.assert_close(asked(job), asked(job, pristine(job)), rtol=1e-4, atol=1e-5)


def test_a_butterfly_starts_at_the_base_but_for_rounding_where_there_are_biases(made: Any) -> None:
    job = made("boft", "seed-bert", moved=False)
    base = pristine(job)
    for module in (base, job.module.get_base_model()):
        for name, weight in module.named_parameters():
            if name.endswith("bias"):
                weight.data = torch.linspace(-1, 1, len(weight))
    torch.testing.assert_close(asked(job), asked(job, base), rtol=1e-4, atol=1e-5)
