"""Which runs have a soft prompt to look at, and why others have not. No torch here: the page asks."""
from __future__ import annotations

from lab.contracts import Method, Support
from lab.spec import RunSpec

SOFT = ("prompt_tuning", "p_tuning", "multitask_prompt")
PREFIX = ("prefix tuning trains keys and values for each block, which lie in no space that words lie in: they have no nearest token; "
          "look at its attention and its norms instead")
ADDED = "its vectors are added to the first words of a text: they are differences between places, not places among the words"
NONE = "it trains no soft prompt; prompt_tuning and p_tuning do"


def prompt_of(spec: RunSpec) -> Method | None:
    """The method, or the part of a stack, that reads vectors of its own beside the text."""
    return next((method for method in (spec.method, *getattr(spec.method, "parts", ())) if method.key in SOFT), None)


def has_prompt(spec: RunSpec, among_words: bool = False) -> Support:
    """`among_words`: the vectors must stand where words stand, to be compared with them."""
    method = prompt_of(spec)
    if method is None:
        prefix = any(each.key == "prefix_tuning" for each in (spec.method, *getattr(spec.method, "parts", ())))
        return Support(False, PREFIX if prefix else NONE)
    if among_words and getattr(method, "position", "front") == "added":
        return Support(False, ADDED)
    return Support(True)
