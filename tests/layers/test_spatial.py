"""Layers over one, two and three spatial axes: what each promises beyond the conformance test, and its errors."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastcnn import layers, models, ops
from fastcnn.trace import Trace, Value
from fastcnn.utils.gradient_check import check_gradients


def predict(layer: layers.Layer, x: Any) -> np.ndarray:
    x = np.asarray(x, np.float32)
    return models.Sequential([layers.Input(x.shape[1:]), layer]).predict(x, verbose=0)


def picture(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)


# ------ convolutions


def test_a_causal_convolution_sees_no_later_step() -> None:
    layer, x = layers.Conv1D(4, 3, padding="causal", dilation_rate=2), picture(10, 3)
    before = predict(layer, x)
    x[:, 6:] += 1
    after = predict(layer, x)
    np.testing.assert_array_equal(after[:, :6], before[:, :6])
    assert (after[:, 6] != before[:, 6]).all()


def test_only_sequences_have_causal_padding() -> None:
    with pytest.raises(ValueError, match="unknown padding 'causal'; .*known: valid, same"):
        layers.Conv2D(4, 3, padding="causal")


@pytest.mark.parametrize("multiplier", [1, 3])
def test_a_depthwise_convolution_is_one_convolution_a_channel(multiplier: int) -> None:
    layer, x = layers.DepthwiseConv2D(3, depth_multiplier=multiplier), picture(5, 6, 4)
    y = predict(layer, x)
    kernel, bias = layer.get_weights()
    for channel in range(4):
        alone = layers.Conv2D(multiplier, 3)
        alone.build((None, 5, 6, 1))
        here = slice(channel * multiplier, (channel + 1) * multiplier)
        alone.set_weights([kernel[:, :, channel : channel + 1], bias[here]])
        np.testing.assert_allclose(predict(alone, x[..., channel : channel + 1]), y[..., here], atol=1e-6)


def test_a_separable_convolution_is_a_depthwise_one_and_a_1x1() -> None:
    layer, x = layers.SeparableConv2D(5, 3, strides=2, depth_multiplier=2, activation="relu"), picture(7, 6, 3)
    depthwise, pointwise = layers.DepthwiseConv2D(3, strides=2, depth_multiplier=2, use_bias=False), layers.Conv2D(5, 1)
    y = predict(layer, x)
    depthwise.build((None, 7, 6, 3))
    pointwise.build((None, 3, 2, 6))
    depthwise.set_weights(layer.get_weights()[:1])
    pointwise.set_weights(layer.get_weights()[1:])
    np.testing.assert_allclose(np.maximum(predict(pointwise, predict(depthwise, x)), 0), y, atol=1e-6)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("size", "kernel", "stride"), [(5, 3, 2), (4, 2, 2), (3, 1, 3), (6, 5, 1), (4, 3, 4)])
def test_a_transposed_convolution_is_the_way_back_of_a_convolution(size: int, kernel: int, stride: int, padding: str) -> None:
    extents, pads = ops.transposed_extents((size,), (kernel,), (stride,), padding, None)
    assert extents == ((size * stride,) if padding == "same" else (max((size - 1) * stride + kernel, size * stride),))
    assert ops.output_extents(extents, (kernel,), (stride,), pads, "back") == (size,)


def test_a_shared_depthwise_layer_gets_the_gradient_of_both_calls() -> None:
    shared, x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2), layers.Input((5, 5, 2))
    left, right = shared(x), shared(layers.Cropping2D(1)(layers.ZeroPadding2D(1)(x)))
    model = models.Model(x, layers.Dense(1)(layers.Flatten()(layers.Concatenate()([left, layers.Activation("tanh")(right)]))))
    worst = check_gradients(model, picture(5, 5, 2), np.ones((2, 1), np.float32), loss="mse")
    assert len(worst) == 4
    assert max(worst.values()) < 1e-6


def test_the_gradients_of_a_network_of_them_all() -> None:
    model = models.Sequential([
        layers.Input((6, 4, 3)),
        layers.Conv2DTranspose(4, 3, strides=2, output_padding=1, activation="tanh"),
        layers.SeparableConv2D(5, 3, padding="same", activation="sigmoid"),
        layers.Permute((2, 3, 1)),
        layers.UpSampling2D((1, 2), interpolation="bilinear"),
        layers.ZeroPadding2D(((0, 1), (2, 0))),
        layers.Cropping2D((1, 1)),
        layers.AveragePooling2D(2),
        layers.DepthwiseConv2D(2, strides=2),
        layers.Reshape((-1, 14)),
        layers.Conv1D(3, 2, padding="causal"),
        layers.UpSampling1D(2),
        layers.GlobalAveragePooling1D(),
        layers.RepeatVector(2),
        layers.Conv1DTranspose(1, 2),
    ])  # fmt: skip
    worst = check_gradients(model, picture(6, 4, 3), np.zeros((2, 3, 1), np.float32), loss="mse")
    assert len(worst) == 11
    assert max(worst.values()) < 1e-6


# ------ extents without weights


def test_bilinear_upsampling_of_a_corner() -> None:
    y = predict(layers.UpSampling2D(2, interpolation="bilinear"), np.array([[1.0, 5], [9, 13]]).reshape(1, 2, 2, 1))
    np.testing.assert_allclose(y[0, ..., 0], [[1, 2, 4, 5], [3, 4, 6, 7], [7, 8, 10, 11], [9, 10, 12, 13]])


def test_cropping_takes_back_what_padding_added() -> None:
    x, border = picture(4, 3, 5), ((1, 2), (0, 3))
    both = models.Sequential([layers.Input(x.shape[1:]), layers.ZeroPadding2D(border), layers.Cropping2D(border)])
    np.testing.assert_array_equal(both.predict(x, verbose=0), x)


@pytest.mark.parametrize("dims", [(1, 2, 3), (3, 1, 2), (2, 3, 1), (3, 2, 1)])
def test_permute_is_a_transposition(dims: tuple[int, ...]) -> None:
    x = picture(3, 17, 4)
    np.testing.assert_array_equal(predict(layers.Permute(dims), x), x.transpose(0, *dims))


def test_nothing_is_done_where_no_axis_moves() -> None:
    with Trace() as trace:
        x = Value((None, 3, 4))
        assert layers.Permute((1, 2))(x) is x
    assert trace.steps == []


def test_repeat_vector_repeats() -> None:
    x = picture(5)
    np.testing.assert_array_equal(predict(layers.RepeatVector(3), x), np.repeat(x[:, None], 3, axis=1))


# ------ aliases and errors


@pytest.mark.parametrize(
    ("alias", "name"),
    [("Convolution2D", "Conv2D"), ("Convolution3DTranspose", "Conv3DTranspose"), ("SeparableConvolution1D", "SeparableConv1D")]
    + [(f"{short}{rank}D", f"{long}{rank}D") for rank in (1, 2, 3) for short, long in [
        ("MaxPool", "MaxPooling"), ("AvgPool", "AveragePooling"),
        ("GlobalMaxPool", "GlobalMaxPooling"), ("GlobalAvgPool", "GlobalAveragePooling"),
    ]],
)  # fmt: skip
def test_aliases(alias: str, name: str) -> None:
    assert getattr(layers, alias) is getattr(layers, name)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Conv3D(4, (3, 3)), r"'conv3d\w*' .Conv3D.: kernel_size must be one positive whole number or 3 of them"),
        (lambda: layers.Conv2DTranspose(4, 3, output_padding=-1), "output_padding must be one whole number, 0 or more, or 2"),
        (lambda: layers.Conv2DTranspose(4, 3, strides=2, output_padding=2), r"less than strides, got \(2, 2\) for \(2, 2\)"),
        (lambda: layers.DepthwiseConv2D(3, depth_multiplier=0), "depth_multiplier must be a positive whole number, got 0"),
        (lambda: layers.SeparableConv1D(0, 3), "filters must be a positive whole number, got 0"),
        (lambda: layers.UpSampling2D(0), "size must be one positive whole number or 2 of them, got 0"),
        (lambda: layers.UpSampling2D(2, interpolation="bicubic"), "unknown interpolation 'bicubic'"),
        (lambda: layers.ZeroPadding2D((1, 2, 3)), r"padding must be one whole number, 0 or more, or 2 of them, or 2 pair"),
        (lambda: layers.ZeroPadding1D("same"), r"padding must be one whole number.*got 'same'"),
        (lambda: layers.Cropping3D(1.5), r"cropping must be one whole number.*got 1.5"),
        (lambda: layers.Cropping1D((1, -1)), r"cropping must be one whole number.*got \(1, -1\)"),
        (lambda: layers.Permute((0, 1)), r"dims must be the numbers 1 to the number of axes in some order, got \(0, 1\)"),
        (lambda: layers.RepeatVector(0), "n must be a positive whole number, got 0"),
    ],
)
def test_arguments_that_make_no_sense(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (lambda: layers.Conv1D(4, 3), (7, 6, 2), r"expects 3 axes \(batch, steps, channels\), got 4"),
        (lambda: layers.Cropping2D(2), (4, 6, 2), r"cropping \(\(2, 2\), \(2, 2\)\) .* of \(4, 6\) leaves nothing"),
        (lambda: layers.Conv2DTranspose(2, 2, 2, "same", 0), (1, 3, 2), r"of \(1, 3\) pixels gives \(0, 4\): use more"),
        (lambda: layers.Permute((2, 1)), (3, 4, 5), r"a permutation of the 4 axes of \(None, 3, 4, 5\), at most 5"),
        (lambda: layers.RepeatVector(2), (3, 4), r"expects 2 axes \(batch, features\), got 3"),
        (lambda: layers.MaxPooling3D(3), (2, 4, 5, 1), r"shrinks axis 1 below one pixel: floor\(\(2 "),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit(layer: Callable[[], layers.Layer], shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(layers.LayerError, match=message):
        layer()(layers.Input(shape))


def test_ops_check_the_kernels_that_they_are_given() -> None:
    with Trace():
        x = Value((None, 5, 5, 3))
        with pytest.raises(ValueError, match=r"expected 2 spatial axes, the filters, and 3 channels"):
            ops.conv_transpose(x, Value((3, 3, 3, 4)))
        with pytest.raises(ValueError, match=r"3 channels, a depthwise kernel of shape \(3, 3, 4, 1\) expects 4"):
            ops.depthwise_conv(x, Value((3, 3, 4, 1)))
        with pytest.raises(ValueError, match=r"a pair .before, after. for each of 2 spatial axes"):
            ops.pad(x, [(1, 1)])
        with pytest.raises(ValueError, match=r'must be "valid" or "same", got \'causal\''):
            ops.conv_transpose(x, Value((3, 3, 4, 3)), padding="causal")
