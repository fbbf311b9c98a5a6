"""LLaMA-Adapter: in the upper blocks attention also looks at n trained vectors, through a gate of its own that starts closed.

    z = attention(x) + g O softmax(q (K P)ᵀ) V P,  P: (n, width), g: one number a block; g starts at 0, so step 0 is the base
"""
from pathlib import Path
from typing import Any

from lab.contracts import Base, Code, Format, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _peft
from lab.methods.prefix_tuning import PrefixTuning

KNOWN = ("llama", "mistral", "gpt2")  # in GPT-2 peft leaves out O, the output projection of the second term


def save(module: Any, folder: Path) -> None:
    """peft's folder, written by hand: while it is trained, each tensor is kept in float32 beside the one in the base's number format."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name.replace("parametrizations.", "").removesuffix(".original"): weight.detach().cpu().contiguous()
               for name, weight in module.named_parameters() if "adaption_" in name}
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = module.peft_config["default"]
    config.inference_mode = True
    config.save_pretrained(str(folder))
    config.inference_mode = False


class LlamaAdapter(Method):
    """Let the upper blocks look at a few trained vectors as well, each block through a gate that opens while it learns. At first nothing has changed."""

    key = "llama_adapter"
    title = "LLaMA-Adapter"
    paper = Paper("LLaMA-Adapter: Efficient Fine-tuning of Language Models with Zero-init Attention", "Zhang et al.", 2024, "https://arxiv.org/abs/2303.16199")
    formula = "z = attention(x) + g attention(x, P)"
    family = "additive"
    composition = "function"
    strengths = "Gates that start closed let training begin exactly at the base, and its vectors take up no position of the window."
    weaknesses = "Each of its blocks computes a second attention, which cannot be merged; peft has it for few architectures."
    rates = {"encoder": Rate(1e-2, 3e-3, 3e-2), "decoder": Rate(1e-2, 3e-3, 3e-2)}
    format = Format(key="peft", save=save, load=_peft.load)

    virtual_tokens: int = knob(10, "trained vectors in each block; they take up no position of the window", low=1, high=200, peft="adapter_len")
    layers: int = knob(2, "how many of the last blocks get them", low=1, high=1000, peft="adapter_layers")

    def attach(self, base: Base) -> Any:
        from torch.nn.utils import parametrize

        from lab.methods import _prompts

        module = _peft.attach(base, self.code(base))
        for part in list(module.modules()):
            if hasattr(part, "adaption_gate"):
                for name in ("adaption_prompt", "adaption_gate"):
                    parametrize.register_parametrization(part, name, _prompts.As(base.module.dtype))
        return module

    def code(self, base: Base) -> Code:
        return _peft.code(base, "AdaptionPromptConfig", adapter_len=self.virtual_tokens, adapter_layers=self.layers)

    def places(self, shape: Shape) -> tuple[Place, ...]:
        tensors = (("P", (1, self.virtual_tokens, shape.width)), ("g", (1,)))
        return tuple(Place("prompt", layer, tensors) for layer in range(shape.layers - self.layers, shape.layers))

    def supports(self, shape: Shape) -> Support:
        if shape.model_type not in KNOWN:
            return Support(False, f"the library peft puts it into the attention of {', '.join(KNOWN)} models only, and this one is of type {shape.model_type}; "
                           f"{_near(shape)}")
        if shape.width != _query_width(shape):
            return Support(False, "the library peft takes the heads together to be as wide as the model, and here they are not; prefix_tuning is near to it")
        if self.layers > shape.layers:
            return Support(False, f"layers is {self.layers}: this model has {shape.layers}")
        return Support(True)


def _near(shape: Shape) -> str:
    return "prefix_tuning is near to it" if PrefixTuning().supports(shape).ok else "try lora"


def _query_width(shape: Shape) -> int:
    return next((linear.outputs for linear in shape.linears if linear.role == "query"), shape.width)


entry = LlamaAdapter
