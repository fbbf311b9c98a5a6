"""The states behind each block of several models for one batch, and how similar they are."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from lab.lens import Specimen
from lab.lenses import _reading
from lab.lenses._similarity import Similarity

Name = tuple[str, int | None]  # stack, layer


def compare(specimen: Specimen, models: list[Any], batch: Any, compared: dict[Name, Similarity]) -> None:
    """Add a batch to what is known of each layer."""
    base = dict(_states(specimen, specimen.base, batch))
    others = [dict(_states(specimen, model, batch)) for model in models]
    for name, states in base.items():
        compared.setdefault(name, Similarity(len(models))).add(states, [each[name] for each in others])


def _states(specimen: Specimen, model: Any, batch: Any) -> Iterator[tuple[Name, Tensor]]:
    """(words, width) of what goes into the first block and of what each gives."""
    output = specimen.run(model, batch, output_hidden_states=True, **_reading.begun(specimen, batch))
    if not specimen.base.config.is_encoder_decoder:
        yield from _named("", 0, (_reading.at_words(specimen, batch, states) for states in output.hidden_states))
        return
    yield from _named("reading", 0, (_reading.at_words(specimen, batch, states) for states in output.encoder_hidden_states))
    first = specimen.shape.encoder_layers
    yield from _named("writing", first, (_reading.at_words(specimen, batch, states, writing=True) for states in output.decoder_hidden_states))


def _named(stack: str, first: int, states: Iterator[Tensor]) -> Iterator[tuple[Name, Tensor]]:
    for place, each in enumerate(states):
        yield (stack, first + place - 1 if place else None), each
