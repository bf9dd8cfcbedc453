"""What a report trains, as a worker is told: `Job`, and the model and data that it names.

NETWORKS   the networks by the names that the command takes, with their data sets
job_for    the job of a command's choices
Job        network, data, options, and how long measuring may take
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fastcnn import applications
from fastcnn.cli.pictures import Parts, divided
from fastcnn.cli.recipes import OTHERS, RECIPES, Options, options_of
from fastcnn.cli.runs import saved_model
from fastcnn.cli.training import compiled
from fastcnn.datasets import load
from fastcnn.optimizers import Adam
from fastcnn.utils import clear_session, set_random_seed
from fastcnn.utils.suggest import unknown

NETWORKS = {
    "digits": ("Digits", "digits"),
    "tutorial-mnist": ("TutorialMNIST", "mnist"),
    "tutorial-cifar10": ("TutorialCIFAR10", "cifar10"),
}
VALIDATION_SPLIT = 0.1
"""For recipes without one: the target is a validation accuracy."""


@dataclass(frozen=True)
class Job:
    """A network on a device.

    network    a name in fastcnn.applications, or the path of a saved model, which is trained anew
    epochs     how many to train at most; options.epochs is what a whole training has
    quick      short measurements
    """

    network: str
    options: Options
    epochs: int
    quick: bool

    def on(self, device: str) -> "Job":
        """The same job on another device."""
        return replace(self, options=replace(self.options, device=device))

    @property
    def seconds(self) -> float:
        """How long one measurement may take."""
        return 1.0 if self.quick else 3.0

    @property
    def patience(self) -> float:
        """How long training may take: without bound, but on devices that are written to be read, or checked."""
        if self.options.device in ("reference", "emulated"):
            return 20.0 if self.quick else 120.0
        return 45.0 if self.quick else float("inf")

    def parts(self) -> Parts:
        """Pictures to train on, to validate, to test."""
        return divided(load(self.options.data), self.options)

    def model(self, parts: Parts) -> Any:
        """The network with the weights that the seed gives, compiled."""
        set_random_seed(self.options.seed)
        return compiled(self.uncompiled(parts), Adam(self.options.learning_rate), self.options)

    def uncompiled(self, parts: Parts) -> Any:
        """The network alone, its layers named as in a new process."""
        clear_session()
        if self.network in applications.MODELS:
            classes = 1 + max(int(y.max()) for _, y in filter(None, parts))
            return applications.get(self.network)(input_shape=parts.train[0].shape[1:], classes=classes)
        saved, _ = saved_model(self.network)
        return type(saved).from_config(saved.get_config())


def job_for(network: str | None, data: str | None, epochs: int | None, quick: bool) -> Job:
    """The job of a command's choices; ValueError for a network that there is not, or one without data."""
    name = network or ("digits" if quick else "tutorial-cifar10")
    known = NETWORKS.get(name)
    if known is None and not Path(name).exists():
        raise unknown("network", name, [*NETWORKS, "the path of a saved model"])
    built, named = known or (str(Path(name).resolve()), _noted(name))
    chosen = data or named
    if chosen is None:
        raise ValueError(f"{name} does not say what it was trained on: give the data set with --data")
    recipe = RECIPES.get(chosen, OTHERS)
    split = recipe.validation_split or VALIDATION_SPLIT
    options = options_of({"data": chosen, "model": built, "validation_split": split})
    if epochs is not None and epochs > options.epochs:
        options = replace(options, epochs=epochs)
    return Job(built, options, epochs or options.epochs, quick)


def _noted(path: str) -> str | None:
    return saved_model(path)[1].get("options", {}).get("data")


def write(job: Job) -> str:
    """A job as JSON."""
    return json.dumps(asdict(job))


def read(text: str) -> Job:
    """A job that `write` wrote."""
    fields = json.loads(text)
    return Job(**{**fields, "options": Options(**fields["options"])})
