"""One base for several finished runs: one batch, in which each row has its own adapter, its own soft prompt or factors, and its own head.

    row 1  [x …]            + LoRA of run a           → head of a
    row 2  [p_1 … p_n ; x …]                           → head of b
    row 3  [x …]            ⊙ factors (IA3) of run c  → head of c
    row 4  [x …]                                      → the base as it is

LoRA rows are peft's own mixed batch (`adapter_names`). peft takes the same argument for every other method and passes over it without a word, so the rest is
done here, row by row: vectors of a soft prompt stand in the row's own embeddings, keys and values of a prefix in the row's own cache, and each row has its own
factors, 1 where it has none. Rows are padded on the right and masked, so none sees another one's parts: what a row is answered is what its run answers alone.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from lab.contracts import Item, LabError
from lab.engine import bases
from lab.engine.job import attention, choose_device, choose_dtype
from lab.engine.learner import Head, begun, starts_alone, to_vocabulary
from lab.engine.reload import finished_spec, reading, saved_head
from lab.engine.texts import Reader, unaided
from lab.engine.workshop import Workshop
from lab.events import Preparing
from lab.serving import shares, together
from lab.spec import RunSpec

BASE = "__base__"  # peft's word for rows that no adapter touches


@dataclass
class Own:
    """What one run puts beside the base, and how its texts are read and its answers found."""

    spec: RunSpec
    reader: Reader
    head: Head | None
    bytes: int  # of its files
    adapter: str = BASE  # in peft's model
    prompt: torch.Tensor | None = None  # (n, width)
    position: str = "front"
    prefix: torch.Tensor | None = None  # (2 x layers, heads, n, width of a head): keys, values, keys, values …
    factors: dict[str, tuple[torch.Tensor, bool]] = field(default_factory=dict)  # module → (width,), and whether they scale its inputs

    def read(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        return [row.ids for row in self.reader.encode([Item("asked", text) for text in texts])]

    @cached_property
    def answers(self) -> tuple[int, ...]:
        """The token ids that label words begin with; of a task that asks for a text there are none."""
        return self.reader.answers() if self.spec.goal.words else ()

    def untouched(self) -> Own:
        """The base with the task's own prompt and nothing else."""
        reader = self.reader
        plain = Reader(reader.tokenizer, reader.kind, self.spec.goal, reader.tokens, self.spec.shape.positions, unaided)
        return Own(self.spec, plain, None, 0)


@dataclass(frozen=True)
class Row:
    """A text as token ids, and whose parts it is read with."""

    ids: tuple[int, ...]
    own: Own


@dataclass(frozen=True)
class Laid:
    """Rows as one batch of embeddings, padded on the right."""

    embeds: torch.Tensor  # (rows, positions, width)
    mask: torch.Tensor  # (rows, positions): text and virtual tokens
    text: torch.Tensor  # (rows, positions): the text's alone
    last: torch.Tensor  # (rows,): where an answer begins


@dataclass
class Shared:
    """Several runs opened on one base."""

    pristine: bases.Pristine
    module: Any
    runs: tuple[Own, ...]
    device: str

    @property
    def base_bytes(self) -> int:
        held = {storage.data_ptr(): storage.nbytes() for tensor in bases.tensors(self.pristine.module) if (storage := tensor.untyped_storage())}
        return sum(held.values())

    def rows(self, place: int, texts: Sequence[str]) -> list[Row]:
        own = self.runs[place]
        return [Row(ids, own) for ids in own.read(texts)]

    @torch.no_grad()
    def scores(self, rows: Sequence[Row]) -> list[torch.Tensor]:
        """(labels,) of each row's own task, float32: logits of its head, or of a language model the log-probabilities of the label words among all words."""
        found = self.seen(rows)
        if not self.writes:
            return [row.own.head.linear(line) if row.own.head else line for row, line in zip(rows, found, strict=True)]
        return [line.log_softmax(0)[list(row.own.answers)] for row, line in zip(rows, found, strict=True)]

    @torch.no_grad()
    def seen(self, rows: Sequence[Row]) -> torch.Tensor:
        """(rows, width) the mean over each text's features; of a language model (rows, vocabulary) logits where the answer begins. float32."""
        laid = self.laid(rows)
        with self.parts_of(rows) as adapters:
            arguments = {"inputs_embeds": laid.embeds, "attention_mask": laid.mask, **adapters, **self._prefixes(rows, laid)}
            if not self.writes:
                return _mean(self.module(**arguments).last_hidden_state, laid)
            if starts_alone(self.module):
                return self.module(**arguments, decoder_input_ids=begun(self.module, laid.last.new_empty(len(rows), 0)), use_cache=False).logits[:, -1].float()
            with _before_words(self.module, lambda hidden: hidden[torch.arange(len(rows)), laid.last]):
                return self.module(**arguments, use_cache=False).logits.float()

    @torch.no_grad()
    def features(self, rows: Sequence[Row]) -> torch.Tensor:
        """(rows, width) the mean over each text of what the last layer gives, float32; also of a language model, which is asked for no word."""
        if not self.writes:
            return self.seen(rows)
        laid, kept = self.laid(rows), []
        with self.parts_of(rows) as adapters, _before_words(self.module, lambda hidden: kept.append(hidden) or hidden[:, :1]):
            self.module(inputs_embeds=laid.embeds, attention_mask=laid.mask, use_cache=False, **adapters, **self._prefixes(rows, laid))
        return _mean(kept[0], laid)

    @property
    def writes(self) -> bool:
        return self.runs[0].spec.shape.writes

    def laid(self, rows: Sequence[Row], left: bool = False) -> Laid:
        """`left`: padded there, for texts that are to be continued."""
        table = self.module.get_input_embeddings()
        made = [_with_prompt(table(torch.tensor(row.ids, device=self.device)), row.own) for row in rows]
        longest = max(len(vectors) for vectors, _ in made)
        embeds = made[0][0].new_zeros(len(rows), longest, made[0][0].shape[1])
        mask, text = (torch.zeros(len(rows), longest, dtype=torch.long, device=self.device) for _ in range(2))
        for place, (vectors, real) in enumerate(made):
            here = slice(longest - len(vectors), longest) if left else slice(0, len(vectors))
            embeds[place, here], mask[place, here], text[place, here] = vectors, 1, real
        return Laid(embeds, mask, text, mask.sum(1) - 1)

    @contextmanager
    def parts_of(self, rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
        """Each row's adapter, as an argument of the model, and each row's factors, as long as this lasts."""
        base = self.module.get_base_model() if hasattr(self.module, "get_base_model") else self.module
        with ExitStack() as hooks:
            for name in dict.fromkeys(name for row in rows for name in row.own.factors):
                scaled, inputs = _factors(rows, name)
                layer = base.get_submodule(name)
                into, how = (layer.register_forward_pre_hook, _scale_inputs) if inputs else (layer.register_forward_hook, _scale_outputs)
                hooks.callback(into(partial(how, scaled)).remove)
            yield {"adapter_names": [row.own.adapter for row in rows]} if self.module is not base else {}

    def _prefixes(self, rows: Sequence[Row], laid: Laid) -> dict[str, Any]:
        """Keys and values in front of each row, right against its text; a shorter prefix has masked places before it."""
        from transformers import DynamicCache

        lengths = [0 if row.own.prefix is None else row.own.prefix.shape[2] for row in rows]
        longest = max(lengths)
        if not longest:
            return {}
        like = next(row.own.prefix for row in rows if row.own.prefix is not None)
        both = torch.zeros(len(rows), like.shape[0], like.shape[1], longest, like.shape[3], dtype=laid.embeds.dtype, device=self.device)
        before = torch.zeros(len(rows), longest, dtype=torch.long, device=self.device)
        for place, (row, length) in enumerate(zip(rows, lengths, strict=True)):
            if length:
                both[place, :, :, longest - length:], before[place, longest - length:] = row.own.prefix, 1
        cache = DynamicCache()
        for layer in range(like.shape[0] // 2):
            cache.update(both[:, 2 * layer], both[:, 2 * layer + 1], layer)
        places = torch.arange(laid.mask.shape[1], device=self.device) + torch.tensor(lengths, device=self.device).unsqueeze(1)
        return {"past_key_values": cache, "attention_mask": torch.cat([before, laid.mask], 1),
                "position_ids": places.clamp(max=self.runs[0].spec.shape.positions - 1)}  # behind a row's end nothing counts


def share(folders: Sequence[Path], workshop: Workshop, dtype: str = "auto") -> Generator[Preparing, None, Shared]:
    """The finished runs in these folders on one base. Raises LabError where one holds no run, stands on another base, or cannot share one."""
    specs = [RunSpec.parse({**finished_spec(folder).to_dict(), "dtype": dtype}) for folder in folders]
    fits = together(specs)
    if not fits.ok:
        raise LabError(fits.reason)
    device = choose_device(specs[0].device)
    how = max((attention(spec, device) for spec in specs), key=["eager", "sdpa"].index)  # sdpa where one text is long
    pristine = yield from workshop.base(specs[0].base, choose_dtype(specs[0], device, workshop), how, device)
    module, runs = bases.fresh(pristine), []
    for place, (spec, folder) in enumerate(zip(specs, folders, strict=True)):
        module, own = _opened(module, spec, folder, pristine, device, f"run{place}")
        runs.append(own)
    return Shared(pristine, module.eval(), tuple(runs), device)


def _opened(module: Any, spec: RunSpec, folder: Path, pristine: bases.Pristine, device: str, name: str) -> tuple[Any, Own]:
    """The model with the run's LoRA in it, where it has one, and everything else of the run beside it."""
    fits = shares(spec)
    if not fits.ok:
        raise LabError(fits.reason)
    own = Own(spec, reading(spec, pristine, folder), saved_head(spec, folder / "adapter" / "head.safetensors", device), file_bytes(folder))
    for part in _parts(folder / "adapter"):
        kind = _kind(part)
        if kind == "LORA":
            module, own = with_lora(module, part, name), replace(own, adapter=name)
        elif kind:
            own = replace(own, **LOADERS[kind](part, spec, device))
    return module, own


def with_lora(module: Any, part: Path, name: str) -> Any:
    """The model with one more LoRA in it, which answers only where it is named."""
    from peft import PeftModel

    if not hasattr(module, "peft_config"):
        return PeftModel.from_pretrained(module, str(part), adapter_name=name)
    module.load_adapter(str(part), adapter_name=name)
    return module


def file_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "adapter").rglob("*.safetensors"))


def _parts(folder: Path) -> list[Path]:
    """Where what was trained lies: in the folder itself, or in one for each part of a combination."""
    parts = folder / "stack.json"
    return [folder / each["folder"] for each in json.loads(parts.read_text(encoding="utf-8"))] if parts.exists() else [folder]


def _kind(part: Path) -> str:
    """peft's word for it; "" where nothing but a head was trained."""
    if (part / "prompt.safetensors").exists():
        return "PROMPT"
    config = part / "adapter_config.json"
    return json.loads(config.read_text(encoding="utf-8"))["peft_type"] if config.exists() else ""


def _tensors(part: Path, device: str, file: str = "adapter_model.safetensors") -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(part / file, device=device)


def _prompt_of(part: Path, spec: RunSpec, device: str) -> dict[str, Any]:
    """Only the vectors that are read: of an encoder-decoder those of the reading stack."""
    return {"prompt": _tensors(part, device)["prompt_embeddings"][:spec.method.virtual_tokens_used()]}


def _placed_prompt_of(part: Path, spec: RunSpec, device: str) -> dict[str, Any]:
    return {"prompt": _tensors(part, device, "prompt.safetensors")["prompt"], "position": json.loads((part / "prompt.json").read_text())["position"]}


def _prefix_of(part: Path, spec: RunSpec, device: str) -> dict[str, Any]:
    numbers, heads = _tensors(part, device)["prompt_embeddings"], spec.shape.kv_heads  # (n, 2 x layers x width)
    return {"prefix": numbers.view(len(numbers), 2 * spec.shape.layers, heads, -1).permute(1, 2, 0, 3)}


def _factors_of(part: Path, spec: RunSpec, device: str) -> dict[str, Any]:
    inputs = json.loads((part / "adapter_config.json").read_text(encoding="utf-8"))["feedforward_modules"]
    named = {name.removeprefix("base_model.model.").removesuffix(".ia3_l"): vector.flatten() for name, vector in _tensors(part, device).items()}
    return {"factors": {name: (vector, name in inputs) for name, vector in named.items()}}


LOADERS = {"PROMPT": _placed_prompt_of, "PROMPT_TUNING": _prompt_of, "P_TUNING": _prompt_of, "PREFIX_TUNING": _prefix_of, "IA3": _factors_of}


@contextmanager
def _before_words(module: Any, chosen: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """Only the `chosen` hidden states go on to the vocabulary, which is the largest product of a small model."""
    hook = to_vocabulary(module).register_forward_pre_hook(lambda layer, hidden: (chosen(hidden[0]),))
    try:
        yield
    finally:
        hook.remove()


def _mean(hidden: torch.Tensor, laid: Laid) -> torch.Tensor:
    """(rows, width) over each text's own positions, float32."""
    return (hidden.float() * laid.text.unsqueeze(-1)).sum(1) / laid.text.sum(1, keepdim=True)


def _with_prompt(embeds: torch.Tensor, own: Own) -> tuple[torch.Tensor, torch.Tensor]:
    """(positions, width) with the vectors where they belong, and (positions,) 1 where the text is."""
    real = torch.ones(len(embeds), dtype=torch.long, device=embeds.device)
    if own.prompt is None:
        return embeds, real
    prompt = own.prompt.to(embeds.dtype)
    if own.position == "added":
        n = min(len(prompt), len(embeds))
        return torch.cat([embeds[:n] + prompt[:n], embeds[n:]]), real
    cut = {"front": 0, "middle": len(embeds) // 2, "end": len(embeds)}[own.position]
    return torch.cat([embeds[:cut], prompt, embeds[cut:]]), torch.cat([real[:cut], real.new_zeros(len(prompt)), real[cut:]])


def _factors(rows: Sequence[Row], name: str) -> tuple[torch.Tensor, bool]:
    """(rows, 1, width) of one module, and whether its inputs are scaled."""
    like, inputs = next(row.own.factors[name] for row in rows if name in row.own.factors)
    ones = torch.ones_like(like)
    return torch.stack([row.own.factors[name][0] if name in row.own.factors else ones for row in rows]).unsqueeze(1), inputs


def _scale_inputs(factors: torch.Tensor, layer: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    return (_scaled(arguments[0], factors), *arguments[1:])


def _scale_outputs(factors: torch.Tensor, layer: Any, arguments: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
    return _scaled(output, factors)


def _scaled(numbers: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Some models lay the positions of all rows one below the other: (rows x positions, width)."""
    rows = numbers.view(len(factors), -1, numbers.shape[-1])
    return (rows * factors).to(numbers.dtype).view(numbers.shape)
