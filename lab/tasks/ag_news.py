"""AG News: the topic of a news item, from its title and first sentences."""
from __future__ import annotations

import html
import re
from pathlib import Path

from lab.contracts import HubData, Splits, Task
from lab.tasks._hub import MOST, cut, labelled, splits

HUB = HubData("fancyzhx/ag_news", {"train": "data/train-*.parquet", "test": "data/test-*.parquet"})
NAMES = ("World", "Sports", "Business", "Sci/Tech")
LABELS = ("world", "sports", "business", "technology")  # science would begin like sports in a small vocabulary


def read(folder: Path | None) -> Splits:
    """There is no published validation set: a part of the training set serves as one."""
    test, published = (labelled(folder, HUB, name, "text", "label", NAMES, clean=_plain) for name in ("test", "train"))
    validation, train = cut(published, "ag_news", 2 * MOST["validation"])
    return splits("ag_news", test, validation, train, labels=4)


def _plain(text: str) -> str:
    """Line breaks came as backslashes, and half of each HTML sign was lost on the way: ` #39;` is an apostrophe."""
    text = re.sub(r"(?<!&)(#\d+|\b(?:quot|amp|lt|gt));", r"&\1;", text.replace("\\", " "))
    return html.unescape(re.sub(r" (?=&#39;(?:s|t|d|m|re|ve|ll)\b)", "", text))


entry = Task(
    key="ag_news",
    title="AG News (4 topics, needs the Hub)",
    about="Which of four topics is a news item about: world, sports, business, or science and technology? Title and first sentences, about 38 words. "
          "6,000 of 120,000 items to train on, 1,000 for validation, 2,000 for the test.",
    rule="The section of the site that collected it decided. Test items are from the published test set, validation items from the training set; "
         "every topic equally often, no text twice, broken HTML signs mended.",
    licence="unknown (the data set's card says so; its collectors allow any non-commercial use)",
    source="Xiang Zhang, Junbo Zhao and Yann LeCun (2015): Character-level Convolutional Networks for Text Classification. NIPS; from Antonio Gulli's corpus "
           "of news articles. fancyzhx/ag_news on the Hub.",
    labels=LABELS,
    words=tuple(f" {label}" for label in LABELS),
    prompt="News: {text}\nTopic:",
    start="Name the topic of the news: world, sports, business or technology:",
    metric="accuracy",
    read=read,
    hub=HUB,
    wordings=(
        "{text}\nThis news is from the section",
        "Which section does the news belong to: world, sports, business or technology?\nNews: {text}\nSection:",
        "\"{text}\"\n\nIn one word, the article is about",
    ),
    defaults={"tokens": 80},
)
