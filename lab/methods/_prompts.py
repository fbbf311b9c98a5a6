"""Where the vectors of a soft prompt start. Torch lives here: imported only while a method is attached."""
from __future__ import annotations

import torch

from lab.contracts import Base, LabError

COMMON = 5000  # Lester et al. 2021, section 3: sampled from the 5,000 most common tokens; tokenizers number common ones first


def start(init: str, tokens: int, base: Base, text: str) -> torch.Tensor | None:
    """(tokens, width), or None for `random`: the library's own start, standard normal."""
    if init == "random":
        return None
    table = base.module.get_submodule(base.shape.embedding).weight.detach()
    if init == "vocabulary":
        ids = _common(base)
        rows = torch.tensor(ids)[torch.randperm(len(ids))[:tokens]]
    else:
        words = text if init == "text" else " ".join(word.strip() for word in base.words)
        rows = torch.tensor(base.tokenizer(words, add_special_tokens=False)["input_ids"], dtype=torch.long)
        if not len(rows):
            raise LabError(f'text is "{text}": it has no token, so nothing can start from it')
    repeats = -(-tokens // len(rows))
    return table[rows.repeat(repeats)[:tokens]].float()


def _common(base: Base) -> list[int]:
    """Ids of the most common real tokens: special and unused rows left out."""
    special = set(base.tokenizer.all_special_ids)
    known = (token for token in range(len(base.tokenizer)) if token not in special)
    names = base.tokenizer.convert_ids_to_tokens
    return [token for token in known if not names(token).startswith("[unused")][:COMMON]
