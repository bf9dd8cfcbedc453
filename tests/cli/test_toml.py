"""What `toml.dumps` writes, `tomllib` reads back."""

import math
import tomllib

import pytest

from fastcnn.cli import toml

TEXTS = ["", "plain", 'quoted "twice" \\ and back', "new\nline\ttab", "\x00\x1f\x7f\x85\u2028", "Ünïcode 🦙", "'''", '"' * 3]
NUMBERS = [0, -1, 2**63 - 1, 1e-5, 1e300, 0.1, -0.0, 1.0, math.inf, True, False]
LISTS = [[], ["a", "b,c]"], [1, 2], [0.5], [[1], ["x"]]]


@pytest.mark.parametrize("value", [*TEXTS, *NUMBERS, *LISTS], ids=repr)
def test_round_trip(value: object) -> None:
    tables = {"run": {"first": value, "second-key": value}, "other_table": {"third": value}}
    read = tomllib.loads(toml.dumps(tables))
    assert read == tables
    assert type(read["run"]["first"]) is type(value)


def test_none_is_left_out() -> None:
    assert toml.dumps({"options": {"limit": None, "seed": 0}}) == "[options]\nseed = 0\n"


def test_a_name_that_is_no_text_is_written_as_near_as_can_be() -> None:
    assert toml.dumps({"run": {"path": "a\udcff"}}) == '[run]\npath = "a?"\n'
