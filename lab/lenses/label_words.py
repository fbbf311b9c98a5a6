"""Label words: whether the words of the labels lie nearer to the prompt than words that are as common.

    mean over positions i and label words w of 1 / rank of w beside p_i, as a percentile among sets of other words
"""
from collections.abc import Generator
from typing import Any

from lab.contracts import LabError, Support, knob
from lab.lens import Probe, Progress, Specimen, Table
from lab.lenses import _soft
from lab.seeds import seed_for
from lab.spec import RunSpec

NO_LABELS = "its task asks for a text and has no label words; tasks with labels have"
UNUSUAL = 95  # percentile


class LabelWords(Probe):
    """How near the label words come to each vector, against equally common words."""

    key = "label_words"
    title = "Label words in the prompt"
    about = ("How high the label words stand among all words near each vector, and whether other words, as common as they, would stand as high. A prompt can "
             "push towards a label without lying near its word, and one that began as the label words says nothing by still being there.")
    source = "mean reciprocal rank, Voorhees 1999; label words in prompts, Schick and Schütze 2021"

    sets: int = knob(500, "sets of equally common words to compare with", low=50, high=5000)
    seed: int = knob(0, "start of the draws", low=0, high=2**31 - 1, advanced=True)

    @classmethod
    def applies(cls, spec: RunSpec) -> Support:
        if spec.task is None or not spec.goal.words:
            return Support(False, NO_LABELS)
        return _soft.has_prompt(spec, among_words=True)

    @classmethod
    def cost(cls, spec: RunSpec) -> str:
        prompt = _soft.prompt_of(spec)
        return f"the rank of {spec.shape.vocabulary:,} words beside {prompt.virtual_tokens} vectors, before and after training; no text is read"

    def look(self, specimen: Specimen) -> Generator[Progress, None, Any]:
        """{"labels": names, "words": the token that each label is told by, as text, "heat": for each position the reciprocal rank of each label word,
        "mean": of all of heat, "percentile": share in 100 of the sets of equally common words whose mean is lower (equal ones count half),
        "p": (1 + sets whose mean is at least as high) / (1 + sets), "before": the mean before training, "before_percentile", "sets": how many}"""
        import torch

        from lab.lenses import _prompt, _ranked
        from lab.lenses._vocabulary import vocabulary

        words, tokens = vocabulary(specimen), _tokens(specimen)
        if not all(words.allowed[tokens]):
            raise LabError(f"a label word of {specimen.spec.task} begins with a token that no word stands behind: its rank among words means nothing")
        own = torch.searchsorted(words.ids, torch.tensor(tokens, device=words.ids.device))
        others = _ranked.as_common(words, own.tolist(), self.sets, torch.Generator().manual_seed(seed_for(self.seed, "words")))
        found = {}
        for done, (name, module) in enumerate((("now", specimen.module), ("before", specimen.before)), start=1):
            near = _ranked.closeness(words, _prompt.vectors(module).to(words.table.device), torch.cat([own.cpu().unsqueeze(0), others]))
            found[name] = near[:, 0], near.mean((0, 2))  # (n, labels), (1 + sets,)
            yield done, 2
        heat, means = found["now"]
        before = found["before"][1]
        return {"labels": list(specimen.spec.goal.labels), "words": [words.shown(token) for token in tokens],
                "heat": [[float(f"{value:.3g}") for value in line] for line in heat.tolist()],
                "mean": float(f"{means[0]:.4g}"), "percentile": _percentile(means), "p": round(float((means >= means[0]).sum()) / len(means), 4),
                "before": float(f"{before[0]:.4g}"), "before_percentile": _percentile(before), "sets": self.sets}

    @classmethod
    def says(cls, value: Any) -> tuple[str, ...]:
        usual = f"higher than for {value['percentile']:.0f} of 100 sets of words as common (before training: {value['before_percentile']:.0f})"
        told = ("That is unusual." if value["percentile"] >= UNUSUAL > value["before_percentile"] else
                "They stood as high before training, so training did not bring them there." if value["percentile"] >= UNUSUAL else
                "Words picked blindly do about as well: the label words are not what this prompt is made of.")
        return (f"The label words stand at a mean reciprocal rank of {value['mean']:.2g}, {usual}. {told}",)

    @classmethod
    def table(cls, value: Any) -> Table:
        rows = ((position, *line) for position, line in enumerate(value["heat"]))
        return Table(("position", *(f"1/rank of {word}" for word in value["words"])), tuple(rows))


def _tokens(specimen: Specimen) -> list[int]:
    """The first token of each label's word: the one a decoder answers with."""
    words, writes = specimen.spec.goal.words, specimen.shape.writes
    return [specimen.tokenizer(word if writes else word.strip(), add_special_tokens=False)["input_ids"][0] for word in words]


def _percentile(means: Any) -> float:
    """Of the first among the others."""
    others = means[1:]
    return round(float(((others < means[0]).sum() + 0.5 * (others == means[0]).sum()) / len(others)) * 100, 1)


entry = LabelWords
