"""The reference against numbers worked by hand and against the formulas of the protocol, written out as loops."""

import itertools
import math

import numpy as np
import pytest
from fastcnn_kernels.api import RULES, Scalars
from fastcnn_kernels.cases import Case, arrays, cases, output_extents, same_padding, scalars
from fastcnn_kernels.random.reference import uniform
from fastcnn_kernels.trial import REFERENCE, run, run_case

VALID = ((0, 0), (0, 0))


def call(op: str, operands: dict, outputs: dict, dtypes: dict | None = None, batch_size: int | None = None, **attributes):
    """What the reference's `op` writes; `operands` that it updates need no shape in `outputs`."""
    operands = {name: None if value is None else np.asarray(value) for name, value in operands.items()}
    shapes = {name: None if value is None else value.shape for name, value in operands.items()} | outputs
    batch_size = batch_size or len(next(iter(operands.values())))
    return run(REFERENCE, op, operands, shapes, attributes, dtypes=dtypes, batch_size=batch_size)


def convolve(x: np.ndarray, w: np.ndarray, **attributes) -> np.ndarray:
    """y of conv_forward without bias, strides 1, valid."""
    extents = output_extents(x.shape[1:-1], w.shape[:-2], (1, 1), (1, 1), VALID)
    geometry = {"strides": (1, 1), "padding": VALID, "dilation": (1, 1), **attributes}
    return call("conv_forward", dict(x=x, w=w, b=None), dict(y=(len(x), *extents, w.shape[-1])), **geometry)["y"]


# ------ the tutorials


def test_the_filter_worked_by_hand_gives_138():
    patch = np.array([[134, 134, 117], [153, 144, 141], [152, 154, 150]], float)
    sharpen = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], float)
    assert convolve(patch.reshape(1, 3, 3, 1), sharpen.reshape(3, 3, 1, 1)).item() == 138


LETTER_X = """
.........
.x.....x.
..x...x..
...x.x...
....x....
...x.x...
..x...x..
.x.....x.
........."""
DIAGONAL = [[1, -1, -1], [-1, 1, -1], [-1, -1, 1]]
SMALL_X = [[1, -1, 1], [-1, 1, -1], [1, -1, 1]]


def test_the_letter_x_gives_the_figure_s_twelve_values():
    rows = LETTER_X.split()
    letter = np.array([[1.0 if pixel == "x" else -1.0 for pixel in row] for row in rows]).reshape(1, 9, 9, 1)
    features = np.stack([DIAGONAL, SMALL_X, np.fliplr(DIAGONAL)], axis=-1).astype(float)
    y = convolve(letter, features[:, :, np.newaxis] / 9, activation="relu")
    assert y.shape == (1, 7, 7, 3)
    for extent in (4, 2):
        ragged = dict(window=(2, 2), strides=(2, 2), padding=((0, y.shape[1] % 2), (0, y.shape[2] % 2)))
        shape = (1, extent, extent, 3)
        y = call("max_pool_forward", dict(x=y), dict(y=shape, argmax=shape), dict(argmax="uint8"), **ragged)["y"]
    low = 5 / 9
    expected = [1, low, low, 1, 1, low, low, low, low, 1, 1, low]
    np.testing.assert_allclose(y.transpose(0, 3, 1, 2).ravel(), expected, rtol=1e-14)


def test_softmax_twice_cannot_get_below_the_tutorial_s_loss():
    perfect = np.eye(10)[:1]
    written = call("softmax_crossentropy_forward", dict(x=perfect, labels=perfect), dict(y=(1, 10), loss=(1,)))
    assert written["loss"][0] == pytest.approx(math.log(math.e + 9) - 1)


# ------ windows


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "expected"),
    [
        (28, 3, 1, 1, (1, 1)),
        (28, 5, 1, 1, (2, 2)),
        (28, 2, 1, 1, (0, 1)),
        (8, 3, 2, 1, (0, 1)),
        (7, 3, 2, 1, (1, 1)),
        (7, 2, 2, 1, (0, 1)),
        (9, 2, 3, 1, (0, 0)),
        (10, 3, 1, 2, (2, 2)),
        (1, 3, 1, 1, (1, 1)),
    ],
)
def test_padding_same(size, kernel, stride, dilation, expected):
    padding = same_padding((size,), (kernel,), (stride,), (dilation,))
    assert padding == (expected,)
    assert output_extents((size,), (kernel,), (stride,), (dilation,), padding) == (-(-size // stride),)


def test_extents_of_valid_windows():
    assert output_extents((32, 28), (2, 3), (2, 1), (1, 1), VALID) == (16, 26)


def pixels(o: tuple[int, ...], case: Case, kernel: tuple[int, ...], image: tuple[int, ...]):
    """(number, k, pixel) for the positions of the window at output o that lie inside the image."""
    attributes = case.attributes
    dilation = attributes.get("dilation", (1,) * len(kernel))
    for number, k in enumerate(itertools.product(*map(range, kernel))):
        axes = zip(o, k, attributes["strides"], dilation, attributes["padding"], strict=True)
        pixel = tuple(i * s + j * d - before for i, j, s, d, (before, _) in axes)
        if all(0 <= p < size for p, size in zip(pixel, image, strict=True)):
            yield number, k, pixel


def cases_of(op: str) -> list[Case]:
    return [case for case in cases() if case.op == op]


@pytest.mark.parametrize("case", [c for c in cases_of("conv_forward") if c.attributes["activation"] == "linear"], ids=str)
def test_convolution_is_the_protocol_s_sum(case: Case):
    operands = arrays(case)
    x, w, b = operands["x"], operands["w"], operands["b"]
    groups, (*kernel, per_group, filters) = case.attributes["groups"], w.shape
    expected = np.zeros(case.shapes["y"]) + (0 if b is None else b)
    for o in np.ndindex(*case.shapes["y"][1:-1]):
        for (_, k, pixel), co in itertools.product(pixels(o, case, tuple(kernel), x.shape[1:-1]), range(filters)):
            first = co // (filters // groups) * per_group
            expected[(slice(None), *o, co)] += x[(slice(None), *pixel)][:, first : first + per_group] @ w[k][:, co]
    np.testing.assert_allclose(run_case(case, REFERENCE, operands)["y"], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", cases_of("max_pool_forward"), ids=str)
def test_max_pool_takes_the_first_maximum_inside_the_image(case: Case):
    x, written = arrays(case)["x"], run_case(case, REFERENCE)
    for o in np.ndindex(*case.shapes["y"][1:-1]):
        inside = list(pixels(o, case, case.attributes["window"], x.shape[1:-1]))
        values = np.stack([x[(slice(None), *pixel)] for _, _, pixel in inside])
        numbers = np.array([number for number, _, _ in inside])
        np.testing.assert_array_equal(written["y"][(slice(None), *o)], values.max(axis=0))
        np.testing.assert_array_equal(written["argmax"][(slice(None), *o)], numbers[values.argmax(axis=0)])


@pytest.mark.parametrize("case", cases_of("average_pool_forward"), ids=str)
def test_average_pool_is_the_mean_of_the_pixels_inside_the_image(case: Case):
    x, y = arrays(case)["x"], run_case(case, REFERENCE)["y"]
    for o in np.ndindex(*case.shapes["y"][1:-1]):
        inside = [x[(slice(None), *p)] for _, _, p in pixels(o, case, case.attributes["window"], x.shape[1:-1])]
        np.testing.assert_allclose(y[(slice(None), *o)], np.mean(inside, axis=0), rtol=1e-12)


@pytest.mark.parametrize("case", cases_of("conv_pool_forward"), ids=str)
def test_conv_pool_is_a_convolution_and_then_a_pool(case: Case):
    operands, attributes = arrays(case), dict(case.attributes)
    window = attributes.pop("window")
    image, kernel = case.shapes["x"][1:-1], case.shapes["w"][:-2]
    geometry = (attributes["strides"], attributes["dilation"], attributes["padding"])
    between = (case.batch_size, *output_extents(image, kernel, *geometry), case.shapes["y"][-1])
    shapes = {**case.shapes, "y": between}
    conv = run(REFERENCE, "conv_forward", operands, shapes, attributes, batch_size=case.batch_size)["y"]
    pool = dict(window=window, strides=window, padding=((0, 0),) * len(window))
    outputs = dict(y=case.shapes["y"], argmax=case.shapes["y"])
    expected = call("max_pool_forward", dict(x=conv), outputs, dict(argmax="uint8"), **pool)
    for name, value in run_case(case, REFERENCE, operands).items():
        np.testing.assert_array_equal(value, expected[name])


def test_max_pool_backward_adds_up_the_windows_that_a_pixel_won():
    x = np.array([1.0, 5, 2, 7, 0]).reshape(1, 5, 1)
    pool = dict(window=(3,), strides=(1,), padding=((0, 0),))
    forward = call("max_pool_forward", dict(x=x), dict(y=(1, 3, 1), argmax=(1, 3, 1)), dict(argmax="uint8"), **pool)
    assert forward["y"].ravel().tolist() == [5, 7, 7]
    assert forward["argmax"].ravel().tolist() == [1, 2, 1]
    dy = np.array([10.0, 20, 30]).reshape(1, 3, 1)
    operands = dict(argmax=forward["argmax"], dy=dy)
    dx = call("max_pool_backward", operands, dict(dx=(1, 5, 1)), dict(argmax="uint8"), **pool)["dx"]
    assert dx.ravel().tolist() == [0, 10, 0, 50, 0]


# ------ elementwise, shape, normalisation


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("linear", [-2, 0, 3]),
        ("relu", [0, 0, 3]),
        ("leaky_relu", [-0.5, 0, 3]),
        ("sigmoid", [1 / (1 + math.exp(2)), 0.5, 1 / (1 + math.exp(-3))]),
        ("tanh", [math.tanh(-2), 0, math.tanh(3)]),
    ],
)
def test_activations(activation, expected):
    attributes = dict(activation=activation, alpha=0.25)
    y = call("activation_forward", dict(x=[[-2.0, 0, 3]]), dict(y=(1, 3)), **attributes)["y"]
    np.testing.assert_allclose(y[0], expected, rtol=1e-14)


def test_sigmoid_and_its_loss_do_not_overflow():
    operands = dict(x=[[-1e4, 1e4]], labels=[[1.0, 1.0]])
    with np.errstate(over="raise", invalid="raise"):
        written = call("sigmoid_crossentropy_forward", operands, dict(y=(1, 2), loss=(1,)))
    assert written["y"].tolist() == [[0, 1]]
    assert written["loss"].tolist() == [5000]


def test_where_maximum_ties_a_takes_the_gradient():
    operands = dict(a=[[1.0, 2, 3]], b=[[1.0, 3, 2]], dy=[[10.0, 20, 30]])
    written = call("binary_backward", operands, dict(da=(1, 3), db=(1, 3)), function="maximum")
    assert written["da"].tolist() == [[10, 0, 30]]
    assert written["db"].tolist() == [[0, 20, 0]]


def test_abs_has_no_slope_at_zero():
    operands = dict(x=[[-2.0, 0, 3]], y=[[2.0, 0, 3]], dy=[[1.0, 1, 1]])
    assert call("unary_backward", operands, dict(dx=(1, 3)), function="abs")["dx"].tolist() == [[-1, 0, 1]]


@pytest.mark.parametrize("case", cases_of("reshape"), ids=str)
def test_reshape_keeps_c_order(case: Case):
    assert run_case(case, REFERENCE)["y"].ravel().tolist() == arrays(case)["x"].ravel().tolist()


def test_concatenate_backward_takes_one_part():
    operands, shapes = dict(dy=np.arange(5.0)[None]), dict(dy=(1, 5), dx=(1, 2))
    outputs = run(REFERENCE, "concatenate_backward", operands, shapes, dict(axis=1, start=2), batch_size=1)
    assert outputs["dx"].tolist() == [[2, 3]]


def test_transposed_convolution_adds_windows_up():
    x, w = np.array([1.0, 10, 100]).reshape(1, 3, 1), np.array([1.0, 2, 3]).reshape(3, 1, 1)
    attributes = dict(strides=(2,), padding=((0, 1),), dilation=(1,))
    y = call("conv_transpose_forward", dict(x=x, w=w, b=[0.5]), dict(y=(1, 6, 1)), batch_size=1, **attributes)["y"]
    assert y.ravel().tolist() == [1.5, 2.5, 13.5, 20.5, 130.5, 200.5]


@pytest.mark.parametrize("case", cases_of("conv_transpose_forward"), ids=str)
def test_transposed_convolution_is_the_adjoint_of_a_convolution(case: Case):
    """<conv(u), x> = <u, conv_transpose(x)> for every u."""
    operands, u = arrays(case), np.random.default_rng(2).standard_normal(case.shapes["y"])
    y = run_case(case, REFERENCE, operands)["y"] - (0 if operands["b"] is None else operands["b"])
    there = call("conv_forward", dict(x=u, w=operands["w"], b=None), dict(y=case.shapes["x"]), **case.attributes)["y"]
    assert np.sum(there * operands["x"]) == pytest.approx(np.sum(u * y))


def test_upsampling():
    x = np.array([0.0, 4, 6]).reshape(1, 3, 1)
    for factor, interpolation, expected in (
        (2, "nearest", [0, 0, 4, 4, 6, 6]),
        (2, "bilinear", [0, 1, 3, 4.5, 5.5, 6]),
        (3, "bilinear", [0, 0, 4 / 3, 8 / 3, 4, 14 / 3, 16 / 3, 6, 6]),
    ):
        attributes = dict(factors=(factor,), interpolation=interpolation)
        y = call("upsample_forward", dict(x=x), dict(y=(1, 3 * factor, 1)), **attributes)["y"]
        np.testing.assert_allclose(y.ravel(), expected, atol=1e-12)


def test_a_negative_padding_crops():
    x = np.arange(1.0, 7).reshape(1, 2, 3, 1)
    y = call("pad", dict(x=x), dict(y=(1, 3, 2, 1)), padding=((0, 1), (1, -2)))["y"]
    assert y[0, ..., 0].tolist() == [[0, 1], [0, 4], [0, 0]]


@pytest.mark.parametrize("case", [*cases_of("pad"), *cases_of("transpose")], ids=str)
def test_the_gradient_of_a_rearrangement_takes_it_back(case: Case):
    """<A x, y> = <x, A' y>: what `fastcnn.program.gradients` says is the gradient of these ops is their adjoint."""
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal(case.shapes["x"]), rng.standard_normal(case.shapes["y"])
    backwards = {
        "pad": lambda padding: dict(padding=tuple((-before, -after) for before, after in padding)),
        "transpose": lambda axes: dict(axes=tuple(np.argsort(axes).tolist())),
    }[case.op](**case.attributes)
    there = call(case.op, dict(x=x), dict(y=y.shape), **case.attributes)["y"]
    back = call(case.op, dict(x=y), dict(y=x.shape), **backwards)["y"]
    assert np.sum(there * y) == pytest.approx(np.sum(x * back))


def test_batch_norm_normalises_and_moves_the_statistics():
    operands = dict(
        x=[[1.0, 10], [3.0, 10]], gamma=[2.0, 2], beta=[1.0, 5], moving_mean=[0.0, 0], moving_variance=[1.0, 1],
        scalars=scalars(),
    )  # fmt: skip
    outputs = dict(y=(2, 2), mean=(2,), rstd=(2,))
    attributes = dict(momentum=0.9, epsilon=0.25)
    written = call("batch_norm_forward", operands, outputs, dict(scalars="int64"), **attributes)
    rstd = 1 / math.sqrt(1.25)
    np.testing.assert_allclose(written["y"], [[1 - 2 * rstd, 5], [1 + 2 * rstd, 5]])
    np.testing.assert_allclose(written["mean"], [2, 10])
    np.testing.assert_allclose(written["rstd"], [rstd, 2])
    np.testing.assert_allclose(written["moving_mean"], [0.2, 1])
    np.testing.assert_allclose(written["moving_variance"], [1, 0.9])


def test_batch_norm_inference_uses_the_moving_statistics():
    operands = dict(x=[[1.0], [3.0]], gamma=None, beta=[5.0], moving_mean=[1.0], moving_variance=[3.0])
    y = call("batch_norm_inference", operands, dict(y=(2, 1)), epsilon=1.0)["y"]
    assert y.ravel().tolist() == [5, 6]


def test_dropout_drops_by_the_uniform_numbers_of_the_step():
    x = np.ones((50, 40))
    buffer = scalars(seed=3, step=4)
    operands, attributes = dict(x=x, scalars=buffer), dict(rate=0.25, op_id=9)
    y = call("dropout_forward", operands, dict(y=x.shape), dict(scalars="int64"), **attributes)["y"]
    kept = (uniform(3, 4, 9, x.size) >= 0.25).reshape(x.shape)
    np.testing.assert_array_equal(y, np.where(kept, 4 / 3, 0))
    # Standard error of the kept share of 2000 numbers: 0.01.
    assert abs(kept.mean() - 0.75) < 0.04
    operands = dict(dy=x, scalars=buffer)
    dx = call("dropout_backward", operands, dict(dx=x.shape), dict(scalars="int64"), **attributes)["dx"]
    np.testing.assert_array_equal(dx, y)


# ------ softmax, losses, metrics

LOG = [[0.0, math.log(2), math.log(3)]]


def test_softmax_of_logarithms_is_their_share():
    y = call("softmax_forward", dict(x=LOG), dict(y=(1, 3)))["y"]
    np.testing.assert_allclose(y, [[1 / 6, 2 / 6, 3 / 6]])


def test_softmax_of_large_logits_does_not_overflow():
    with np.errstate(over="raise", invalid="raise"):
        y = call("softmax_forward", dict(x=[[1e4, 1e4, -1e4]]), dict(y=(1, 3)))["y"]
    assert y.tolist() == [[0.5, 0.5, 0]]


@pytest.mark.parametrize(
    ("labels", "dtype"), [([[0.0, 0, 1]], "float64"), (np.array([2], np.int32), "int32")], ids=["one-hot", "sparse"]
)
def test_crossentropy_of_a_known_distribution(labels, dtype):
    dtypes = dict(labels=dtype)
    written = call("softmax_crossentropy_forward", dict(x=LOG, labels=labels), dict(y=(1, 3), loss=(1,)), dtypes)
    assert written["loss"][0] == pytest.approx(math.log(2))
    loss = call("crossentropy_forward", dict(y=[[2.0, 4, 6]], labels=labels), dict(loss=(1,)), dtypes)["loss"]
    assert loss[0] == pytest.approx(math.log(2))
    operands = dict(y=written["y"], labels=labels, dloss=[2.0])
    dx = call("softmax_crossentropy_backward", operands, dict(dx=(1, 3)), dtypes)["dx"]
    np.testing.assert_allclose(dx, [[2 / 6, 4 / 6, -1]])


def test_crossentropy_is_the_mean_over_positions():
    x = np.zeros((1, 4, 5))
    x[0, 0, 3] = 50
    labels = np.array([[3, 0, 1, 2]], np.int32)
    written = call("softmax_crossentropy_forward", dict(x=x, labels=labels), dict(y=x.shape, loss=(1,)), dict(labels="int32"))
    assert written["loss"][0] == pytest.approx(3 / 4 * math.log(5))


def test_a_clipped_probability_costs_the_clip_and_has_no_slope():
    labels = [[1.0, 0], [1.0, 0]]
    y = [[0.0, 1.0], [0.25, 0.75]]
    loss = call("crossentropy_forward", dict(y=y, labels=labels), dict(loss=(2,)))["loss"]
    np.testing.assert_allclose(loss, [-math.log(1e-7), math.log(4)])
    dy = call("crossentropy_backward", dict(y=y, labels=labels, dloss=[1.0, 1.0]), dict(dy=(2, 2)))["dy"]
    np.testing.assert_allclose(dy, [[0, 0], [-3, 1]])


def test_binary_crossentropy_of_known_probabilities():
    y, labels = [[0.0, 0.25], [0.5, 0.5]], [[1.0, 0], [1.0, 0]]
    loss = call("binary_crossentropy_forward", dict(y=y, labels=labels), dict(loss=(2,)))["loss"]
    np.testing.assert_allclose(loss, [-(math.log(1e-7) + math.log(0.75)) / 2, math.log(2)])
    operands = dict(y=y, labels=labels, dloss=[1.0, 1.0])
    dy = call("binary_crossentropy_backward", operands, dict(dy=(2, 2)))["dy"]
    np.testing.assert_allclose(dy, [[0, 0.5 / 0.75], [-1, 1]])


STATE = dict(scalars="int64", accumulator="float64")


def test_weighted_loss_accumulates_and_gives_the_gradient():
    operands = dict(loss=[1.0, 2, 3, 4], weight=[1.0, 0, 1, 2], accumulator=[100.0, 10], scalars=scalars())
    written = call("weighted_loss", operands, dict(dloss=(4,)), STATE, scale=2.0)
    assert written["accumulator"].tolist() == [112, 14]
    assert written["dloss"].tolist() == [0.5, 0, 0.5, 1]
    assert written["scalars"][Scalars.NONFINITE] == 0


@pytest.mark.parametrize("bad", [np.inf, np.nan])
@pytest.mark.parametrize(("before", "after"), [(0, 6), (3, 3)], ids=["first", "again"])
def test_the_first_loss_that_is_not_finite_leaves_its_step(bad, before, after):
    buffer = scalars(step=5, nonfinite=before)
    operands = dict(loss=[1.0, bad], weight=[1.0, 1], accumulator=[0.0, 0], scalars=buffer)
    written = call("weighted_loss", operands, dict(dloss=None), STATE, scale=1.0)
    assert written["scalars"][Scalars.NONFINITE] == after


@pytest.mark.parametrize(
    ("form", "labels", "dtype", "expected"),
    [
        ("categorical", [[0.0, 1], [0, 1], [1, 0]], "float64", [3, 6]),
        ("sparse", [1, 1, 0], "int32", [3, 6]),
        ("binary", [[0.0, 1], [0, 1], [1, 0]], "float64", [1 * 2 + 3 * 0 + 2 * 1, 12]),
    ],
)
def test_accuracy(form, labels, dtype, expected):
    # The last row ties: the first class is the answer, and 0.5 is a no.
    y, weight = [[0.2, 0.8], [0.9, 0.1], [0.5, 0.5]], [1.0, 3, 2]
    operands = dict(y=y, labels=np.array(labels, dtype), weight=weight, accumulator=[0.0, 0])
    written = call("accuracy", operands, {}, dict(accumulator="float64", labels=dtype), form=form)
    assert written["accumulator"].tolist() == expected


def test_mean_metric_accumulates_weighted_values():
    operands = dict(values=[1.0, 2], weight=[0.5, 2], accumulator=[1.0, 1])
    assert call("mean_metric", operands, {}, STATE)["accumulator"].tolist() == [5.5, 3.5]


# ------ optimizers


def step(w, dw, slots, factor=None, rates=None, **attributes):
    """What optimizer_step writes at a learning rate of 0.1."""
    values = scalars(**{"learning_rate": 0.1, "rate": 0.1, **(rates or {})})
    operands = dict(w=np.array(w), dw=np.array(dw), slots=[np.array(s) for s in slots], factor=factor, scalars=values)
    shapes = dict(w=(len(w),), dw=(len(w),), slots=[(len(w),)] * len(slots), scalars=values.shape)
    shapes["factor"] = None if factor is None else (1,)
    return run(REFERENCE, "optimizer_step", operands, shapes, attributes, dtypes=dict(scalars="int64"), batch_size=1)


@pytest.mark.parametrize(("rule", "w", "v"), [("sgd", 0.8, []), ("momentum", 1.7, [0.7]), ("nesterov", 1.43, [0.7])])
def test_descent(rule, w, v):
    written = step([1.0], [2.0], [[1.0]] * len(v), rule=rule, beta_1=0.9)
    assert written["w"].tolist() == pytest.approx([w])
    assert [slot.item() for slot in written.get("slots", [])] == pytest.approx(v)


def test_adam_s_first_step_is_the_learning_rate_whatever_the_gradient():
    corrected = dict(rate=0.1 * math.sqrt(1 - 0.999) / (1 - 0.9), epsilon=1e-12)
    written = step([1.0, 1], [5.0, -0.01], [[0.0, 0], [0.0, 0]], rates=corrected, rule="adam", beta_1=0.9, beta_2=0.999)
    np.testing.assert_allclose(written["w"], [0.9, 1.1])
    np.testing.assert_allclose(written["slots"], [[0.5, -0.001], [0.025, 1e-7]])


def test_a_gradient_is_scaled_then_limited_and_the_weight_decays_first():
    written = step([1.0, 1, 1], [4.0, -40, 1], [], factor=np.array([0.5]), rule="sgd", clipvalue=3.0, weight_decay=2.0)
    np.testing.assert_allclose(written["w"], [0.8 - 0.2, 0.8 + 0.3, 0.8 - 0.05])


@pytest.mark.parametrize(("limit", "factor"), [(1.3, 0.1), (13.0, 1.0), (26.0, 1.0)])
def test_clip_factor(limit, factor):
    operands, shapes = dict(xs=[np.array([3.0, 4]), np.array([[12.0]])]), dict(xs=[(2,), (1, 1)], factor=(1,))
    written = run(REFERENCE, "clip_factor", operands, shapes, dict(limit=limit), batch_size=1)
    assert written["factor"].tolist() == pytest.approx([factor])


def test_optimizers_stand_still_after_a_loss_that_is_not_finite():
    stopped = [case for case in cases_of("optimizer_step") if case.numbers == "stopped"]
    assert {case.attributes["rule"] for case in stopped} == set(RULES)
    for case in stopped:
        operands = arrays(case)
        for name, value in run_case(case, REFERENCE, operands).items():
            np.testing.assert_array_equal(value, operands[name])


# ------ data


def test_gather_scales_rows_by_number():
    source = np.array([[0, 255], [51, 102], [255, 0]], np.uint8)
    operands = dict(source=source, index=np.array([2, 1]))
    dtypes = dict(source="uint8", index="int64")
    y = call("gather", operands, dict(y=(2, 2)), dtypes, batch_size=2, scale=1 / 255, offset=-0.5)["y"]
    np.testing.assert_allclose(y, [[0.5, -0.5], [-0.3, -0.1]])
