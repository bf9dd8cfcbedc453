"""`fastcnn train`: trains a network on a data set and leaves it in a run folder (see `runs`).

A run can be killed at any moment: with --resume it goes on after its last complete epoch and ends with the same bits as an
unbroken one.
"""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastcnn import applications, backends
from fastcnn.callbacks import restore
from fastcnn.cli import arguments as kinds
from fastcnn.cli.pictures import divided, facts
from fastcnn.cli.recipes import Options, default_folder, options_of, resumed
from fastcnn.cli.runs import RunFolder
from fastcnn.cli.training import Training, compiled
from fastcnn.datasets import load
from fastcnn.optimizers import Adam
from fastcnn.saving import load_checkpoint
from fastcnn.utils import set_random_seed


def describe(parser: kinds.Parser) -> None:
    """Add the arguments. Those left away are taken from the data set's recipe, or from the run that is resumed."""
    parser.add_argument("data", nargs="?", help="digits (default), mnist, cifar10, an .npz file, or a folder of pictures")
    parser.add_argument("--model", metavar="NAME", help=f"{', '.join(applications.MODELS)}")
    parser.add_argument("--epochs", type=kinds.positive_int, metavar="N", help="passes over the training pictures")
    parser.add_argument("--batch-size", type=kinds.positive_int, metavar="N", help="pictures in a training step")
    parser.add_argument("--learning-rate", type=kinds.positive_float, metavar="X", help="Adam's (default 0.001)")
    parser.add_argument("--validation-split", type=kinds.share, metavar="X", help="share of the training pictures; 0: none")
    parser.add_argument("--seed", type=kinds.seed, metavar="N", help="of weights, shuffles and dropout (default 0)")
    parser.add_argument("--limit", type=kinds.positive_int, metavar="N", help="N pictures for training, N for the test")
    kinds.device_option(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="the run folder (default runs/DATA-MODEL)")
    parser.add_argument("--resume", action="store_true", help="go on after the last complete epoch in the run folder")


def run(arguments: Any) -> int:
    """Train, and report."""
    given = vars(arguments)
    options = options_of(given)
    folder = RunFolder(arguments.out or default_folder(options))
    training = _resume(folder, given) if _to_resume(folder, arguments.resume) else _begin(folder, options)
    with folder.taken():
        try:
            training.run()
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_how_to_go_on(folder)) from None
    return 0


def _to_resume(folder: RunFolder, wanted: bool) -> bool:
    """Whether there is a run to go on with. FileExistsError where a new one would overwrite it."""
    if wanted or not folder.checkpoint.exists():
        return folder.checkpoint.exists()
    epochs = _saved(folder)[1]["epochs"]
    if epochs:
        raise FileExistsError(
            f"{folder.path} holds a run already, of {epochs} epochs: go on with it by --resume, or choose another --out"
        )
    return False


def _begin(folder: RunFolder, options: Options) -> Training:
    """A new run with new weights."""
    build = applications.get(options.model)
    options = replace(options, device=backends.resolve(options.device).name)
    data = load(options.data)
    parts = divided(data, options)
    set_random_seed(options.seed)
    model = build(input_shape=data.x_train.shape[1:], classes=len(data.class_names))
    return Training(folder, options, facts(data), parts, compiled(model, Adam(options.learning_rate), options))


def _resume(folder: RunFolder, given: dict[str, Any]) -> Training:
    """The run that was saved, with its weights and history."""
    model, state = _saved(folder)
    options = resumed(Options(**state["options"]), given)
    options = replace(options, device=backends.resolve(options.device).name)
    if options.epochs < state["epochs"]:
        raise ValueError(f"{folder.path} holds {state['epochs']} epochs already, more than --epochs {options.epochs}")
    data = load(options.data)
    noted = facts(data)
    if noted["sha256"] != state["sha256"]:
        raise ValueError(f"cannot resume on other data: {options.data} does not hold the pictures of {folder.path}")
    training = Training(folder, options, noted, divided(data, options), compiled(model, model.optimizer, options))
    restore([training.history], state["callbacks"])
    return training


def _saved(folder: RunFolder) -> tuple[Any, dict[str, Any]]:
    """The model and state in the checkpoint."""
    model, state = load_checkpoint(folder.checkpoint)
    if "options" not in state:
        raise ValueError(f"{folder.checkpoint} was not written by fastcnn train: there is nothing that it could resume")
    return model, state


def _how_to_go_on(folder: RunFolder) -> str:
    if not folder.checkpoint.exists():
        return "Nothing was saved yet."
    _, state = _saved(folder)
    command = shlex.join(["fastcnn", "train", "--resume", "--out", str(folder.path)])
    return f"{state['epochs']} of {state['options']['epochs']} epochs are saved; to go on: {command}"
