"""Tweets, positive or negative, with their emoticons and hashtags."""
from lab.contracts import Task
from lab.tasks._hutto import LABELS, PACKAGE, PAPER, RULE, WORDINGS, WORDS, reader

entry = Task(
    key="tweets",
    title="Tweets",
    about="Is a tweet positive or negative? 1,212 texts to train on, 304 for validation, 506 for the test; about 14 words each.",
    rule=RULE,
    licence="MIT",
    source="4,000 messages modelled on public tweets and 200 made up to test how intensity is expressed; names and addresses removed. " + PAPER,
    labels=LABELS,
    words=WORDS,
    prompt="Tweet: {text}\nSentiment:",
    metric="accuracy",
    read=reader("tweets", "tweets"),
    package=PACKAGE,
    wordings=WORDINGS,
)
