"""What `fastcnn train` does where nothing else is said, and `Options`: every choice of one run.

    data      model            epochs  batch  learning rate  validation share
    digits    Digits               25     32          0.001               0.1
    mnist     TutorialMNIST        20     64          0.001               0.2   as in the tutorial
    cifar10   TutorialCIFAR10      60    128          0.001               0.1   as in the tutorial
    others    TutorialKeras        20     64          0.001               0.1

A run that is resumed keeps all of its options but those that are FREE_TO_CHANGE.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fastcnn.backends import get_device


@dataclass(frozen=True)
class Recipe:
    """The network for a data set, and how it is trained (with Adam)."""

    model: str
    epochs: int
    batch_size: int
    learning_rate: float
    validation_split: float


RECIPES = {
    "digits": Recipe("Digits", 25, 32, 1e-3, 0.1),
    "mnist": Recipe("TutorialMNIST", 20, 64, 1e-3, 0.2),
    "cifar10": Recipe("TutorialCIFAR10", 60, 128, 1e-3, 0.1),
}
OTHERS = Recipe("TutorialKeras", 20, 64, 1e-3, 0.1)
FREE_TO_CHANGE = {"data", "device", "epochs"}
"""What a resumed run may change: the place of the data (their fingerprint counts), the device, the number of epochs."""


@dataclass(frozen=True)
class Options:
    """All choices of a run, none of them left open: the same options and data give the same bits on the same device.

    data: a name, or an absolute path. limit: train on this many pictures, test on as many; None for all.
    """

    data: str
    model: str
    epochs: int
    batch_size: int
    learning_rate: float
    validation_split: float
    seed: int
    limit: int | None
    device: str

    def command(self, folder: Path) -> list[str]:
        """The words of the command that runs this again."""
        chosen = {key: value for key, value in asdict(self).items() if key != "data" and value is not None}
        options = [word for key, value in chosen.items() for word in (f"--{key.replace('_', '-')}", str(value))]
        return ["fastcnn", "train", self.data, *options, "--out", str(folder)]


def options_of(given: dict[str, Any]) -> Options:
    """The options of a new run: those given, and the data set's recipe for those that are None or absent."""
    data = located(given.get("data") or "digits")
    recipe = asdict(RECIPES.get(data, OTHERS))
    return Options(**{**recipe, "seed": 0, "limit": None, "device": get_device(), **_chosen(given), "data": data})


def resumed(saved: Options, given: dict[str, Any]) -> Options:
    """The options of a run that goes on: those saved, and what is given of those that may change.

    ValueError where something else is given that differs.
    """
    chosen = _chosen(given)
    differing = [key for key, value in chosen.items() if key not in FREE_TO_CHANGE and value != getattr(saved, key)]
    if differing:
        told = "; ".join(f"{key.replace('_', ' ')} was {getattr(saved, key)}, now {chosen[key]}" for key in differing)
        raise ValueError(
            f"cannot resume with other options: {told}. Leave them away to go on as before, or begin another run with "
            "another --out"
        )
    return replace(saved, **chosen)


def located(data: str) -> str:
    """A data set's name as it is; a path made absolute, so that it holds wherever the run is resumed from."""
    return data if data in RECIPES or not Path(data).expanduser().exists() else str(Path(data).expanduser().resolve())


def default_folder(options: Options) -> Path:
    """runs/DATA-MODEL."""
    return Path("runs") / f"{Path(options.data).stem}-{options.model}"


def _chosen(given: dict[str, Any]) -> dict[str, Any]:
    names = Options.__dataclass_fields__
    chosen = {key: value for key, value in given.items() if key in names and value is not None}
    return chosen | ({"data": located(chosen["data"])} if "data" in chosen else {})
