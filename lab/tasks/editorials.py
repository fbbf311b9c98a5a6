"""Sentences of newspaper editorials, positive or negative: the hardest of the four; an article's sentences stay together in one split."""
from lab.contracts import Task
from lab.tasks._hutto import LABELS, PACKAGE, PAPER, RULE, WORDINGS, WORDS, before_underscore, reader

entry = Task(
    key="editorials",
    title="Newspaper editorials",
    about="Is a sentence of an opinion article positive or negative? 1,402 texts to train on, 358 for validation, 590 for the test, from different articles.",
    rule=RULE,
    licence="MIT",
    source="5,190 sentences of 500 New York Times opinion articles. " + PAPER,
    labels=LABELS,
    words=WORDS,
    prompt="Editorial: {text}\nSentiment:",
    metric="accuracy",
    read=reader("nytEditorialSnippets", "editorials", before_underscore),
    package=PACKAGE,
    wordings=WORDINGS,
)
