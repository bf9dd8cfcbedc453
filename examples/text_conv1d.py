"""Text with one-dimensional convolutions: each letter becomes a vector, and filters look for runs of five letters.

    python examples/text_conv1d.py                seconds: is a line of Python's standard library code, or English?
    python examples/text_conv1d.py FILE FILE...   your own: a text file a class, a sample a line
"""

import argparse
import ast
import importlib.util
from itertools import chain
from pathlib import Path

import numpy as np

from fastcnn import layers, models
from fastcnn.utils import set_random_seed, train_test_split

LENGTH = 64
MODULES = ("argparse", "ast", "bdb", "calendar", "configparser", "datetime", "difflib", "doctest", "inspect", "locale",
           "mailbox")  # fmt: skip
OTHERS = ("pdb", "shutil", "tarfile", "textwrap", "zipfile")


def lines_of(modules):
    """The lines of these modules and what they are: 0 code, 1 English, that is comments and docstrings."""
    code, english = set(), set()
    for module in modules:
        source = Path(importlib.util.find_spec(module).origin).read_text("utf-8")
        strings = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Expr)]
        told = {n for s in strings if isinstance(s, ast.Constant) for n in range(s.lineno, s.end_lineno + 1)}
        for number, line in enumerate(map(str.strip, source.splitlines()), 1):
            text = line.strip("#\"'` ")
            if len(text) > 20 and ">>>" not in text:
                (english if number in told or line.startswith("#") else code).add(text)
    return [*sorted(code), *sorted(english)], np.repeat([0, 1], [len(code), len(english)])


def encoded(lines):
    """The first letters of each line as their ASCII numbers, (n, LENGTH); 0 after its end, and for other letters."""
    cut = [line[:LENGTH].encode("ascii", "replace").replace(b"?", b"\0").ljust(LENGTH, b"\0") for line in lines]
    return np.frombuffer(b"".join(cut), np.uint8).reshape(-1, LENGTH).astype("int32")


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("files", nargs="*", metavar="FILE", help="text files, one a class")
parser.add_argument("--epochs", type=int, default=4)
options = parser.parse_args()
set_random_seed(0)

if options.files:
    names = [Path(file).stem for file in options.files]
    found = [[line for line in Path(file).read_text("utf-8").splitlines() if line.strip()] for file in options.files]
    lines, labels = list(chain(*found)), np.repeat(np.arange(len(found)), [len(part) for part in found])
    lines, test_lines, y, test_y = train_test_split(lines, labels, test_size=0.2, random_state=0)
else:
    names = ["code", "English"]
    (lines, y), (test_lines, test_y) = lines_of(MODULES), lines_of(OTHERS)

model = models.Sequential(
    [
        layers.Input((LENGTH,)),
        layers.Embedding(128, 16),
        layers.Conv1D(64, 5, activation="relu"),
        layers.GlobalMaxPooling1D(),
        layers.Dropout(0.3),
        layers.Dense(len(names), activation="softmax"),
    ]
)
model.summary()
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
print(f"\n{len(lines):,} lines to learn from, {len(test_lines):,} to be judged by, of {', '.join(names)}")
model.fit(encoded(lines), y, batch_size=32, epochs=options.epochs)
probabilities = model.predict(encoded(test_lines), verbose=0)
print(f"Accuracy on test lines: {(probabilities.argmax(axis=1) == test_y).mean():.2%}\n")
for k in np.random.default_rng(1).choice(len(test_lines), 8, replace=False):
    best = probabilities[k].argmax()
    print(f"{'right' if best == test_y[k] else 'WRONG'}  {names[best]:>8} {probabilities[k, best]:5.0%}  {test_lines[k][:60]}")
