"""Own data: a file with texts and labels, or with prompts and answers, becomes a task of its owner under a key that nobody can guess.

    reading.py    bytes become a table of texts: encoding, delimiter, quotes, JSON lines
    columns.py    which column holds what, guessed from names and values
    making.py     a table and a choice of columns become items in three splits, with counts and warnings
    shelf.py      what is kept in the data folder, for whom and how long
    entry.py      the `Task` of a kept set, by its key

No torch, no pandas and no page here. Cells are data and stay what they are: nothing of a file is run, and numbers are not read as numbers.
"""
