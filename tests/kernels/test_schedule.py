"""The order of a plan's launches: what depends on what stays in order, batches stay together, memory survives a replay."""

import numpy as np
import pytest
from fastcnn_kernels.api import Tensor
from fastcnn_kernels.host.schedule import schedule
from fastcnn_kernels.plan import Launch


def launch(name: str, reads: list[Tensor], writes: list[Tensor], parallel: str = "batch") -> Launch:
    return Launch(name, 0, tuple(reads), tuple(writes), None, parallel)


def tensors(*names: str) -> list[Tensor]:
    return [Tensor(name, (1,)) for name in names]


def random_launches(rng: np.random.Generator) -> list[Launch]:
    """Launches that read what was written before and write new tensors, now and then one of the old ones."""
    made = tensors("x")
    launches = [launch("first", [], made)]
    for i in range(rng.integers(1, 25)):
        reads = [made[k] for k in rng.integers(0, len(made), rng.integers(0, 3))]
        target = made[rng.integers(len(made))] if rng.random() < 0.2 else Tensor(f"t{i}", (1,))
        launches.append(launch(f"{i}", reads, [target], "batch" if rng.random() < 0.6 else "output"))
        made.append(target)
    return launches


def conflict(a: Launch, b: Launch) -> bool:
    return bool({*a.writes} & {*b.reads, *b.writes} or {*a.reads} & {*b.writes})


def segments(launches: list[Launch]) -> int:
    kinds = [one.parallel for one in launches]
    return sum(kind == "output" or i == 0 or kinds[i - 1] == "output" for i, kind in enumerate(kinds))


def uses(launches: list[Launch]) -> dict[Tensor, tuple[int, int]]:
    """First and last launch that touches each tensor."""
    touched: dict[Tensor, list[int]] = {}
    for i, one in enumerate(launches):
        for tensor in (*one.reads, *one.writes):
            touched.setdefault(tensor, []).append(i)
    return {tensor: (min(at), max(at)) for tensor, at in touched.items()}


def apart(lives: dict[Tensor, tuple[int, int]], a: Tensor, b: Tensor) -> bool:
    return lives[a][1] < lives[b][0] or lives[b][1] < lives[a][0]


@pytest.mark.parametrize("seed", range(100))
def test_nothing_overtakes_what_it_depends_on(seed: int):
    program = random_launches(np.random.default_rng(seed))
    order = schedule(program).launches
    place = {one: i for i, one in enumerate(order)}
    assert sorted(place.values()) == list(range(len(program)))
    for i, one in enumerate(program):
        for other in program[:i]:
            in_order = conflict(other, one) or one.parallel == other.parallel == "batch"
            assert not in_order or place[other] < place[one]
    assert segments(order) <= segments(program)


@pytest.mark.parametrize("seed", range(100))
def test_tensors_that_share_memory_are_never_needed_at_once_in_program_order(seed: int):
    program = random_launches(np.random.default_rng(seed))
    scheduled = schedule(program)
    lives, replayed = scheduled.lifetimes(), uses(program)
    for a in lives:
        for b in lives:
            assert a is b or not apart(lives, a, b) or apart(replayed, a, b)


@pytest.mark.parametrize("seed", range(100))
def test_a_segment_is_batch_launches_or_outputs_that_need_nothing_of_each_other(seed: int):
    scheduled = schedule(random_launches(np.random.default_rng(seed)))
    assert [i for first, last in scheduled.segments for i in range(first, last)] == list(range(len(scheduled.launches)))
    for first, last in scheduled.segments:
        inside = scheduled.launches[first:last]
        assert len({one.parallel for one in inside}) == 1
        if inside[0].parallel == "output":
            assert not any(conflict(a, b) for i, a in enumerate(inside) for b in inside[:i])


def test_a_gradient_sum_waits_and_packed_weights_come_first():
    w, packed, y, partial, dw, dx = tensors("w", "packed", "y", "partial", "dw", "dx")
    program = [
        launch("forward", [], [y]),
        launch("pack", [w], [packed], "output"),
        launch("weight gradient", [y], [partial]),
        launch("sum", [partial], [dw], "output"),
        launch("data gradient", [y, packed], [dx]),
        launch("optimizer", [dw], [w], "output"),
    ]
    order = [one.kernel for one in schedule(program).launches]
    assert order == ["pack", "forward", "weight gradient", "data gradient", "sum", "optimizer"]


def test_sums_and_optimizer_steps_of_many_weights_are_two_segments():
    partials, gradients, weights = (tensors(*(f"{name}{i}" for i in range(5))) for name in ("partial", "dw", "w"))
    program = [launch("backward", [], partials)]
    for partial, dw, w in zip(partials, gradients, weights, strict=True):
        program += [launch("sum", [partial], [dw], "output"), launch("optimizer", [dw], [w], "output")]
    assert schedule(program).segments == [(0, 1), (1, 6), (6, 11)]
