"""A prefix for some of the blocks, which peft does not know: one function puts it in, for training and for loading, and is printed in the README."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lab.contracts import Format
from lab.methods import _peft


def save(module: Any, folder: Path) -> None:
    """peft's folder with the keys and values of the chosen blocks, and beside it which they are."""
    _peft.save(module, folder)
    (folder / "prefix.json").write_text(json.dumps(module.prefixed))


def load(model, folder, prefixed=None):
    import inspect
    import json
    from pathlib import Path
    from types import MethodType

    import torch
    from peft import PeftModel
    from transformers import DynamicCache

    if prefixed is None:
        prefixed = json.loads(Path(folder, "prefix.json").read_text())  # {"blocks": their path, "chosen": numbers}
        model = PeftModel.from_pretrained(model, str(folder))
    model.prefixed = prefixed
    blocks, n = model.get_base_model().get_submodule(prefixed["blocks"]), model.active_peft_config.num_virtual_tokens
    reads_back = model.active_peft_config.task_type == "CAUSAL_LM"  # a token sees none behind it

    def get_prompt(self, batch_size, *others, **more):
        own = type(self).get_prompt(self, batch_size, *others, **more).layers  # of the chosen blocks
        given = {block: (layer.keys, layer.values) for block, layer in zip(prefixed["chosen"], own, strict=True)}
        nothing = (torch.zeros_like(own[0].keys),) * 2  # keeps the other blocks' tokens at the same places
        cache = DynamicCache([given.get(block, nothing) for block in range(len(blocks))])
        cache.virtual_tokens = n
        return cache

    def look_past(block, args, inputs):  # of a block that was not chosen: nothing is seen where the prefix would be
        names = list(inspect.signature(type(block).forward).parameters)[1:]
        inputs = dict(zip(names, args, strict=False)) | inputs
        cache, hidden, mask = inputs.get("past_key_values", inputs.get("layer_past")), inputs.pop("hidden_states"), inputs.get("attention_mask")
        if getattr(cache, "virtual_tokens", 0):
            if mask is None:
                known, tokens = cache.get_seq_length(block.number), hidden.shape[1]
                seen = torch.ones(tokens, known + tokens, dtype=torch.bool, device=hidden.device)
                seen = (seen.tril(known) if reads_back else seen)[None, None]
                mask = torch.zeros(seen.shape, dtype=hidden.dtype, device=hidden.device).masked_fill(~seen, torch.finfo(hidden.dtype).min)
            mask = mask.clone()
            mask[..., :n] = False if mask.dtype == torch.bool else torch.finfo(mask.dtype).min
            inputs["attention_mask"] = mask
        return (hidden,), inputs

    model.get_prompt = MethodType(get_prompt, model)
    for number, block in enumerate(blocks):
        if number not in prefixed["chosen"]:
            block.number = number
            block.register_forward_pre_hook(look_past, with_kwargs=True)
    return model


FORMAT = Format(key="prefix", save=save, load=load)
