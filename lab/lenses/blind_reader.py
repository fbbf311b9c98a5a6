"""Blind reader: five lists of nearest words, one of the trained prompt. Who reads a meaning out of them should be able to say which.

    trained: p_i;  init: p_i before training;  direction, noise, permuted: vectors with nothing to say, made from p_i as the nulls of neighbours are
"""
from collections.abc import Generator
from typing import Any

from lab.contracts import Support, knob
from lab.lens import Probe, Progress, Specimen, Table
from lab.lenses import _soft
from lab.seeds import seed_for
from lab.spec import RunSpec

KINDS = ("trained", "init", "direction", "noise", "permuted")
TOLD = {"trained": "the trained prompt", "init": "the same prompt before training", "direction": "random directions of the same length",
        "noise": "random words, moved at random as far as training moved the vectors", "permuted": "the prompt's own numbers in another order"}


class BlindReader(Probe):
    """Find the trained prompt among five lists of nearest words."""

    key = "blind_reader"
    title = "Which list is the prompt?"
    about = ("Five lists of nearest words, one of them the trained prompt's; by guessing one in five is right. If a class does no better than that, the words "
             "do not tell what was learned, however telling the right list looks once it is known.")
    source = "forced choice among five; word intrusion, Chang et al. 2009"

    seed: int = knob(0, "start of the draws and of the order of the lists: another one makes another round", low=0, high=2**31 - 1)
    words: int = knob(20, "words of each list, of as many vectors in their order", low=3, high=60)

    @classmethod
    def applies(cls, spec: RunSpec) -> Support:
        return _soft.has_prompt(spec, among_words=True)

    @classmethod
    def cost(cls, spec: RunSpec) -> str:
        return f"the nearest of {spec.shape.vocabulary:,} words to 5 x {min(cls().words, _soft.prompt_of(spec).virtual_tokens)} vectors; no text is read"

    def look(self, specimen: Specimen) -> Generator[Progress, None, Any]:
        """{"lists": five lists of words, the nearest of each vector by centred cosine, "answer": index of the trained prompt's, "kinds": of each list,
        "alike": indices of all lists with the very same words, the right one among them: any of these is a right answer,
        "same": share of places at which the trained list and that before training have the same word}"""
        import torch

        from lab.lenses import _blind, _prompt
        from lab.lenses._vocabulary import vocabulary

        words = vocabulary(specimen)
        now, then = (_prompt.vectors(module)[:self.words].to(words.table.device) for module in (specimen.module, specimen.before))
        chance = torch.Generator().manual_seed(seed_for(self.seed, "reader"))
        lists = {}
        for done, (kind, vectors) in enumerate(_blind.variants(words, now, then, chance).items(), start=1):
            lists[kind] = [line[0].text for line in words.nearest(vectors, 1, ("centred",))["centred"]]
            yield done, len(KINDS)
        kinds = [KINDS[place] for place in torch.randperm(len(KINDS), generator=chance).tolist()]
        same = sum(one == other for one, other in zip(lists["trained"], lists["init"], strict=True)) / len(now)
        return {"lists": [lists[kind] for kind in kinds], "answer": kinds.index("trained"), "kinds": kinds,
                "alike": [place for place, kind in enumerate(kinds) if lists[kind] == lists["trained"]], "same": round(same, 4)}

    @classmethod
    def says(cls, value: Any) -> tuple[str, ...]:
        kept = f" At {value['same']:.0%} of its places it has the word it began with." if value["same"] else ""
        if len(value["alike"]) > 1:
            kept = " The list from before training is the same, word by word, so nobody can tell what training did: either is right."
        return (f"List {value['answer'] + 1} is the trained prompt's; a blind guess is right {len(value['alike'])} in {len(KINDS)} times.{kept}",
                "One right answer shows nothing: count the answers of many readers, or of many rounds, against that.")

    @classmethod
    def table(cls, value: Any) -> Table:
        rows = ((number, TOLD[kind], " ".join(words)) for number, (kind, words) in enumerate(zip(value["kinds"], value["lists"], strict=True), start=1))
        return Table(("list", "made of", "words"), tuple(rows))


entry = BlindReader
