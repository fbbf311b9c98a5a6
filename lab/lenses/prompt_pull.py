"""Pull: how near a prompt comes to the text that it is pulled towards, look by look.

    distance: mean over i of |p_i - e_i|, e_i the token of the text for vector i;  F1: words that nearest tokens and text have in common, over n
"""
from collections import Counter
from collections.abc import Sequence
from typing import Any

from lab.contracts import Support
from lab.lens import Seen, Specimen, Table, Trace
from lab.lenses import _soft
from lab.spec import RunSpec

NO_TEXT = "it is pulled towards no text; type one under pull_text in prompt_tuning"


class PromptPull(Trace):
    """The distance to the text, and how many nearest words are the text's."""

    key = "prompt_pull"
    title = "How near the text"
    about = ("How far the vectors are from the words they are pulled towards, and how much of that text their nearest words spell. With pull 0 it shows where "
             "the same vectors go on their own.")
    source = "Khashabi et al. 2022, section 4"

    @classmethod
    def applies(cls, spec: RunSpec) -> Support:
        found = _soft.has_prompt(spec, among_words=True)
        if found.ok and not getattr(_soft.prompt_of(spec), "pull_text", "").strip():
            return Support(False, NO_TEXT)
        return found

    def begin(self, specimen: Specimen) -> Any:
        """The tokens of the text, one for each vector."""
        from lab.lenses import _vocabulary

        method = _soft.prompt_of(specimen.spec)
        tokens = specimen.tokenizer(method.pull_text, add_special_tokens=False)["input_ids"] * method.virtual_tokens
        return _vocabulary.vocabulary(specimen), tokens[:method.virtual_tokens]

    def look(self, specimen: Specimen, begun: Any, gradients: bool) -> dict[str, Any]:
        """{"distance": mean of |p - e|, "relative": that over the median length of a word's vector, "kept": share of vectors nearest to their own word,
        "f1": token F1 of the nearest words against the text's, "words": the nearest word of each vector, "target": the text's token for each vector}"""
        from lab.lenses import _prompt

        words, tokens = begun
        prompt = _prompt.vectors(specimen.module).to(words.table.device)
        away = float((prompt - words.rows(tokens)).norm(dim=1).mean())
        near = [line[0] for line in words.nearest(prompt, 1, ("centred",))["centred"]]
        own, found = words.words[tokens].tolist(), words.words[[each.token for each in near]].tolist()
        return {"distance": float(f"{away:.4g}"), "relative": float(f"{away / float(words.norms[words.allowed].median()):.4g}"),
                "kept": round(sum(one == other for one, other in zip(own, found, strict=True)) / len(own), 4), "f1": round(f1(found, own), 4),
                "words": [each.text for each in near], "target": [words.shown(token) for token in tokens]}

    @classmethod
    def says(cls, value: list[Seen]) -> tuple[str, ...]:
        if not value:
            return ()
        last = value[-1].value
        return (f"After {value[-1].step} steps {last['kept']:.0%} of the vectors have their own word of the text as the nearest one, at a mean distance of "
                f"{last['relative']:.2g} times the length of a word's vector.",)

    @classmethod
    def table(cls, value: list[Seen]) -> Table:
        names = ("distance", "relative", "kept", "f1")
        return Table(("step", *names), tuple((seen.step, *(seen.value[name] for name in names)) for seen in value))


def f1(found: Sequence[int], wanted: Sequence[int]) -> float:
    """Of two bags of words."""
    common = sum((Counter(found) & Counter(wanted)).values())
    return 2 * common / (len(found) + len(wanted))


entry = PromptPull
