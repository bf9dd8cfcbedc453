"""Lowering, gradients and fusion: what the flat list of steps says."""

import numpy as np
import pytest
from fastcnn_kernels.api import operations

from fastcnn import ops
from fastcnn.program.gradients import RULES, WITHOUT_GRADIENT, Differentiator
from fastcnn.program.lowering import lower
from fastcnn.trace import Trace, Value, current_trace
from fastcnn.variables import Variable

TARGETS = (((3,), "float32"),)
EVERYTHING = frozenset(
    {"softmax+crossentropy", "sigmoid+crossentropy", "conv+activation", "dense+activation", "conv+activation+pool"}
)


def names(lowered):
    return [step.op for step in lowered.trace.steps]


def test_training_steps_in_order_without_fusion(net, objective):
    lowered = lower(net, "train", objective, frozenset(), ("float32", "float32"), TARGETS)
    assert names(lowered) == [
        "gather", "conv_forward", "activation_forward", "max_pool_forward", "reshape", "dense_forward", "softmax_forward",
        "gather", "gather", "crossentropy_forward", "weighted_loss",
        "crossentropy_backward", "softmax_backward", "dense_backward", "reshape", "max_pool_backward", "activation_backward",
        "conv_backward", "optimizer_step", "optimizer_step", "optimizer_step",
    ]  # fmt: skip


def test_fusion_leaves_one_step_for_conv_relu_pool_and_one_for_the_loss(net, objective):
    lowered = lower(net, "train", objective, EVERYTHING, ("float32", "float32"), TARGETS)
    assert names(lowered) == [
        "gather", "conv_pool_forward", "reshape", "dense_forward", "gather", "softmax_crossentropy_forward", "gather",
        "weighted_loss", "softmax_crossentropy_backward", "dense_backward", "reshape", "conv_pool_backward",
        "optimizer_step", "optimizer_step", "optimizer_step",
    ]  # fmt: skip


def test_every_step_reads_only_what_an_earlier_step_wrote(net, objective):
    for fusions in (frozenset(), EVERYTHING):
        lowered = lower(net, "train", objective, fusions, ("uint8", "float32"), TARGETS)
        written = {lowered.trace.scalars, lowered.index, *lowered.inputs, *lowered.labels, *lowered.weights}
        written |= set(lowered.accumulators)
        for step in lowered.trace.steps:
            assert all(x in written for x in step.reads() if isinstance(x, Value)), step.op
            written |= {x for x in step.writes() if isinstance(x, Value)}


def test_the_first_layer_computes_no_gradient_for_the_image(net, objective):
    lowered = lower(net, "train", objective, frozenset(), ("float32", "float32"), TARGETS)
    backward = next(step for step in lowered.trace.steps if step.op == "conv_backward")
    assert backward["dx"] is None
    assert backward["dw"] is not None


def test_a_frozen_branch_has_no_backward_steps(net, objective):
    net.kernel.trainable = net.bias.trainable = False
    lowered = lower(net, "train", objective, frozenset(), ("float32", "float32"), TARGETS)
    assert not {"conv_backward", "activation_backward", "max_pool_backward", "reshape"} & set(names(lowered)[9:])


def test_prediction_ends_with_an_export_and_has_no_labels(net, objective):
    lowered = lower(net, "predict", objective, EVERYTHING)
    assert names(lowered) == ["gather", "conv_pool_forward", "reshape", "dense_forward", "softmax_forward", "export"]


def test_fan_out_adds_gradients_in_an_explicit_step():
    with Trace(training=True) as trace:
        w = Variable(np.ones((2, 2)), name="w")
        x = ops.dense(Value((None, 2)), w)
        y = ops.multiply(ops.square(x), ops.exp(x))
        gradients = Differentiator(trace, [w]).run([(y, Value((None, 2)))])
    assert sum(step.op == "add" for step in trace.steps) == 1
    assert set(gradients) == {w}


def test_a_shared_weight_gets_the_sum_of_its_gradients():
    with Trace(training=True) as trace:
        w = Variable(np.ones((2, 2)), name="w")
        y = ops.dense(ops.dense(Value((None, 2)), w), w)
        gradients = Differentiator(trace, [w]).run([(y, Value((None, 2)))])
    assert [step.op for step in trace.steps].count("add_parameters") == 1
    assert gradients[w].kind == "parameter"


def test_every_forward_op_has_a_rule_or_is_listed_as_having_none():
    forward = {n for n in operations() if n.endswith("_forward") or n in ("add", "affine", "reshape", "batch_norm_inference")}
    assert forward <= set(RULES)
    assert not set(RULES) & WITHOUT_GRADIENT


@pytest.mark.parametrize("keep", ["activation", "pool", "softmax"])
def test_what_something_else_reads_is_not_fused_away(net, objective, keep):
    def trace_with_second_reader(values, training):
        x = ops.conv(values[0], net.kernel, net.bias)
        a = ops.relu(x)
        p = ops.max_pool(a)
        y = ops.softmax(ops.dense(ops.flatten(p), net.weights))
        extra = {"activation": ops.flatten(x), "pool": ops.flatten(a), "softmax": y}[keep]
        ops.mean(ops.square(extra))
        return [y]

    net.trace = trace_with_second_reader
    steps = names(lower(net, "train", objective, EVERYTHING, ("float32", "float32"), TARGETS))
    kept = {"activation": "activation_forward", "pool": "max_pool_forward", "softmax": "softmax_forward"}[keep]
    assert kept in steps


def test_ops_outside_a_trace_say_where_they_belong():
    with pytest.raises(RuntimeError, match=r"call\(\)"):
        current_trace()


def test_a_layer_that_shrinks_below_one_pixel_draws_the_arithmetic():
    with Trace(), pytest.raises(ValueError, match=r"floor\(\(2 \+ 0 padding - 3 window\) / 2 stride\) \+ 1 = 0"):
        ops.max_pool(Value((None, 2, 2, 1)), 3, 2)
