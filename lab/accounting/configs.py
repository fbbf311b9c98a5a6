"""Reading a transformers config: sizes within limits, errors by the config's own names, and the tensors that many architectures share."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lab.contracts import LabError, Linear, Weight, shorten

Config = Mapping[str, Any]
LARGEST = {"layers": 1_000, "width": 1_000_000, "heads": 10_000, "ffn": 10_000_000, "vocabulary": 10_000_000, "positions": 100_000_000, "pixels": 100_000}
REQUIRED = object()


# ── reading a config ──────────────────────────────────────────────────────────────────────────────────────────────────


def size(config: Config, keys: str, kind: str, default: Any = REQUIRED) -> int:
    """The first of `keys` that the config has: some families have a name of their own and understand the common one."""
    names = keys.split()
    key = next((name for name in names if config.get(name) is not None), names[0])
    value = config.get(key)
    if value is None and default is not REQUIRED:
        value = default
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST[kind]:
        said = "missing" if value is None else f'the text "{shorten(value)}"' if isinstance(value, str) else shorten(value)
        raise LabError(f"{key} of the config is {said}: must be a whole number from 1 to {LARGEST[kind]:,}")
    return value


def sizes(config: Config, layers: str = "num_hidden_layers", width: str = "hidden_size", heads: str = "num_attention_heads") -> tuple[int, int, int]:
    return size(config, layers, "layers"), size(config, width, "width"), size(config, heads, "heads")


def divide(width: int, heads: int, words: str) -> None:
    """`words`: the config's own names of both."""
    if width % heads:
        of, by = words.split()
        raise LabError(f"{by} is {heads}: it must divide {of}, which is {width}")


def sides(config: Config, key: str) -> tuple[int, int]:
    """A height and a width, for which one number may stand."""
    value = config.get(key)
    pair = tuple(value) if isinstance(value, list | tuple) and len(value) == 2 else (value, value)
    return size({key: pair[0]}, key, "pixels"), size({key: pair[1]}, key, "pixels")


# ── tensors ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def norm(layer: int | None, name: str, width: int, bias: bool = True) -> list[Weight]:
    return [Weight("norm", layer, f"{name}.{part}", (width,)) for part in ("weight", "bias")[:1 + bias]]


def table(name: str, *sizes: int) -> Weight:
    return Weight("embedding", None, name, sizes)


def output(config: Config, width: int, vocabulary: int, tied: bool) -> list[Linear]:
    """The layer from vectors to words, where it is not the word embeddings again; `tied` is what transformers takes for granted."""
    return [] if config.get("tie_word_embeddings", tied) else [Linear("lm_head", None, "lm_head", width, vocabulary, False)]


def rows(layer: int, at: str, table: Mapping[str, tuple[str, int, int, bool]], conv1d: bool = False) -> Iterator[Linear]:
    """One linear for each role: its name inside the block, inputs, outputs, and whether it has a bias."""
    for role, (name, inputs, outputs, bias) in table.items():
        yield Linear(role, layer, f"{at}.{name}", inputs, outputs, bias, conv1d)
