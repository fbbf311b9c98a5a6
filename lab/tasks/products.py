"""Sentences of product reviews, positive or negative; a review's sentences stay together in one split."""
from lab.contracts import Task
from lab.tasks._hutto import LABELS, PACKAGE, PAPER, RULE, WORDINGS, WORDS, before_underscore, reader

entry = Task(
    key="products",
    title="Product reviews",
    about="Is a sentence of a customer's review positive or negative? 1,466 texts to train on, 370 for validation, 626 for the test, from different reviews.",
    rule=RULE,
    licence="MIT",
    source="3,708 sentences of 309 customer reviews of five products. " + PAPER,
    labels=LABELS,
    words=WORDS,
    prompt="Review: {text}\nSentiment:",
    metric="accuracy",
    read=reader("amazonReviewSnippets", "products", before_underscore),
    package=PACKAGE,
    wordings=WORDINGS,
)
