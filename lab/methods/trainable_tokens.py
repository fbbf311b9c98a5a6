"""Trainable tokens: a few rows of the table of word embeddings move, all other rows and the whole model are frozen.

    E[t] = e_t for the n chosen tokens t,  e_t: (width,) trained, starting at the row itself, so step 0 is the base

Where the output layer is the same table (tied), a trained row counts there as well: the model then also finds another word likely.
"""
from dataclasses import replace
from typing import Any

from lab.contracts import Base, Code, LabError, Method, Paper, Place, Rate, Shape, Support, Worked, knob
from lab.methods import _peft, _starts


class TrainableTokens(Method):
    """Let the model learn anew what a handful of words mean to it, and nothing else.
    A text in which none of them stands is read exactly as before; where the output layer is the same table, a trained word also becomes more or less
    likely as an answer."""

    key = "trainable_tokens"
    title = "Trainable tokens"
    paper = Paper("An Image is Worth One Word: Personalizing Text-to-Image Generation using Textual Inversion", "Gal et al.", 2022,
                  "https://arxiv.org/abs/2208.01618")
    formula = "E[t] = e_t for n chosen tokens t"
    family = "selective"
    composition = "input"
    strengths = "New words, or words used in a special sense, are learned without touching the rest: every other text is read as before."
    weaknesses = "Only what the chosen words mean can change: a task that does not hang on a few words can hardly be learned."
    rates = {"encoder": Rate(3e-3, 1e-3, 1e-2), "decoder": Rate(3e-2, 1e-2, 1e-1)}
    format = _peft.FORMAT
    merges = True

    text: str = knob("Review: the a and of it is not but too . Sentiment: good bad great best worst dull fun love hate",
                     "words whose rows train: their first tokens, as far as rows reaches", peft="token_indices")
    rows: int = knob(16, "how many rows of the table train", low=1, high=1000)

    def attach(self, base: Base) -> Any:
        import warnings

        with warnings.catch_warnings():  # peft warns of any adapter on a tied table, although this one follows the tie
            warnings.filterwarnings("ignore", message="Model has `tie_word_embeddings=True`")
            return _peft.attach(base, self.code(base))

    def code(self, base: Base) -> Code:
        chosen = Worked(f"list(dict.fromkeys(words))[:{self.rows}]", lambda base: self._chosen(base.tokenizer))
        config = _peft.code(base, "TrainableTokensConfig", token_indices=chosen, target_modules=[base.shape.embedding])
        return replace(config, before=_starts.ids(" " + self.text))

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return (Place("embedding", None, (("E[t]", (self.rows, shape.embedding_width)),)),)

    def supports(self, shape: Shape) -> Support:
        if shape.kind == "vision":
            return Support(False, "it trains rows of a table of words, and a vision model reads patches of an image; try norms")
        if not self.text.strip():
            return Support(False, "text is empty: type the words whose rows are to be trained")
        if self.rows > shape.vocabulary:
            return Support(False, f"rows is {self.rows}: this model knows {shape.vocabulary:,} tokens")
        return Support(True)

    def _chosen(self, tokenizer: Any) -> list[int]:
        """Ids of the first different tokens of the text. Raises LabError where there are too few, because the count was promised."""
        found = list(dict.fromkeys(tokenizer(" " + self.text, add_special_tokens=False)["input_ids"]))
        if len(found) < self.rows:
            raise LabError(f"rows is {self.rows}: in this model's vocabulary text has {len(found)} different tokens; choose fewer rows or add words")
        return found[:self.rows]


entry = TrainableTokens
