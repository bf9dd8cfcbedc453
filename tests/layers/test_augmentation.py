"""Augmentation layers: what they do to pictures, when, from which random numbers, and that networks train with them.

Compared with Keras in tests/keras/test_augmentation.py; their kernels are tested in tests/kernels/test_augment.py.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastcnn import applications, layers, models, optimizers, saving
from fastcnn.utils import set_random_seed

Array = np.ndarray
RANDOM = {"random_affine", "affine_sample", "random_uniform", "adjust", "random_box", "erase"}
EVERY = [
    lambda **o: layers.RandomFlip(**o),
    lambda **o: layers.RandomTranslation(0.3, 0.3, **o),
    lambda **o: layers.RandomRotation(0.2, **o),
    lambda **o: layers.RandomZoom(0.4, **o),
    lambda **o: layers.RandomBrightness(0.4, (0, 1), **o),
    lambda **o: layers.RandomContrast(0.6, (0, 1), **o),
    lambda **o: layers.RandomErasing(1.0, value_range=(0, 1), **o),
]
NAMES = ["flip", "translation", "rotation", "zoom", "brightness", "contrast", "erasing"]


@pytest.fixture(params=EVERY, ids=NAMES)
def make(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def pictures() -> Array:
    return np.random.default_rng(0).random((64, 9, 8, 3), np.float32)


def device(name: str) -> str:
    if name == "emulated":
        pytest.importorskip("numba_cuda", reason="CUDA kernels are compiled with the packages of fastcnn[cuda13]")
    return name


def trained(*chain: layers.Layer, shape: tuple[int, ...], on: str = "cpu") -> models.Model:
    """The layers one after the other, always as in training."""
    x = y = layers.Input(shape)
    for layer in chain:
        y = layer(y, training=True)
    model = models.Model(x, y)
    model.compile("sgd", "mse", device=device(on))
    return model


def augmented(x: Array, *chain: layers.Layer, on: str = "cpu", seed: int = 5) -> Array:
    """x through the layers as in the first step of a training with this seed."""
    model = trained(*chain, shape=x.shape[1:], on=on)
    model.executor.set(seed=seed)
    return np.asarray(model.predict(x, batch_size=len(x), verbose=0))


def ops_of(model: models.Model, mode: Any = "train") -> list[str]:
    return [step.op for step in model.program(mode, 4).steps]


def classifier(*chain: layers.Layer, shape: tuple[int, int, int] = (9, 8, 3), on: str = "cpu") -> models.Sequential:
    set_random_seed(3)
    network = models.Sequential([layers.Input(shape), *chain, layers.Flatten(), layers.Dense(2, activation="softmax")])
    network.compile(optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"], device=device(on))
    return network


# ------ in training only


def test_no_layer_adds_a_step_to_evaluation_or_prediction():
    network = classifier(*(make() for make in EVERY))
    assert set(ops_of(network)) >= RANDOM
    for mode in ("test", "predict"):
        assert not RANDOM & set(ops_of(network, mode))
        assert ops_of(network, mode) == ops_of(classifier(), mode)


def test_prediction_and_evaluation_are_those_of_the_network_without(pictures, make):
    network, plain = classifier(make()), classifier()
    plain.set_weights(network.get_weights())
    labels = np.arange(64) % 2
    np.testing.assert_array_equal(network.predict(pictures, verbose=0), plain.predict(pictures, verbose=0))
    assert network.evaluate(pictures, labels, verbose=0) == plain.evaluate(pictures, labels, verbose=0)


def test_in_training_pictures_change_and_their_shape_stays(pictures, make):
    changed = augmented(pictures, make())
    assert changed.shape == pictures.shape
    assert np.isfinite(changed).all()
    assert not np.array_equal(changed, pictures)
    network, plain = classifier(make()), classifier()
    plain.set_weights(network.get_weights())
    labels = np.arange(64) % 2
    assert network.train_on_batch(pictures, labels)[0] != plain.train_on_batch(pictures, labels)[0]


# ------ the same pictures


@pytest.mark.parametrize("name", ["cpu", "emulated"])
def test_pictures_are_the_same_on_every_device(pictures, make, name):
    expected = augmented(pictures[:11], make(), on="reference")
    np.testing.assert_allclose(augmented(pictures[:11], make(), on=name), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["cpu", "emulated"])
def test_pictures_through_several_layers_are_the_same_on_every_device(pictures, name):
    def chain() -> list[layers.Layer]:
        return [make() for make in EVERY] + [layers.RandomCrop(5, 6)]

    expected = augmented(pictures[:11], *chain(), on="reference")
    np.testing.assert_allclose(augmented(pictures[:11], *chain(), on=name), expected, rtol=1e-5, atol=1e-5)


def test_pictures_depend_on_the_seed_the_step_and_the_place_in_the_network(pictures, make):
    first = augmented(pictures, make())
    np.testing.assert_array_equal(augmented(pictures, make()), first)
    assert not np.array_equal(augmented(pictures, make(), seed=6), first)
    x = layers.Input(pictures.shape[1:])
    model = models.Model(x, [make()(x, training=True), make()(x, training=True)])
    one, other = model.predict(pictures, batch_size=64, verbose=0)
    assert not np.array_equal(one, other)


def test_every_training_step_draws_anew(pictures):
    network = classifier(layers.RandomTranslation(0.4, 0.4))
    network.compile(optimizers.SGD(0.0), "sparse_categorical_crossentropy", device="cpu")
    labels = np.arange(64) % 2
    losses = [float(np.squeeze(network.train_on_batch(pictures, labels))) for _ in range(4)]
    assert len(set(losses)) == 4


def test_layers_of_one_seed_draw_the_same_whatever_the_global_seed(pictures, make):
    first = augmented(pictures, make(seed=9), seed=1)
    np.testing.assert_array_equal(augmented(pictures, make(seed=9), seed=2), first)
    assert not np.array_equal(augmented(pictures, make(seed=10), seed=2), first)
    x = layers.Input(pictures.shape[1:])
    model = models.Model(x, [make(seed=9)(x, training=True), make(seed=9)(x, training=True)])
    one, other = model.predict(pictures, batch_size=64, verbose=0)
    np.testing.assert_array_equal(one, other)


# ------ moved


@pytest.mark.parametrize(("mode", "axes"), [("horizontal", [(), (2,)]), ("vertical", [(), (1,)])])
def test_a_flip_mirrors_every_second_picture(pictures, mode, axes):
    x = np.tile(pictures, (8, 1, 1, 1))
    y = augmented(x, layers.RandomFlip(mode))
    mirrored = np.array([np.array_equal(b, np.flip(a, axes[1][0] - 1)) for a, b in zip(x, y, strict=True)])
    kept = np.array([np.array_equal(a, b) for a, b in zip(x, y, strict=True)])
    assert np.all(mirrored ^ kept)
    assert abs(mirrored.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(x))


def test_a_flip_of_both_axes_decides_about_each(pictures):
    y = augmented(pictures, layers.RandomFlip())
    kinds = [next(k for k, axes in enumerate([(), (0,), (1,), (0, 1)]) if np.array_equal(np.flip(a, axes), b))
             for a, b in zip(pictures, y, strict=True)]  # fmt: skip
    assert np.bincount(kinds).min() > 4


def test_a_crop_is_a_window_and_without_training_the_one_in_the_middle(pictures):
    places = []
    for a, b in zip(pictures, augmented(pictures, layers.RandomCrop(7, 5)), strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(a, (7, 5), axis=(0, 1)).transpose(0, 1, 3, 4, 2)
        places.append(tuple(np.argwhere((windows == b).all(axis=(2, 3, 4)))[0]))
    assert set(places) == {(i, j) for i in range(3) for j in range(4)}
    model = models.Sequential([layers.Input((9, 8, 3)), layers.RandomCrop(7, 5)])
    np.testing.assert_array_equal(model.predict(pictures, verbose=0), pictures[:, 1:8, 1:6])


def test_a_crop_of_one_axis_and_of_none(pictures):
    y = augmented(pictures, layers.RandomCrop(9, 3))
    assert all(any(np.array_equal(a[:, j : j + 3], b) for j in range(6)) for a, b in zip(pictures, y, strict=True))
    np.testing.assert_array_equal(augmented(pictures, layers.RandomCrop(9, 8)), pictures)


def test_a_shift_by_a_known_share_is_what_numpy_rolls(pictures):
    x = pictures[:, :8]
    for interpolation in ("nearest", "bilinear"):
        y = augmented(x, layers.RandomTranslation((0.25, 0.25), (-0.5, -0.5), "wrap", interpolation))
        np.testing.assert_array_equal(y, np.roll(x, (2, -4), axis=(1, 2)))


def test_a_quarter_turn_is_that_of_numpy(pictures):
    x = pictures[:, :8]
    np.testing.assert_array_equal(augmented(x, layers.RandomRotation((0.25, 0.25))), np.rot90(x, axes=(1, 2)))


def test_half_the_size_shows_every_second_pixel_and_the_constant_around(pictures):
    x = np.repeat(np.repeat(pictures[:, :8], 2, axis=1), 2, axis=2)
    y = augmented(x, layers.RandomZoom((1.0, 1.0), fill_mode="constant", fill_value=0.25))
    np.testing.assert_allclose(y[:, 4:12, 4:12], pictures[:, :8], rtol=1e-6)
    assert (y[:, :4] == 0.25).all() & (y[:, :, 12:] == 0.25).all()


# ------ several in one


@pytest.mark.parametrize("on", ["reference", "cpu"])
def test_a_picture_is_sampled_once(on):
    chain = [layers.RandomFlip(), layers.RandomTranslation(0.1, 0.1), layers.RandomRotation(0.1), layers.RandomCrop(6, 6)]
    steps = ops_of(classifier(*chain, on=on))
    assert steps.count("affine_sample") == 1
    assert steps.count("random_affine") == 4


def test_layers_that_disagree_are_sampled_one_by_one():
    chain = [layers.RandomFlip(), layers.RandomTranslation(0.1, 0.1, "constant"), layers.RandomRotation(0.1, "wrap")]
    assert ops_of(classifier(*chain)).count("affine_sample") == 2
    between = [layers.RandomFlip(), layers.RandomBrightness(0.1), layers.RandomZoom(0.1)]
    assert ops_of(classifier(*between)).count("affine_sample") == 2


def test_what_another_layer_reads_too_is_still_there(pictures):
    x = layers.Input((9, 8, 3))
    middle = layers.RandomFlip(seed=1)(x, training=True)
    model = models.Model(x, [middle, layers.RandomFlip(seed=1)(middle, training=True)])
    flipped, twice = model.predict(pictures, batch_size=64, verbose=0)
    np.testing.assert_array_equal(twice, pictures)
    assert not np.array_equal(flipped, pictures)


def test_flips_and_crops_in_one_are_those_one_after_the_other(pictures):
    def chain() -> list[layers.Layer]:
        return [layers.RandomFlip(seed=4), layers.RandomCrop(6, 5, seed=4), layers.RandomFlip("vertical", seed=5)]

    one_by_one = pictures
    for layer in chain():
        one_by_one = augmented(one_by_one, layer)
    np.testing.assert_array_equal(augmented(pictures, *chain()), one_by_one)


def test_maps_in_one_bring_back_what_one_layer_moved_out_of_sight(pictures):
    there, back = (layers.RandomTranslation((n, n), (0, 0), "constant") for n in (1.0, -1.0))
    np.testing.assert_array_equal(augmented(pictures, there, back), pictures)


def test_a_turn_behind_a_shift_turns_what_was_shifted(pictures):
    x = pictures[:, :8]
    shift, turn = layers.RandomTranslation((0.25, 0.25), (0, 0), "wrap"), layers.RandomRotation((0.25, 0.25), "wrap")
    np.testing.assert_array_equal(augmented(x, shift, turn), np.rot90(np.roll(x, 2, axis=1), axes=(1, 2)))


# ------ coloured


def test_brightness_adds_one_number_to_a_picture(pictures):
    x = 0.5 + 0.01 * pictures
    added = augmented(x, layers.RandomBrightness(0.2, (0, 1))) - x
    assert np.ptp(added, axis=(1, 2, 3)).max() < 1e-6
    amounts = added.mean(axis=(1, 2, 3))
    assert -0.2 <= amounts.min() < -0.15
    assert 0.15 < amounts.max() <= 0.2
    np.testing.assert_array_equal(augmented(x, layers.RandomBrightness((1, 1), (0, 1))), np.ones_like(x))


def test_contrast_spreads_a_channel_around_its_mean(pictures):
    x = 0.25 + 0.5 * pictures
    y = augmented(x, layers.RandomContrast((0.2, 0.5), (-9, 9)))
    mean = x.mean(axis=(1, 2), keepdims=True)
    factors = (y - mean) / (x - mean)
    each = np.median(factors, axis=(1, 2, 3))
    np.testing.assert_allclose(y, (x - mean) * each[:, None, None, None] + mean, atol=1e-5)
    assert 0.8 <= each.min() < 0.9
    assert 1.4 < each.max() <= 1.5001
    assert augmented(x, layers.RandomContrast(0.9, (0.4, 0.6))).max() == np.float32(0.6)


def test_erasing_fills_one_rectangle(pictures):
    y = augmented(pictures, layers.RandomErasing((1, 1), (0.25, 0.25), (0.1, 0.2, 1.7), (-1, 1.5)))
    for a, b in zip(pictures, y, strict=True):
        rows, columns = np.nonzero((a != b).all(axis=-1))
        box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert (b[box] == np.array([0.1, 0.2, 1.5], np.float32)).all()
        assert b[box].shape[:2] in ((4, 4), (5, 4))
        assert (a != b).any(axis=-1).sum() == b[box][..., 0].size


def test_noise_keeps_to_its_range(pictures):
    y = augmented(pictures, layers.RandomErasing((1, 1), (1, 1), value_range=(0, 1)))
    assert (y.min(), y.max()) == (0, 1)
    assert abs(np.mean(y == 0) - 0.5) < 0.02


# ------ training


def test_the_network_of_the_tutorial_trains_with_shifts_and_flips():
    """Squares of three colours, wherever they are."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 192)
    x = 0.2 * rng.random((192, 32, 32, 3), np.float32)
    for n, label in enumerate(labels):
        i, j = rng.integers(2, 22, 2)
        x[n, i : i + 8, j : j + 8, label] += 0.6
    set_random_seed(1)
    augmentation = [layers.RandomTranslation(0.1, 0.1), layers.RandomFlip("horizontal")]
    network = models.Sequential([*augmentation, applications.TutorialKeras(classes=3)])
    network.compile(optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"], device="cpu")
    # Moving statistics take a few hundred steps to forget where they began.
    options = dict(epochs=25, batch_size=8, verbose=0, validation_data=(x[128:], labels[128:]))
    history = network.fit(x[:128], labels[:128], **options)
    assert history.history["loss"][-1] < 0.3 * history.history["loss"][0]
    assert history.history["val_accuracy"][-1] > 0.9


def test_a_resumed_run_goes_on_with_the_same_pictures(pictures, tmp_path: Path):
    def network() -> models.Sequential:
        return classifier(*(make() for make in EVERY))

    labels = np.arange(64) % 2
    options: dict[str, Any] = dict(batch_size=10, verbose=0)
    whole, part = network(), network()
    whole.fit(pictures, labels, epochs=4, **options)
    part.fit(pictures, labels, epochs=2, **options)
    saving.save_checkpoint(tmp_path / "checkpoint.safetensors", part, {})
    set_random_seed(77)
    resumed, _ = saving.load_checkpoint(tmp_path / "checkpoint.safetensors")
    resumed.fit(pictures, labels, epochs=4, initial_epoch=2, **options)
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("name", ["reference", "emulated"])
def test_losses_are_those_of_the_cpu(pictures, name):
    labels = np.arange(64) % 2
    losses = []
    for on in ("cpu", name):
        network = classifier(*(make() for make in EVERY), on=on)
        losses.append([network.train_on_batch(pictures[:16], labels[:16])[0] for _ in range(2)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_there_is_no_gradient_for_a_layer_before(make):
    network = models.Sequential(
        [layers.Input((8, 8, 3)), layers.Conv2D(3, 1, name="before"), make(name="mine"), layers.Flatten(), layers.Dense(1)]
    )
    network.compile("sgd", "mse", device="reference")
    x, y = np.zeros((2, 8, 8, 3), np.float32), np.zeros((2, 1), np.float32)
    with pytest.raises(NotImplementedError, match="mine: augmentation has no gradient, and layers before it want"):
        network.train_on_batch(x, y)
    network.get_layer("before").trainable = False
    network.compile("sgd", "mse", device="reference")
    assert np.isfinite(network.train_on_batch(x, y)).all()


# ------ bad arguments

WRONG = {
    "unknown mode 'sideways'; .*known: horizontal, vertical": lambda: layers.RandomFlip("sideways"),
    "unknown fill_mode 'reflct'; did you mean 'reflect'": lambda: layers.RandomZoom(0.1, fill_mode="reflct"),
    "unknown interpolation 'cubic'": lambda: layers.RandomRotation(0.1, interpolation="cubic"),
    "height_factor must be one number or two in the range -1 ... 1, got 1.5": lambda: layers.RandomTranslation(1.5, 0.1),
    "width_factor must be .* got 'wide'": lambda: layers.RandomTranslation(0.1, "wide"),  # type: ignore[arg-type]
    "height_factor must lie above -1": lambda: layers.RandomZoom((-1.0, 0.5)),
    r"factor must be .* got \(0.1, 0.2, 0.3\)": lambda: layers.RandomRotation((0.1, 0.2, 0.3)),
    "factor must be .* range 0 ... 1, got -0.1": lambda: layers.RandomErasing(-0.1),
    "factor must be .* range 0 ... 1": lambda: layers.RandomContrast((-0.5, 0.5)),
    "value_range must be the least and the largest": lambda: layers.RandomBrightness(0.1, (1, 1)),
    "fill_value must be None, a number": lambda: layers.RandomErasing(fill_value="noise"),  # type: ignore[arg-type]
    "seed must be None or a whole number from 0": lambda: layers.RandomFlip(seed=-1),
    "height must be": lambda: layers.RandomCrop(0, 3),
    "data_format must be": lambda: layers.RandomFlip(data_format="channels_first"),
    "cannot crop 10 x 4 pixels out of pictures of shape": lambda: layers.RandomCrop(10, 4)(layers.Input((9, 8, 3))),
    "expects 4 axes": lambda: layers.RandomFlip()(layers.Input((9, 8))),
    "the fill must be one number, or one a channel": lambda: layers.RandomErasing(fill_value=(0, 1))(
        layers.Input((9, 8, 3)), training=True
    ),
    "at most 8192 pixels": lambda: layers.RandomFlip()(layers.Input((9000, 1, 1)), training=True),
}


@pytest.mark.parametrize("message", WRONG)
def test_bad_arguments_are_refused(message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WRONG[message]()
