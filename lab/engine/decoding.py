"""Written answers of a language model: whole lists in batches, or one answer piece by piece, both by transformers' own `generate`."""
from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from threading import Event, Thread
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteria, TextIteratorStreamer

from lab.contracts import Kind, LabError
from lab.engine.chance import drawn_from

POSITIONS_AT_ONCE = 8192  # prompts and answers of one batch: a step costs little more for many rows, and 8,192 kept positions of SmolLM2 are 190 MB


@dataclass(frozen=True)
class Decoding:
    """How an answer is written: the most likely token each time, or `sampled` from the likeliest ones that together have `top_p`."""

    longest: int  # new tokens
    stop: tuple[str, ...] = ()  # what ends an answer and is not part of it, beside the model's own end
    sampled: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.longest < 1:
            raise LabError(f"longest is {self.longest}: an answer has at least 1 token")
        if not self.temperature > 0:
            raise LabError(f"temperature is {self.temperature}: must be more than 0; for the most likely answer leave sampled off")
        if not 0 < self.top_p <= 1:
            raise LabError(f"top_p is {self.top_p}: must be more than 0 and at most 1")
        if "" in self.stop:
            raise LabError("stop has an empty text, which would end every answer at once: leave it out")

    def cut(self, text: str) -> str:
        """Without what stands behind the first stop. One in front of the first word ends nothing: many models begin an answer on a new line."""
        begin = len(text) - len(text.lstrip())
        return text[:min((place for stop in self.stop if (place := text.find(stop, begin)) >= 0), default=len(text))]


def written(module: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], how: Decoding, device: str, kind: Kind) -> Generator[int, None, list[str]]:
    """Answers to prompts of token ids, batches of similar length; yields how many are done. The module is in eval mode meanwhile."""
    training, texts, done = module.training, [""] * len(prompts), 0
    module.eval()
    try:
        for number, group in enumerate(_groups(module, prompts, how, kind)):
            rows = _generate(module, tokenizer, [prompts[place] for place in group], how, device, kind, number)
            for place, row in zip(group, rows, strict=True):
                texts[place] = how.cut(tokenizer.decode(row, skip_special_tokens=True)).strip()
            done += len(group)
            yield done
    finally:
        module.train(training)
    return texts


def streamed(module: Any, tokenizer: Any, prompt: Sequence[int], how: Decoding, device: str, kind: Kind) -> Iterator[str]:
    """Pieces of one answer as they come; together they are what `written` gives. Whoever stops listening ends the writing as well."""
    streamer = Pieces(tokenizer, skip_prompt=True, skip_special_tokens=True)
    unheard, failed = Event(), []
    arithmetic = torch.autocast(device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device))  # it does not reach a new thread by itself

    def write() -> None:
        try:
            with arithmetic:
                _generate(module, tokenizer, [prompt], how, device, kind, 0, streamer, unheard)
        except Exception as error:
            failed.append(error)
            streamer.text_queue.put(streamer.stop_signal)

    training, writer = module.training, Thread(target=write, daemon=True)
    module.eval()
    writer.start()
    try:
        yield from _pieces(streamer, how)
    finally:
        unheard.set()
        writer.join()
        module.train(training)
    if failed:
        raise failed[0]


def _pieces(parts: Iterator[str], how: Decoding) -> Iterator[str]:
    """What is sure to stay: neither space around the answer nor what may become a stop is told before it is clear what follows."""
    text, told = "", 0
    for part in parts:
        text += part
        answer = how.cut(text)
        sure = answer if len(answer) < len(text) else answer[:len(answer) - _begun(answer, how.stop)]
        told += len(text[told:]) - len(text[told:].lstrip()) if not text[:told].strip() else 0
        if piece := sure.rstrip()[told:]:
            told += len(piece)
            yield piece
    if piece := how.cut(text).rstrip()[told:]:
        yield piece


def _begun(text: str, stops: Sequence[str]) -> int:
    """How much of the text's end is the beginning of a stop."""
    return max((length for stop in stops for length in range(1, len(stop)) if text.endswith(stop[:length])), default=0)


def _groups(module: Any, prompts: Sequence[Sequence[int]], how: Decoding, kind: Kind) -> Iterator[list[int]]:
    """Places of prompts of similar length, as many as fit POSITIONS_AT_ONCE.

    peft's soft prompts stand in front of the padding, and peft gives every model positions that count the padding in: a text would lie farther from
    its prompt than alone. There only prompts of equal length share a batch.
    """
    ranked = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    equal = kind == "decoder" and getattr(getattr(module, "active_peft_config", None), "is_prompt_learning", False)
    for _, alike in groupby(ranked, lambda place: len(prompts[place]) if equal else 0):
        places = list(alike)
        while places:
            size = len(places)
            while size > 1 and size * (len(prompts[places[size - 1]]) + how.longest) > POSITIONS_AT_ONCE:
                size -= 1
            yield places[:size]
            places = places[size:]


def _generate(module: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], how: Decoding, device: str, kind: Kind, number: int,
              streamer: TextIteratorStreamer | None = None, unheard: Event | None = None) -> list[list[int]]:
    """New token ids of each prompt, without the model's own end and what follows it."""
    if not all(prompts):
        raise LabError("a prompt has no token: give the model at least one to continue")
    longest = max(map(len, prompts))
    pads = [longest - len(prompt) for prompt in prompts]
    left = kind == "decoder"  # it continues the last position; an encoder has read its texts padded on the right
    before, after = [pad * left for pad in pads], [pad * (not left) for pad in pads]
    pad_id, rows = tokenizer.pad_token_id, list(zip(before, prompts, after, strict=True))
    ids = torch.tensor([[*[pad_id] * early, *prompt, *[pad_id] * late] for early, prompt, late in rows], device=device)  # (batch, tokens)
    mask = torch.tensor([[*[0] * early, *[1] * len(prompt), *[0] * late] for early, prompt, late in rows], device=device)
    said = longest if left else 1  # what stands in front of the answer: the prompt, or the start token
    stopping = Stopping(tokenizer, how.stop, said, unheard or Event())
    with settled(module, tokenizer, how) as ends, _chance(how, number), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Position ids are not supported")  # peft drops those that transformers makes; see _groups
        answers = module.generate(input_ids=ids, attention_mask=mask, stopping_criteria=[stopping], streamer=streamer)[:, said:].tolist()
    return [row[:min((place for place, token in enumerate(row) if token in ends), default=len(row))] for row in answers]


class Pieces(TextIteratorStreamer):
    """peft copies what `generate` is given for an encoder-decoder with a soft prompt; the listener would wait for the original."""

    def __deepcopy__(self, seen: Any) -> Pieces:
        return self


class Stopping(StoppingCriteria):
    """Ends each row at its stop, and all of them when nobody listens any more.

    It reads the answers themselves: every stop is found, however the tokens cut it, without a table over the vocabulary as transformers' own makes.
    """

    def __init__(self, tokenizer: Any, stops: Sequence[str], said: int, unheard: Event) -> None:
        self.tokenizer, self.stops, self.said, self.unheard = tokenizer, stops, said, unheard
        self.ended: list[bool] = []

    def __call__(self, input_ids: torch.Tensor, scores: Any, **others: Any) -> torch.Tensor:
        self.ended = self.ended or [False] * len(input_ids)
        if self.stops:
            for place, row in enumerate(input_ids[:, self.said:].tolist()):
                self.ended[place] = self.ended[place] or self._stops(row)
        return torch.tensor([ended or self.unheard.is_set() for ended in self.ended], device=input_ids.device)

    def __deepcopy__(self, seen: Any) -> Stopping:
        """peft copies what `generate` is given; a signal is the same for everybody."""
        return self

    def _stops(self, row: list[int]) -> bool:
        text = self.tokenizer.decode(row, skip_special_tokens=True).lstrip()
        return any(stop in text for stop in self.stops)


@contextmanager
def settled(module: Any, tokenizer: Any, how: Decoding) -> Iterator[set[int]]:
    """Nothing but `how` decides inside: settings that came with the model stand aside, its start and end tokens excepted. Gives the end tokens."""
    models = [part for part in module.modules() if isinstance(vars(part).get("generation_config"), GenerationConfig)]
    kept = [model.generation_config for model in models]
    ends = {tokenizer.eos_token_id} - {None}
    for old in kept:
        ends |= set(old.eos_token_id if isinstance(old.eos_token_id, list) else [old.eos_token_id]) - {None}
    starts = {name: value for old in kept for name in ("bos_token_id", "decoder_start_token_id") if (value := getattr(old, name)) is not None}
    chosen = {"do_sample": True, "temperature": how.temperature, "top_p": how.top_p, "top_k": 0} if how.sampled else {"do_sample": False}
    try:
        for model in models:
            model.generation_config = GenerationConfig(max_new_tokens=how.longest, use_cache=True, eos_token_id=sorted(ends) or None,
                                                       pad_token_id=tokenizer.pad_token_id, **starts, **chosen)
        yield ends
    finally:
        for model, old in zip(models, kept, strict=True):
            model.generation_config = old


@contextmanager
def _chance(how: Decoding, number: int) -> Iterator[None]:
    """Each batch draws from a generator of its own; without sampling nothing is drawn."""
    if not how.sampled:
        yield
        return
    with drawn_from(how.seed, f"sampling {number}"):
        yield
