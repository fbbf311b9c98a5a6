"""LongLoRA: LoRA on attention, norms and embeddings trained as well, and attention in shifted groups while it trains.

    scores: (tokens, G) instead of (tokens, tokens) a head;  h = W x + (alpha / r) B A x;  norms and E move themselves; B starts at 0, so step 0 is the base
"""
from pathlib import Path
from typing import Any

from lab.contracts import Base, Format, Method, Paper, Place, Rate, Shape, Support, Weight, knob
from lab.methods import _lora, _peft
from lab.methods._targets import Targets, supported

LLAMA_TYPE = ("llama", "mistral", "qwen2", "qwen3", "gemma")


def _save(module: Any, folder: Path) -> None:
    """peft's folder, and the norms and embeddings beside it by the base's own names."""
    from safetensors.torch import save_file

    _peft.save(module, folder)
    moved = {name: weight.detach().cpu().contiguous() for name, weight in module.get_base_model().named_parameters()
             if weight.requires_grad and ".lora_" not in name}
    save_file(moved, folder / "weights.safetensors", metadata={"format": "pt"})


def load(model, folder):
    from peft import PeftModel
    from safetensors.torch import load_file

    weights = load_file(f"{folder}/weights.safetensors")  # norms and embeddings
    unknown = model.load_state_dict(weights, strict=False).unexpected_keys
    assert not unknown, f"this model has no {unknown}"
    return PeftModel.from_pretrained(model, str(folder))


class LongLora(Method):
    """Train on long texts cheaply: while it trains, tokens look only at their own group, and half of the heads at groups shifted by half; when it is
    asked, at everything. LoRA alone adapts badly to longer texts, its paper finds, so norms and embeddings move too. On short texts, as here, it
    shows structure and memory only, not what it is for."""

    key = "longlora"
    title = "LongLoRA"
    paper = Paper("LongLoRA: Efficient Fine-tuning of Long-Context Large Language Models", "Chen et al.", 2023, "https://arxiv.org/abs/2309.12307")
    formula = "attention in groups of tokens / windows, half of the heads shifted;  h = W x + (alpha / r) B A x"
    family = "reparameterised"
    composition = "parameter"
    strengths = "Attention in groups makes training on long texts cheaper, while the trained model answers with ordinary full attention."
    weaknesses = "Embeddings and norms train as well, which is many numbers in a small model; on short texts there is nothing to gain."
    rates = {"decoder": Rate(1e-4, 2e-5, 5e-4)}  # near full fine-tuning's, because embeddings move; two rates tried
    format = Format(key="longlora", save=_save, load=load)
    trains_base = True
    merges = True

    rank: int = _lora.RANK
    alpha: float = _lora.ALPHA
    dropout: float = _lora.DROPOUT
    targets: Targets = knob(("attention",), "which matrices get a correction", peft="target_modules")
    windows: int = knob(4, "groups that a text is cut into while it trains; 1 is full attention", low=1, high=64)

    def attach(self, base: Base) -> Any:
        from lab.methods import _shifted

        _shifted.switch_on(base.module, self.windows)
        module = _peft.attach(base, _lora.code(self, base))
        for weight in _moved(base.shape):
            module.get_base_model().get_parameter(weight.name).requires_grad_(True)
        return module

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return (*_lora.places(self, shape), *(Place(weight.role, weight.layer, ((weight.name, weight.sizes),)) for weight in _moved(shape)))

    def added(self, shape: Shape) -> int:
        return sum(place.count for place in _lora.places(self, shape))

    def supports(self, shape: Shape) -> Support:
        if shape.model_type not in LLAMA_TYPE:
            return Support(False, f"its shifted groups are for long texts in decoders of Llama's type ({', '.join(LLAMA_TYPE)}), and this one is "
                           f"of type {shape.model_type}; try lora, or choose a model such as smollm2-135m")
        return supported(self.targets, shape)


def _moved(shape: Shape) -> tuple[Weight, ...]:
    """Norms and word embeddings. Where the output layer is the embedding table again, it moves with it."""
    return tuple(weight for weight in shape.weights if weight.role in ("norm", "embedding"))


entry = LongLora
