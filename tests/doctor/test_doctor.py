"""Every mistake that the doctor knows is planted, and it alone is seen; a healthy set-up gives nothing."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastcnn import doctor, layers, losses, models, optimizers, utils
from fastcnn.cli import COMMANDS, main
from fastcnn.doctor import CHECKS
from fastcnn.doctor.machine import Machine, cpu_quota

from .planted import HEALTHY, PLANTED, Batches, Planted, compiled, examined, network, pictures

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.mark.parametrize(
    ("number", "planted"), [pytest.param(n, p, id=f"{n}-{p.__name__}") for n in sorted(CHECKS) for p in PLANTED.get(n, [])]
)
def test_a_planted_mistake_is_reported_alone(number: str, planted: Planted) -> None:
    (finding,) = planted()
    assert finding.number == number
    assert finding.title == CHECKS[number].title
    assert finding.seen


@pytest.mark.parametrize("number", sorted(CHECKS))
def test_every_finding_is_planted_explained_and_mended(number: str) -> None:
    assert PLANTED[number]
    assert len(CHECKS[number].look.__doc__ or "") > 40
    assert CHECKS[number].fix
    assert re.fullmatch(r"FC\d{3}", number)


def test_the_readme_lists_every_finding() -> None:
    listed = re.findall(r"^\| (FC\d{3}) \| (.*) \|$", README, re.MULTILINE)
    assert listed == [(number, CHECKS[number].title) for number in sorted(CHECKS)]


def _two_outputs() -> Any:
    inputs = layers.Input((8, 8, 1))
    hidden = layers.Flatten()(inputs)
    return models.Model(inputs, [layers.Dense(4, "softmax", name="a")(hidden), layers.Dense(1, "sigmoid", name="b")(hidden)])


def _autoencoder() -> list[Any]:
    x, _ = pictures()
    model = models.Sequential(
        [layers.Input((8, 8, 1)), layers.Conv2D(4, 3, padding="same"), layers.Conv2D(1, 3, padding="same")]
    )
    return doctor.examine(compiled(model, "mse"), x, x)


x, y = pictures()
new = pictures(40, seed=5)
HEALTHY_SETUPS = {
    "as it is": lambda: examined(),
    "with all parts": lambda: examined(validation_data=pictures(40, seed=4), test_data=new),
    "with a split": lambda: examined(validation_split=0.2, test_data=new),
    "unshuffled in random order": lambda: examined(shuffle=False),
    "data alone": lambda: doctor.examine(None, x, y),
    "model alone": lambda: doctor.examine(compiled(network())),
    "not compiled": lambda: doctor.examine(network(), x, y),
    "logits": lambda: examined(
        model=compiled(network(activation=None), losses.SparseCategoricalCrossentropy(from_logits=True))
    ),
    "bytes behind a normalisation": lambda: examined(
        model=compiled(network(beginning=[layers.BatchNormalization()])), x=(255 * x).astype(np.uint8)
    ),
    "ReLU for counts": lambda: examined(model=compiled(network(units=1, activation="relu"), "mse"), y=y.astype(np.float32)),
    "SGD": lambda: examined(model=compiled(network(), optimizer=optimizers.SGD(0.05))),
    "a rate that warms up": lambda: examined(
        model=compiled(network(), optimizer=optimizers.Adam(lambda step: 1e-6 * (1 + step)))
    ),
    "two outputs": lambda: doctor.examine(
        compiled(_two_outputs(), {"a": "sparse_categorical_crossentropy", "b": "binary_crossentropy"}), x, {"a": y, "b": y % 2}
    ),
    "an autoencoder": _autoencoder,
    "batches that come at once": lambda: examined(x=Batches(0.0), y=None),
}


@pytest.mark.parametrize("name", HEALTHY_SETUPS)
def test_a_healthy_setup_gives_nothing(name: str) -> None:
    assert HEALTHY_SETUPS[name]() == []


def test_a_trained_network_gives_nothing() -> None:
    model = compiled(network())
    model.fit(x, y, epochs=15, verbose=0)
    assert examined(model=model, validation_data=new) == []


def test_examining_leaves_the_model_as_it_was() -> None:
    once, twice = compiled(network()), compiled(network())
    examined(model=once)
    for model in (once, twice):
        utils.set_random_seed(7)
        model.fit(x, y, epochs=1, verbose=0)
    assert all((a == b).all() for a, b in zip(once.get_weights(), twice.get_weights(), strict=True))
    assert once.optimizer.iterations == twice.optimizer.iterations


def test_data_that_do_not_fit_are_refused_as_by_fit() -> None:
    with pytest.raises(ValueError, match="must have shape"):
        examined(x=x[:, :4])
    with pytest.raises(ValueError, match="a generator gives its batches once only"):
        examined(x=iter([(x, y)]), y=None)


# The machine.


def test_a_healthy_machine_gives_nothing() -> None:
    assert doctor.examine_machine(HEALTHY) == []
    assert doctor.examine_machine(replace(HEALTHY, gpu_on_bus=False, lacking="driver", reason="no driver")) == []


def test_this_machine_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTCNN_NUM_THREADS", "1000")
    monkeypatch.setenv("OMP_NUM_THREADS", "2000")
    machine = Machine.here()
    assert (machine.threads, machine.blas_threads) == (1000, 2000)
    assert {"FC011", "FC013"} <= {finding.number for finding in doctor.examine_machine()}


@pytest.mark.parametrize(
    ("files", "processors"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, float("inf")),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, float("inf")),
        ({}, float("inf")),
    ],
)
def test_the_quota_of_a_container(tmp_path: Path, files: dict[str, str], processors: float) -> None:
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert cpu_quota(tmp_path) == processors


# The command.


@pytest.fixture
def doctor_says(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """What `fastcnn doctor` prints and returns on a healthy machine."""
    monkeypatch.setattr(Machine, "here", classmethod(lambda cls: HEALTHY))
    monkeypatch.setenv("FASTCNN_DEVICE", "cpu")

    def say(*words: Any) -> tuple[int, str]:
        code = main(["doctor", *map(str, words)])
        return code, capsys.readouterr().out

    return say


def test_the_command_finds_nothing_where_nothing_is(doctor_says: Any) -> None:
    assert "doctor" in COMMANDS
    assert doctor_says() == (0, "Nothing wrong was found.\n")
    assert doctor_says("digits") == (0, "Nothing wrong was found.\n")


def test_the_command_examines_a_run(doctor_says: Any, tmp_path: Path) -> None:
    options = ["--limit", "60", "--epochs", "1", "--batch-size", "16", "--device", "cpu", "--out", str(tmp_path / "run")]
    assert main(["train", "digits", *options]) == 0
    code, printed = doctor_says(tmp_path / "run")
    assert (code, printed.splitlines()[-1]) == (0, "Nothing wrong was found.")


def test_the_command_examines_a_model_file(doctor_says: Any, tmp_path: Path) -> None:
    compiled(network(layers.Softmax())).save(tmp_path / "model.safetensors")
    code, printed = doctor_says(tmp_path / "model.safetensors")
    assert code == 1
    assert "FC101 softmax is applied twice" in printed
    assert CHECKS["FC101"].fix.split()[0] in printed
    assert printed.endswith("1 finding\n")


def test_the_command_examines_a_data_file(doctor_says: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x_train=255 * x, y_train=y, x_test=new[0] * 255, y_test=new[1])
    code, printed = doctor_says(tmp_path / "data.npz")
    assert code == 1
    assert "FC202 inputs are not normalised" in printed
