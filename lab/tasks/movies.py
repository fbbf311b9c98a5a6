"""Movie-review snippets, positive or negative: the largest of the four rated sets and the lab's usual task.

Never train on `rotten_tomatoes` or `sst2` and test here: they very likely hold the same sentences.
"""
from lab.contracts import Task
from lab.tasks._hutto import LABELS, PACKAGE, PAPER, RULE, WORDINGS, WORDS, reader

entry = Task(
    key="movies",
    title="Movie reviews",
    about="Is a snippet of a film review positive or negative? 5,992 texts to train on, 1,500 for validation, 2,498 for the test; about 19 words each.",
    rule=RULE,
    licence="MIT",
    source="10,605 snippets from rotten.tomatoes.com. " + PAPER,
    labels=LABELS,
    words=WORDS,
    prompt="Review: {text}\nSentiment:",
    metric="accuracy",
    read=reader("movieReviewSnippets", "movies"),
    package=PACKAGE,
    wordings=WORDINGS,
)
