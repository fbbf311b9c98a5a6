"""Written answers: the same in a batch as alone, ended where they should, repeatable, and nothing left changed."""
from __future__ import annotations

import threading
import warnings
from typing import Any

import pytest
import torch
from _trials import every_nth
from torch import nn

from lab import catalogue
from lab.contracts import Base, LabError
from lab.engine import Workshop, bases, fast
from lab.engine.chance import drawn_from
from lab.engine.decoding import Decoding, streamed, written
from lab.engine.fast import frozen
from lab.engine.scoring import finished
from lab.spec import RunSpec

TEXTS = ["the film is", "a long and slow story about a sad man who", "good", "the actors are very bad and the film is not", "what a film", "it is bad because"]
WRITERS = ["seed-llama", "seed-gpt2", "seed-opt", "seed-neox", "seed-qwen2", "seed-t5"]
METHODS: list[dict[str, Any]] = [{"name": "head"}, {"name": "lora", "targets": ["all"]}, {"name": "prompt_tuning", "virtual_tokens": 5}, {"name": "houlsby"}]


class Asked:
    """A seeded model with a method, whose trained tensors are moved so that they matter, and what it takes to ask it."""

    def __init__(self, workshop: Workshop, finish: Any, model: str, method: dict[str, Any], fastened: bool = False) -> None:
        spec = RunSpec.parse({"model": model, "method": {"name": "lora"} if method["name"] in ("head", "prefix") else method})
        self.kind, self.pristine = spec.shape.kind, finish(workshop.base(catalogue.find("models", model), torch.float32, "eager", "cpu"))[1]
        self.tokenizer, module = self.pristine.tokenizer, bases.fresh(self.pristine)
        with drawn_from(0, "adapter"):
            if method["name"] == "prefix":
                module = prefixed(module, self.kind)
            elif method["name"] != "head":
                module = spec.method.attach(Base(module, spec.shape, self.tokenizer, (" good", " bad")))
            for weight in module.parameters():
                if weight.requires_grad:
                    weight.data = weight.data + 0.1 * torch.randn_like(weight)
        self.module, self.shape = module, spec.shape
        self.prompts = [self.tokenizer(text)["input_ids"] for text in TEXTS]

    def written(self, how: Decoding, prompts: list[list[int]] | None = None) -> list[str]:
        return finished(written(self.module, self.tokenizer, prompts or self.prompts, how, "cpu", self.kind))

    def streamed(self, how: Decoding, prompt: list[int]) -> Any:
        return streamed(self.module, self.tokenizer, prompt, how, "cpu", self.kind)


def prefixed(module: Any, kind: str) -> Any:
    from peft import PrefixTuningConfig, get_peft_model

    return get_peft_model(module, PrefixTuningConfig(task_type="SEQ_2_SEQ_LM" if kind == "seq2seq" else "CAUSAL_LM", num_virtual_tokens=5))


@pytest.fixture
def asked(workshop: Workshop, finish: Any) -> Any:
    return lambda model="seed-llama", method=None: Asked(workshop, finish, model, method or METHODS[0])


# ── the same answers however they are asked for ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", [*METHODS, {"name": "prefix"}], ids=lambda method: method["name"])
@pytest.mark.parametrize("model", every_nth(3, WRITERS))
def test_a_batch_answers_as_each_alone(asked: Any, model: str, method: dict[str, Any]) -> None:
    asked, how = asked(model, method), Decoding(12)
    together = asked.written(how)
    assert together == [asked.written(how, [prompt])[0] for prompt in asked.prompts]
    assert method["name"] != "head" or len(set(together)) > 1


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method["name"])
@pytest.mark.parametrize("model", ["seed-llama", "seed-gpt2", "seed-t5"])
def test_one_by_one_is_the_most_likely_token_each_time(asked: Any, model: str, method: dict[str, Any]) -> None:
    """Without cache, batch or generate: the whole text is read again for each token."""
    asked = asked(model, method)
    expected = []
    for prompt in asked.prompts[:3]:
        ids, said = list(prompt), [getattr(asked.pristine.module.config, "decoder_start_token_id", None)]
        for _ in range(8):
            arguments = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
            arguments |= {"decoder_input_ids": torch.tensor([said])} if asked.kind == "seq2seq" else {}
            with torch.no_grad():
                token = int(asked.module(**arguments).logits[0, -1].argmax())
            if token == asked.tokenizer.eos_token_id:
                break
            (said if asked.kind == "seq2seq" else ids).append(token)
        new = said[1:] if asked.kind == "seq2seq" else ids[len(prompt):]
        expected.append(asked.tokenizer.decode(new, skip_special_tokens=True).strip())
    assert asked.written(Decoding(8), asked.prompts[:3]) == expected


@pytest.mark.parametrize("model", WRITERS)
def test_pieces_together_are_the_answer(asked: Any, model: str) -> None:
    asked = asked(model)
    for how in (Decoding(12), Decoding(12, sampled=True, seed=3)):
        for prompt in asked.prompts[:3]:
            assert "".join(asked.streamed(how, prompt)) == asked.written(how, [prompt])[0]


@pytest.mark.parametrize("method", [{"name": "lora"}, {"name": "top_layers", "layers": 1}], ids=lambda method: method["name"])
def test_fast_blocks_and_kept_ones_answer_as_the_plain_model(workshop: Workshop, finish: Any, method: dict[str, Any]) -> None:
    plain, quick = (Asked(workshop, finish, "seed-llama", method) for _ in range(2))
    codes, kept = fast.speed_up(quick.module, quick.shape), frozen.Kept()
    spared = frozen.keep(quick.module, quick.shape, kept)
    assert (codes and not spared) if method["name"] == "lora" else spared
    for _ in range(2):  # the second time from what was kept, if anything was
        assert quick.written(Decoding(10)) == plain.written(Decoding(10))


# ── where an answer ends ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("model", ["seed-llama", "seed-t5"])
def test_a_stop_ends_each_answer_for_itself(asked: Any, model: str) -> None:
    asked = asked(model)
    whole = asked.written(Decoding(16))
    stop = next(text for text in whole if len(text) > 6)[3:6]
    for how in (Decoding(16, (stop,)), Decoding(16, ("never to be found", stop))):
        assert asked.written(how) == [text.split(stop)[0].strip() for text in whole]
        assert "".join(asked.streamed(how, asked.prompts[0])) == whole[0].split(stop)[0].strip()


@pytest.mark.parametrize("model", ["seed-llama", "seed-t5"])
def test_the_models_own_end_is_no_part_of_the_answer(asked: Any, model: str) -> None:
    """The last token of the longest row, which repeats itself, is made the end: that row ends there, the others go on."""
    asked = asked(model)
    whole = asked.written(Decoding(10))
    longest = max(range(len(whole)), key=lambda place: len(whole[place]))
    config = asked.module.generation_config
    config.eos_token_id = asked.tokenizer(" " + whole[longest], add_special_tokens=False)["input_ids"][-1]
    found = asked.written(Decoding(10))
    assert len(found[longest]) < len(whole[longest])
    assert found == [asked.written(Decoding(10), [prompt])[0] for prompt in asked.prompts]
    assert asked.module.generation_config is config


def test_writing_ends_when_all_rows_have_ended(asked: Any) -> None:
    asked = asked()
    calls: list[int] = []
    asked.module.register_forward_hook(lambda *_: calls.append(1))
    stop = asked.written(Decoding(12), asked.prompts[:1])[0][:1]
    calls.clear()
    assert asked.written(Decoding(200, (stop,)), asked.prompts[:1]) == [""]
    assert len(calls) < 10


# ── sampling, and what must not change ────────────────────────────────────────────────────────────────────────────────


def test_sampling_repeats_for_a_seed_and_disturbs_no_generator(asked: Any) -> None:
    asked = asked()
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = asked.written(Decoding(12, sampled=True, seed=1))
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert asked.written(Decoding(12, sampled=True, seed=1)) == first
    assert asked.written(Decoding(12, sampled=True, seed=2)) != first
    assert asked.written(Decoding(12, sampled=True, temperature=1e-4)) == asked.written(Decoding(12)) == asked.written(Decoding(12, sampled=True, top_p=1e-6))


def test_settings_that_came_with_the_model_decide_nothing(asked: Any) -> None:
    asked = asked()
    expected = asked.written(Decoding(10))
    config = asked.module.generation_config
    config.do_sample, config.temperature, config.top_k, config.repetition_penalty, config.max_length, config.num_beams = True, 5.0, 3, 9.0, 5, 4
    assert asked.written(Decoding(10)) == expected


@pytest.mark.parametrize("training", [True, False])
def test_the_module_is_left_as_it_was(asked: Any, training: bool) -> None:
    asked = asked(method={"name": "lora", "dropout": 0.5})
    asked.module.train(training)
    asked.written(Decoding(4))
    list(asked.streamed(Decoding(4), asked.prompts[0]))
    assert all(part.training == training for part in asked.module.modules())
    assert not asked.module.config.use_cache


def test_a_module_that_passes_generate_on(asked: Any) -> None:
    class Around(nn.Module):
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner, self.config = inner, inner.config

        def generate(self, **inputs: Any) -> Any:
            return self.inner.generate(**inputs)

    asked = asked()
    expected, asked.module = asked.written(Decoding(8)), Around(asked.module)
    assert asked.written(Decoding(8)) == expected


def test_nothing_is_printed(asked: Any, capfd: pytest.CaptureFixture[str]) -> None:
    import transformers

    loud = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_warning()
    try:
        for model, method in (("seed-llama", METHODS[0]), ("seed-gpt2", METHODS[1]), ("seed-llama", METHODS[2]), ("seed-t5", METHODS[2])):
            subject = asked(model, method)
            capfd.readouterr()
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                subject.written(Decoding(4, ("x",)))
                subject.written(Decoding(4, sampled=True))
                list(subject.streamed(Decoding(4), subject.prompts[0]))
            assert capfd.readouterr() == ("", "")
    finally:
        transformers.logging.set_verbosity(loud)


# ── streams that end early, and errors ────────────────────────────────────────────────────────────────────────────────


def test_whoever_stops_listening_ends_the_writing(asked: Any) -> None:
    asked, before = asked(), threading.active_count()
    calls: list[int] = []
    asked.module.register_forward_hook(lambda *_: calls.append(1))
    pieces = asked.streamed(Decoding(400, sampled=True), asked.prompts[0])
    next(pieces)
    pieces.close()
    assert threading.active_count() == before
    assert len(calls) < 400


def test_an_error_of_the_model_reaches_the_listener(asked: Any) -> None:
    asked = asked()
    asked.module.register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(asked.streamed(Decoding(4), asked.prompts[0]))
    with pytest.raises(ZeroDivisionError):
        asked.written(Decoding(4))


def test_errors_say_what_to_do(asked: Any) -> None:
    for settings, words in (({"longest": 0}, "longest is 0"), ({"longest": 1, "temperature": 0.0}, "temperature is 0.0: must be more than 0"),
                            ({"longest": 1, "top_p": 1.5}, "top_p is 1.5"), ({"longest": 1, "stop": ("",)}, "stop has an empty text")):
        with pytest.raises(LabError, match=words):
            Decoding(**settings)
    with pytest.raises(LabError, match="a prompt has no token"):
        asked().written(Decoding(4), [[]])


def test_it_yields_how_many_are_done(asked: Any, finish: Any) -> None:
    asked = asked()
    seen, texts = finish(written(asked.module, asked.tokenizer, asked.prompts * 90, Decoding(12), "cpu", asked.kind))
    assert seen == sorted(seen) and seen[-1] == len(texts) == 90 * len(TEXTS) and len(seen) > 1
    assert texts == texts[:len(TEXTS)] * 90


@pytest.mark.slow
def test_smollm2_knows_paris(real_workshop: Workshop, finish: Any) -> None:
    base = finish(real_workshop.base(catalogue.find("models", "smollm2-135m"), torch.bfloat16, "eager", "cpu"))[1]
    prompt, how = base.tokenizer("The capital of France is")["input_ids"], Decoding(8, ("\n",))
    assert "Paris" in finished(written(base.module, base.tokenizer, [prompt], how, "cpu", "decoder"))[0]
    assert "Paris" in "".join(streamed(base.module, base.tokenizer, prompt, how, "cpu", "decoder"))
