"""Where a soft prompt starts, as lines of the exported script: what `_prompts` does in the lab, whose results tests compare."""
from __future__ import annotations

import json
from textwrap import wrap
from typing import Any

from lab.contracts import Shape

WIDEST = 108  # characters of a quoted text in a line of the script
COMMON = 5000  # Lester et al. 2021, section 3: sampled from the 5,000 most common tokens; tokenizers number common ones first


def quoted(text: str) -> str:
    """As Python source, in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def assigned(name: str, text: str) -> tuple[str, ...]:
    """A line that gives a text a name; a long text goes over several."""
    if len(quoted(text)) <= WIDEST:
        return (f"{name} = {quoted(text)}",)
    rows = [text[place:place + WIDEST // 2] for place in range(0, len(text), WIDEST // 2)] if not text.isascii() else wrap(
        text, WIDEST - 4, drop_whitespace=False, replace_whitespace=False, expand_tabs=False)
    return (f"{name} = (", *(f"    {quoted(row)}" for row in rows[:-1]), f"    {quoted(rows[-1])})")


def ids(text: str) -> tuple[str, ...]:
    """`words`, the ids of a text."""
    line = f'words = tokenizer({quoted(text)}, add_special_tokens=False)["input_ids"]'
    return (line,) if len(line) <= WIDEST else (*assigned("text", text), 'words = tokenizer(text, add_special_tokens=False)["input_ids"]')


def sizes(shape: Shape, tokens: int, stacks: int = 1) -> dict[str, Any]:
    """The part of a config that says how many vectors there are and for which model; peft would guess some of it, not always rightly."""
    return {"num_virtual_tokens": tokens, "token_dim": shape.embedding_width, "num_attention_heads": shape.heads, "num_layers": shape.layers,
            "num_transformer_submodules": stacks if stacks == 1 and shape.kind == "seq2seq" else None}


def vocabulary(shape: Shape, tokens: int, stacks: int = 1) -> tuple[str, ...]:
    """`prompt` begins with rows of common words."""
    again = f".repeat({tokens})" if 8 * tokens > min(COMMON, shape.vocabulary) else ""  # where there may be fewer words than vectors
    return (*_common(shape), *_each(f"words[torch.randperm(len(words))[:{tokens}]]{again}{f'[:{tokens}]' if again else ''}", stacks))


def norm_matched(shape: Shape, tokens: int, stacks: int = 1) -> tuple[str, ...]:
    """`prompt` begins with vectors that point anywhere and have the median length of common words."""
    drawn = f"torch.nn.functional.normalize(torch.randn({tokens}, {shape.embedding_width}), dim=1) * length"
    filled = ((f"prompt.embedding.weight.data.copy_({drawn})",) if stacks == 1 else
              (f"for part in prompt.embedding.weight.data.chunk({stacks}):", f"    part.copy_({drawn})"))
    return (*_common(shape), "length = model.get_input_embeddings().weight[words].float().norm(dim=1).median()", *filled)


def _common(shape: Shape) -> tuple[str, ...]:
    """`words`, the ids of common words."""
    known = ' if not name.startswith("[unused")' if shape.kind == "encoder" else ""
    return (f"words = sorted(id for name, id in tokenizer.get_vocab().items(){known})",
            f"words = torch.tensor([id for id in words if id not in tokenizer.all_special_ids][:{COMMON}])")


def words(text: str, tokens: int, stacks: int = 1) -> tuple[str, ...]:
    """`prompt` begins with the words of a text, over and over."""
    return (*ids(text), *_each(f"(words * {tokens})[:{tokens}]", stacks))


def _each(rows: str, stacks: int) -> tuple[str, ...]:
    """For an encoder-decoder peft makes vectors for both stacks."""
    if stacks == 1:
        return (f"prompt.embedding.weight.data.copy_(model.get_input_embeddings().weight[{rows}])",)
    return (f"for part in prompt.embedding.weight.data.chunk({stacks}):", f"    part.copy_(model.get_input_embeddings().weight[{rows}])")


def keys_and_values(shape: Shape, text: str, tokens: int) -> tuple[str, ...]:
    """`start`: what the frozen model's attention would look up had it read this text."""
    how = {
        "encoder": "input_ids=ids, past_key_values=cache", "decoder": "input_ids=ids, past_key_values=cache, use_cache=True",
        "seq2seq": "input_ids=ids, decoder_input_ids=ids, past_key_values=EncoderDecoderCache(cache, DynamicCache())",
    }[shape.kind]
    return (
        *ids(text),
        f"ids, cache = torch.tensor([(words * {tokens})[:{tokens}]]), DynamicCache()",
        "with torch.no_grad():  # the prefix begins as the keys and values that the frozen model computes for these words",
        f"    model({how})",
        "start = [part[0].transpose(0, 1).flatten(1) for layer in cache.layers for part in (layer.keys, layer.values)]",
    )


PREFIX = ('model.prompt_encoder["default"].embedding.weight.data.copy_(torch.cat(start, 1))',)  # peft's prefix, block after block
