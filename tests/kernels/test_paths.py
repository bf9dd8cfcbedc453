"""Which cases are enough: every path taken, few cases, and cheap ones first."""

import numpy as np
from fastcnn_kernels.api import operations
from fastcnn_kernels.cases import cases
from fastcnn_kernels.paths import paths, representatives, work
from fastcnn_kernels.reference import ReferenceBackend

BACKEND = ReferenceBackend(np.float32)


def test_the_chosen_cases_take_every_path_of_all_cases_and_every_op():
    chosen = representatives(cases(), BACKEND)
    every = {path for case in cases() for path in paths(case, BACKEND)}
    assert {path for case in chosen for path in paths(case, BACKEND)} == every
    assert {case.op for case in chosen} == set(operations())
    assert len(chosen) < len(cases()) / 2


def test_a_case_without_which_a_path_is_lost_is_chosen():
    dilated = [case for case in cases() if case.op == "conv_forward" and max(case.attributes["dilation"]) > 1]
    others = [case for case in cases() if case.op == "conv_forward" and case not in dilated]
    assert representatives([*others, dilated[0]], BACKEND)[-1] is dilated[0]


def test_of_two_equal_cases_the_cheaper_one_is_chosen():
    by_reason = {case.reason: case for case in cases() if case.op == "dense_forward"}
    small, large = by_reason["features are no multiple of a vector"], by_reason["more samples than a tile"]
    assert work(small) < work(large)
    assert representatives([large, small], BACKEND) == [small]


def test_work_counts_products():
    by_reason = {case.reason: case for case in cases() if case.op == "conv_forward"}
    case = by_reason["1x1 kernel"]  # (8, 5, 7, 33) -> 16
    assert work(case) > 8 * 5 * 7 * 33 * 16
