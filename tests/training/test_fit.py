"""fit, evaluate, predict: what Keras promises about them, and that runs can be repeated and resumed."""

import multiprocessing
import os
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from fastcnn import callbacks, layers, models, optimizers
from fastcnn.utils.random_seed import set_random_seed
from fastcnn.utils.sequence import PyDataset

from .conftest import Array, classifier, two_headed


def compiled(model: Any = None, optimizer: Any = "sgd", **options: Any) -> Any:
    model = model or classifier()
    model.compile(optimizer, "sparse_categorical_crossentropy", **{"metrics": ["accuracy"], **options})
    return model


def twin(model: Any, **options: Any) -> Any:
    """An equal model, compiled anew."""
    other = compiled(**options)
    other.set_weights(model.get_weights())
    return other


def same(a: Any, b: Any) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


def with_dropout() -> Any:
    return models.Sequential(
        [
            layers.Dense(8, activation="relu", input_shape=(4,)),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax"),
        ]
    )


# Numbers.


def test_history(data: tuple) -> None:
    x, y = data
    model = compiled()
    history = model.fit(x, y, batch_size=10, epochs=3, validation_data=(x[:7], y[:7]), verbose=0)
    assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert [len(values) for values in history.history.values()] == [3] * 4
    assert history.epoch == [0, 1, 2]
    assert history.params == {"verbose": 0, "epochs": 3, "steps": 3}
    assert model.history is history
    assert history.history["val_loss"][-1] == model.evaluate(x[:7], y[:7], verbose=0)[0]


def test_evaluate_returns_a_number_a_list_or_a_dict(data: tuple) -> None:
    x, y = data
    model = compiled()
    loss, accuracy = model.evaluate(x, y, verbose=0)
    assert model.evaluate(x, y, verbose=0, return_dict=True) == {"loss": loss, "accuracy": accuracy}
    assert model.metrics_names == ["loss", "accuracy"]
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert model.evaluate(x, y, verbose=0) == loss


@pytest.mark.parametrize("size", [1, 7, 25, 100])
def test_evaluate_and_predict_do_not_depend_on_the_batch_size(data: tuple, size: int) -> None:
    x, y = data
    model = compiled()
    np.testing.assert_allclose(model.evaluate(x, y, size, verbose=0), model.evaluate(x, y, 5, verbose=0), rtol=1e-6)
    np.testing.assert_allclose(model.predict(x, size, verbose=0), model.predict_on_batch(x), rtol=1e-5)


def test_several_outputs(two_data: tuple) -> None:
    x, y = two_data
    model = two_headed()
    model.compile("sgd", {"kind": "sparse_categorical_crossentropy", "size": "mse"}, loss_weights={"kind": 2.0, "size": 0.5},
                  metrics={"kind": ["accuracy"], "size": ["mae", "mse"]})  # fmt: skip
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    assert list(logs) == ["loss", "kind_loss", "size_loss", "kind_accuracy", "size_mae", "size_mse"] == model.metrics_names
    assert logs["loss"] == pytest.approx(2 * logs["kind_loss"] + 0.5 * logs["size_loss"])
    kind, size = model.predict(x, verbose=0)
    assert logs["kind_loss"] == pytest.approx(float(-np.log(kind[range(18), y[0]]).mean()), rel=1e-5)
    assert logs["size_mse"] == pytest.approx(float(np.square(size[:, 0] - y[1]).mean()), rel=1e-5)
    history = model.fit(x, y, epochs=5, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


def test_loss_weights_scale_the_gradients(two_data: tuple) -> None:
    """Weight 0 for one output leaves its layer as it was; the other learns as if it were alone."""
    x, y = two_data
    model = two_headed()
    before = {layer.name: layer.get_weights() for layer in model.layers}
    model.compile("sgd", ["sparse_categorical_crossentropy", "mse"], loss_weights=[0.0, 1.0])
    model.fit(x, y, verbose=0)
    np.testing.assert_array_equal(model.get_layer("kind").get_weights()[0], before["kind"][0])
    assert not np.array_equal(model.get_layer("size").get_weights()[0], before["size"][0])


def test_outputs_as_a_dict() -> None:
    inputs = layers.Input((4,))
    model = models.Model(inputs, {"b": layers.Dense(2)(inputs), "a": layers.Dense(1)(inputs)})
    found = model.predict(np.zeros((3, 4)), verbose=0)
    assert {name: array.shape for name, array in found.items()} == {"a": (3, 1), "b": (3, 2)}
    model.compile("sgd", {"a": "mse", "b": "mae"})
    logs = model.evaluate(np.zeros((3, 4)), {"a": np.ones(3), "b": np.zeros((3, 2))}, verbose=0, return_dict=True)
    assert logs["a_loss"] == pytest.approx(1.0)
    assert logs["b_loss"] == pytest.approx(0.0)


# Weights of samples and classes.


def test_sample_weight_scales_losses(data: tuple) -> None:
    x, y = data
    model = compiled()
    weights = np.linspace(0, 2, 25)
    p = model.predict(x, verbose=0)
    expected = float((weights * -np.log(p[range(25), y])).mean())
    assert model.evaluate(x, y, sample_weight=weights, verbose=0)[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("one_hot", [False, True])
def test_class_weight_is_a_weight_for_each_sample(data: tuple, one_hot: bool) -> None:
    x, y = data
    model = classifier()
    model.compile("sgd", "categorical_crossentropy" if one_hot else "sparse_categorical_crossentropy")
    other = twin(model, metrics=None)
    model.fit(x, np.eye(3)[y] if one_hot else y, class_weight={0: 2.0, 2: 0.5}, verbose=0)
    other.fit(x, y, sample_weight=np.array([2.0, 1.0, 0.5])[y], verbose=0)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_validation_split_takes_the_last_samples_and_leaves_class_weights_out(data: tuple) -> None:
    x, y = data
    model = compiled()
    other = twin(model)
    history = model.fit(x, y, validation_split=0.2, class_weight={1: 3.0}, verbose=0).history
    expected = other.fit(x[:20], y[:20], validation_data=(x[20:], y[20:]), class_weight={1: 3.0}, verbose=0).history
    assert history == expected
    assert same(model, other)


# Order and randomness.


def test_two_runs_give_the_same_bits(data: tuple) -> None:
    runs = []
    for _ in range(2):
        set_random_seed(5)
        model = compiled(with_dropout(), "adam")
        history = model.fit(*data, epochs=3, batch_size=8, verbose=0).history
        runs.append((model, history))
    assert runs[0][1] == runs[1][1]
    assert same(runs[0][0], runs[1][0])


def test_without_shuffle_batches_come_in_order(data: tuple) -> None:
    x, y = data
    model = compiled()
    other = twin(model)
    model.fit(x, y, batch_size=10, shuffle=False, verbose=0)
    for first in (0, 10, 20):
        other.train_on_batch(x[first : first + 10], y[first : first + 10])
    assert same(model, other)
    shuffled = twin(model)
    shuffled.fit(x, y, batch_size=10, verbose=0)
    other.fit(x, y, batch_size=10, shuffle=False, verbose=0)
    assert not same(shuffled, other)


def test_one_fit_of_four_epochs_is_two_of_two(data: tuple) -> None:
    whole, parts = compiled(with_dropout(), "adam"), compiled(with_dropout(), "adam")
    parts.set_weights(whole.get_weights())
    first = whole.fit(*data, epochs=4, batch_size=8, verbose=0).history["loss"]
    second = parts.fit(*data, epochs=2, batch_size=8, verbose=0).history["loss"]
    second += parts.fit(*data, epochs=4, initial_epoch=2, batch_size=8, verbose=0).history["loss"]
    assert first == second
    assert same(whole, parts)


def test_validation_changes_nothing(data: tuple) -> None:
    model = compiled(with_dropout(), "adam")
    other = compiled(with_dropout(), "adam")
    other.set_weights(model.get_weights())
    model.fit(*data, epochs=2, validation_data=data, verbose=0)
    other.fit(*data, epochs=2, verbose=0)
    assert same(model, other)


def test_validation_freq(data: tuple) -> None:
    history = compiled().fit(*data, epochs=5, validation_data=data, validation_freq=2, verbose=0).history
    assert len(history["val_loss"]) == 2
    history = compiled().fit(*data, epochs=5, validation_data=data, validation_freq=[1, 5], verbose=0).history
    assert len(history["val_loss"]) == 2


# Streams.


class Batches(PyDataset):
    """The samples in batches of 10."""

    def __init__(self, x: Array, y: Array):
        self.x, self.y, self.asked, self.ended = x, y, [], 0

    def __len__(self) -> int:
        return -(-len(self.x) // 10)

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        self.asked.append(index)
        rows = slice(10 * index, 10 * index + 10)
        return self.x[rows], self.y[rows]

    def on_epoch_end(self) -> None:
        self.ended += 1


def test_dataset_object_trains_like_arrays(data: tuple) -> None:
    model = compiled()
    other = twin(model)
    batches = Batches(*data)
    history = model.fit(batches, epochs=2, shuffle=False, validation_data=Batches(*data), verbose=0)
    expected = other.fit(
        *data, batch_size=10, epochs=2, shuffle=False, validation_data=data, validation_batch_size=10, verbose=0
    )
    assert history.history == expected.history
    assert same(model, other)
    assert batches.asked == [0, 1, 2] * 2
    assert batches.ended == 2
    assert history.params["steps"] == 3


def test_dataset_object_is_shuffled_by_batches(data: tuple) -> None:
    batches = Batches(*data)
    compiled().fit(batches, epochs=8, verbose=0)
    epochs = [batches.asked[k : k + 3] for k in range(0, 24, 3)]
    assert all(sorted(epoch) == [0, 1, 2] for epoch in epochs)
    assert len(set(map(tuple, epochs))) > 1


def generated(x: Array, y: Array, endless: bool = False) -> Iterator[tuple[Array, Array]]:
    while True:
        for first in range(0, len(x), 10):
            yield x[first : first + 10], y[first : first + 10]
        if not endless:
            return


def test_generators(data: tuple) -> None:
    model = compiled()
    other = twin(model)
    model.fit(generated(*data, endless=True), steps_per_epoch=3, epochs=2, verbose=0)
    other.fit(*data, batch_size=10, epochs=2, shuffle=False, verbose=0)
    assert same(model, other)
    assert model.evaluate(generated(*data), verbose=0) == other.evaluate(*data, batch_size=10, verbose=0)
    np.testing.assert_array_equal(model.predict(generated(*data), verbose=0), other.predict(data[0], batch_size=10, verbose=0))


def test_exhausted_generator(data: tuple) -> None:
    model = compiled()
    with pytest.raises(ValueError, match="can be gone through once only.*steps_per_epoch"):
        model.fit(generated(*data), epochs=2, verbose=0)
    assert model.optimizer.iterations == 3


def test_sample_weights_from_a_stream(data: tuple) -> None:
    x, y = data
    model = compiled()
    weights = np.linspace(0, 1, 25)
    assert model.evaluate(iter([(x, y, weights)]), verbose=0) == model.evaluate(x, y, sample_weight=weights, verbose=0)


def test_predict_some_steps(data: tuple) -> None:
    model = compiled()
    assert model.predict(data[0], batch_size=10, steps=2, verbose=0).shape == (20, 3)


def test_model_is_built_by_its_first_data(data: tuple) -> None:
    for source in (data, (Batches(*data),), (generated(*data),)):
        model = models.Sequential([layers.Dense(3, activation="softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(*source, batch_size=10, verbose=0)
        assert model.optimizer.iterations == 3
        assert model.input_shape == (None, 4)


# Losses that are not finite.


def test_nan_in_the_data_names_step_and_place_and_keeps_the_weights(data: tuple) -> None:
    x, y = data
    bad = x.copy()
    bad[17, 2] = np.nan
    model = compiled(with_dropout(), "adam")
    other = compiled(with_dropout(), "adam")
    other.set_weights(model.get_weights())
    with pytest.raises(FloatingPointError, match=r"batch 3 of epoch 1 \(training step 3\).*the data"):
        model.fit(bad, y, batch_size=5, shuffle=False, epochs=2, verbose=0)
    assert model.optimizer.iterations == 3
    other.fit(x[:15], y[:15], batch_size=5, shuffle=False, verbose=0)
    trained = [(v, w) for v, w in zip(model.variables, other.variables, strict=True) if v.trainable]
    assert all(np.array_equal(v.value, w.value) for v, w in trained)


def test_training_can_go_on_after_a_loss_that_is_not_finite(data: tuple) -> None:
    x, y = data
    model = compiled()
    with pytest.raises(FloatingPointError):
        model.fit(x * np.nan, y, verbose=0)
    before = model.get_weights()
    model.fit(x, y, verbose=0)
    assert np.isfinite(model.get_weights()[0]).all()
    assert not np.array_equal(model.get_weights()[0], before[0])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_layer_is_named(data: tuple) -> None:
    x, y = data
    model = models.Sequential(
        [
            layers.Dense(8, input_shape=(4,), name="fine"),
            layers.Dense(8, name="huge"),
            layers.Dense(3, name="last", activation="softmax"),
        ]
    )
    weights = model.get_weights()
    weights[2][...] = 3e38
    model.set_weights(weights)
    with pytest.raises(FloatingPointError, match="huge"):
        compiled(model).fit(x, y, verbose=0)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_terminate_on_nan_ends_training_quietly(data: tuple, capsys: pytest.CaptureFixture) -> None:
    x, y = data
    bad = x.copy()
    bad[7] = np.inf
    model = compiled()
    history = model.fit(bad, y, batch_size=5, shuffle=False, epochs=4, callbacks=[callbacks.TerminateOnNaN()], verbose=0)
    assert history.epoch == [0]
    assert np.isnan(history.history["loss"][0])
    assert np.isfinite(model.get_weights()[0]).all()
    assert "Batch 1: the loss is not finite" in capsys.readouterr().out
    with pytest.raises(FloatingPointError):
        model.fit(bad, y, callbacks=[callbacks.TerminateOnNaN(raise_error=True)], verbose=0)


def test_a_bad_batch_of_a_stream_is_named(data: tuple) -> None:
    x, y = data
    with pytest.raises(FloatingPointError, match="batch 1 of epoch 1.*the data"):
        compiled().fit(iter([(x, y), (x * np.nan, y), (x, y)]), verbose=0)


def test_evaluation_that_is_not_finite_does_not_stop_the_optimizer(data: tuple) -> None:
    x, y = data
    model = compiled()
    assert np.isnan(model.evaluate(x * np.nan, y, verbose=0)[0])
    before = model.get_weights()
    model.train_on_batch(x, y)
    assert not np.array_equal(model.get_weights()[0], before[0])


# Single batches.


def test_single_batches(data: tuple) -> None:
    x, y = data
    model = compiled()
    first = model.test_on_batch(x, y)
    assert model.train_on_batch(x, y, return_dict=True) == dict(zip(["loss", "accuracy"], first, strict=True))
    assert model.test_on_batch(x, y)[0] < first[0]
    np.testing.assert_array_equal(model.predict_on_batch(x), model.predict(x, verbose=0))
    assert model.predict_on_batch(x[:1]).shape == (1, 3)


def test_predictions_are_the_callers_own(data: tuple) -> None:
    x, _ = data
    model = compiled()
    first = model.predict_on_batch(x[:2])
    kept = first.copy()
    model.predict_on_batch(x[2:4])
    np.testing.assert_array_equal(first, kept)


def test_interrupt_leaves_the_model_usable(data: tuple) -> None:
    def interrupt(batch: int, logs: Any) -> None:
        raise KeyboardInterrupt

    model = compiled()
    with pytest.raises(KeyboardInterrupt):
        model.fit(*data, batch_size=10, callbacks=[callbacks.LambdaCallback(on_train_batch_end=interrupt)], verbose=0)
    assert model.optimizer.iterations == 1
    model.fit(*data, verbose=0)


# Compilation.


def test_not_compiled() -> None:
    model = classifier()
    for method in (model.fit, model.evaluate, model.train_on_batch):
        with pytest.raises(RuntimeError, match="must be compiled before"):
            method(np.zeros((2, 4)), np.zeros(2))
    assert model.predict(np.zeros((2, 4)), verbose=0).shape == (2, 3)
    model.compile("sgd")
    with pytest.raises(ValueError, match=r"compile\(loss="):
        model.fit(np.zeros((2, 4)), np.zeros(2))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(optimizer="adaam"), ValueError, "did you mean 'adam'"),
        (dict(loss="mze"), ValueError, "did you mean 'mse'"),
        (dict(metrics="accuracy"), ValueError, r"metrics must be a list"),
        (dict(metrics=["acuracy"]), ValueError, "did you mean 'accuracy'"),
        (dict(loss=["mse", "mse"]), ValueError, "one entry for each of the 1 outputs"),
        (dict(loss={"dense_9": "mse"}), ValueError, "unknown output in loss 'dense_9'"),
        (dict(loss_weights=[1, 2]), ValueError, "loss_weights must have one entry"),
        (dict(loss_weights=["a"]), ValueError, "loss_weights must be finite"),
        (dict(device="gpu"), ValueError, "unknown device 'gpu'"),
        (dict(run_eagerly=True), ValueError, "does not offer run_eagerly=True"),
        (dict(weighted_metrics="mse"), ValueError, "weighted_metrics must be a list"),
        (dict(optimiser="adam"), TypeError, "optimiser"),
    ],
)
def test_wrong_compilation_changes_nothing(arguments: dict, error: type, message: str, data: tuple) -> None:
    model = compiled()
    expected = model.evaluate(*data, verbose=0)
    with pytest.raises(error, match=message):
        model.compile(**{"optimizer": "sgd", "loss": "mse", **arguments})
    assert model.evaluate(*data, verbose=0) == expected


def test_keras_arguments_that_change_nothing_are_taken() -> None:
    classifier().compile("sgd", "mse", jit_compile=True, run_eagerly=False, steps_per_execution=1, auto_scale_loss=True)


def test_frozen_layers_do_not_move(data: tuple) -> None:
    model = with_dropout()
    model.layers[0].trainable = False
    compiled(model, "adam").fit(*data, verbose=0)
    frozen, trained = model.layers[0].get_weights()[0], model.layers[-1].get_weights()[0]
    model.layers[0].trainable = True
    compiled(model, "adam").fit(*data, verbose=0)
    assert not np.array_equal(model.layers[0].get_weights()[0], frozen)
    assert not np.array_equal(model.layers[-1].get_weights()[0], trained)


def test_recompiling_keeps_weights_and_changes_the_task(data: tuple) -> None:
    x, y = data
    model = compiled()
    model.fit(x, y, verbose=0)
    weights = model.get_weights()
    model.compile(optimizers.Adam(), "categorical_crossentropy")
    np.testing.assert_array_equal(model.get_weights()[0], weights[0])
    model.fit(x, np.eye(3)[y], verbose=0)
    assert model.optimizer.iterations == 1


def test_layers_added_after_compile_take_part(data: tuple) -> None:
    x, y = data
    model = models.Sequential([layers.Dense(5, input_shape=(4,))])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, verbose=0)
    model.add(layers.Dense(3, activation="softmax"))
    assert model.predict(x, verbose=0).shape == (25, 3)
    model.fit(x, y, verbose=0)


def test_pickled_model_goes_on(data: tuple) -> None:
    model = compiled(with_dropout(), "adam", device="reference")
    model.fit(*data, verbose=0)
    copy = pickle.loads(pickle.dumps(model))
    for each in (model, copy):
        each.fit(*data, epochs=2, verbose=0)
    assert same(model, copy)


def _use_in_child(model: Any, answers: Any) -> None:
    try:
        model.predict_on_batch(np.zeros((1, 4), np.float32))
        answers.put("worked")
    except RuntimeError as error:
        answers.put(str(error))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_use_after_a_fork_is_an_error() -> None:
    context: Any = multiprocessing.get_context("fork")
    model, answers = compiled(), context.Queue()
    process = context.Process(target=_use_in_child, args=(model, answers))
    process.start()
    answer = answers.get(timeout=60)
    process.join()
    assert "its fork" in answer
    assert "spawn" in answer
