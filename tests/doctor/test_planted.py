"""Every mistake that the doctor knows is planted, and seen; a healthy set-up gives nothing."""

import re
from pathlib import Path

import pytest

from fastcnn import doctor
from fastcnn.doctor import CHECKS
from fastcnn.doctor.printing import listing

from .planted import HEALTHY, PLANTED, healthy


@pytest.mark.parametrize("number", sorted(CHECKS))
def test_a_planted_mistake_is_reported_with_numbers_explanation_and_fix(number: str, tmp_path: Path) -> None:
    found = {finding.number: finding for finding in PLANTED[number](tmp_path)}
    assert number in found, f"only {sorted(found)} was found"
    finding = found[number]
    assert (finding.severity, finding.title) == (CHECKS[number].severity, CHECKS[number].title)
    assert finding.seen
    assert len(finding.why) > 40
    assert finding.fix.endswith((".", "'"))
    assert re.fullmatch(r"FC\d{3}", number)


ALONE = set(CHECKS) - {"FC104", "FC112", "FC403", "FC404", "FC110", "FC405"}
"""Planted mistakes that are not, in truth, several: a network that cannot learn shows in more than one place."""


@pytest.mark.parametrize("number", sorted(ALONE))
def test_a_planted_mistake_is_reported_alone(number: str, tmp_path: Path) -> None:
    assert {finding.number for finding in PLANTED[number](tmp_path)} == {number}


def test_healthy_network_and_machine_give_nothing() -> None:
    assert healthy() == []
    assert healthy(validation_split=0.2) == []
    assert doctor.examine_machine(HEALTHY) == []


def test_the_docstring_lists_every_check() -> None:
    assert listing(check for _, check in sorted(CHECKS.items())) in (doctor.__doc__ or "")
