"""Models in files: one safetensors file holds everything, written whole or not at all.

    save_model, load_model             configuration, weights, how it was compiled, optimizer
    save_weights, load_weights         weights alone, into a model of the same shape
    save_checkpoint, load_checkpoint   a model and what its training must know to continue with the same bits

Tensors are the weights under their names ("conv2d/kernel"), the optimizer's slots ("optimizer/conv2d/kernel.m") and arrays of
the state. The metadata hold a JSON document with all else, and a SHA-256 of tensors and document, so a flipped bit is found.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import losses, metrics
from .utils import registry
from .utils.custom_objects import custom_object_scope
from .utils.files import write_atomically
from .variables import Variable

if TYPE_CHECKING:
    from .models import Model

Array = NDArray[Any]
PathLike = str | os.PathLike[str]

FORMAT, VERSION, SUFFIX = "fastcnn", 2, ".safetensors"
FOREIGN = {
    ".keras": "Keras's zip format",
    ".h5": "HDF5",
    ".hdf5": "HDF5",
    ".pt": "PyTorch's format",
    ".pth": "PyTorch's format",
}
MAGIC = {b"PK\x03\x04": "a zip archive, as Keras's .keras files are", b"\x89HDF": "an HDF5 file, as Keras's .h5 files are"}


def save_model(model: "Model", path: PathLike, overwrite: bool = True) -> None:
    """Write a model so that `load_model` gives it back, ready to go on with training. `path` ends in .safetensors.

    OSError where it cannot be written; a file that was there before is then unchanged.
    """
    _refuse_existing(path, overwrite)
    _write(path, _contents("model", model))


def load_model(path: PathLike, custom_objects: Mapping[str, Any] | None = None, compile: bool = True) -> "Model":
    """The model of `save_model`, or of a checkpoint; `compile` False leaves loss, metrics and optimizer out.

    custom_objects: classes and functions of your own by name. ValueError where the file is damaged, is none of ours, or names
    something that custom_objects lack.
    """
    return _model(path, _read(path), custom_objects, compile)


def save_weights(model: "Model", path: PathLike, overwrite: bool = True) -> None:
    """Write the weights alone."""
    _refuse_existing(path, overwrite)
    contents = Contents("weights")
    _put_weights(contents, model)
    _write(path, contents)


def load_weights(model: "Model", path: PathLike) -> None:
    """Overwrite a model's weights by those of any file written here. ValueError, and nothing changed, where they do not fit."""
    contents = _read(path)
    arrays = contents.weights()
    _check_same(path, {name: array.shape for name, array in arrays.items()}, _variables(model))
    model.set_weights(list(arrays.values()))


def save_checkpoint(path: PathLike, model: "Model", state: Mapping[str, Any]) -> None:
    """Write a model and `state`, of plain values, lists, dicts and arrays: epochs done, history, callbacks."""
    contents = _contents("checkpoint", model)
    contents.document["state"] = _packed(state, contents.tensors, "state")
    _write(path, contents)


def load_checkpoint(path: PathLike, custom_objects: Mapping[str, Any] | None = None) -> tuple["Model", dict[str, Any]]:
    """The model and state of `save_checkpoint`."""
    contents = _read(path)
    if contents.kind != "checkpoint":
        raise ValueError(
            f"{path} holds a {contents.kind}, not a checkpoint: there is nothing to resume; load it with load_model"
        )
    return _model(path, contents, custom_objects, True), _unpacked(contents.document["state"], contents.tensors)


def check_suffix(path: PathLike) -> str:
    """`path` as a string; ValueError unless it ends in .safetensors."""
    suffix = Path(path).suffix.lower()
    if suffix != SUFFIX:
        what = f", which is {FOREIGN[suffix]}" if suffix in FOREIGN else ""
        raise ValueError(
            f"models are saved as one safetensors file: name it {Path(path).with_suffix(SUFFIX).name!r} rather than "
            f"{Path(path).name!r}{what}"
        )
    return os.fspath(path)


# What a file holds.


@dataclass
class Contents:
    """Tensors by name, and everything else as one document that JSON can hold."""

    kind: str
    tensors: dict[str, Array] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)

    def weights(self) -> dict[str, Array]:
        """The weights in the model's order."""
        return {name: self.tensors[name] for name in self.document["weights"]}

    def digest(self) -> str:
        """SHA-256 of everything."""
        total = hashlib.sha256(json.dumps([self.kind, self.document], sort_keys=True).encode())
        for name in sorted(self.tensors):
            array = self.tensors[name]
            total.update(f"{name} {array.dtype.str} {array.shape}".encode())
            total.update(np.ascontiguousarray(array).data)
        return total.hexdigest()


def _contents(kind: str, model: "Model") -> Contents:
    contents = Contents(kind)
    _put_weights(contents, model)
    contents.document["model"] = registry.serialize(model)
    contents.document["training"] = _training(contents, model) if model.compiled else None
    return contents


def _put_weights(contents: Contents, model: "Model") -> None:
    if not model.built:
        raise ValueError(f"model {model.name!r} has no weights yet: build it, or fit it, before saving")
    weights = _variables(model)
    contents.tensors.update({name: variable.value for name, variable in weights.items()})
    contents.document["weights"] = list(weights)


def _variables(model: "Model") -> dict[str, Variable]:
    """The weights by names that are unique: a number is put after a name that came before."""
    found: dict[str, Variable] = {}
    for variable in model.variables:
        name, count = variable.name, 1
        while name in found:
            name, count = f"{variable.name}_{count}", count + 1
        found[name] = variable
    return found


def _training(contents: Contents, model: "Model") -> dict[str, Any]:
    optimizer = model.optimizer
    slots = dict(_slots(optimizer, _variables(model)))
    contents.tensors.update({name: slot.value for name, slot in slots.items()})
    return {
        "optimizer": registry.serialize(optimizer),
        "optimizer_state": optimizer.state(),
        "slots": list(slots),
        "seed": model.seed,
        "arguments": {name: _identifiers(value) for name, value in (model._arguments or {}).items()},
    }


def _slots(optimizer: Any, variables: Mapping[str, Variable]) -> Iterator[tuple[str, Variable]]:
    """The slots of the weights that an optimizer has trained, by name."""
    for name, variable in variables.items():
        if variable in optimizer.trained():
            for slot_name, slot in zip(optimizer.slot_names, optimizer.slots(variable), strict=True):
                yield f"optimizer/{name}.{slot_name}", slot


def _identifiers(value: Any) -> Any:
    """An argument of compile in plain values: losses and metrics become configurations."""
    if isinstance(value, Mapping):
        return {name: _identifiers(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_identifiers(entry) for entry in value]
    if isinstance(value, losses.Loss):
        return losses.serialize(value)
    return metrics.serialize(value) if isinstance(value, metrics.Metric | metrics.DeviceMetric) else value


# From a file's contents to a model.


def _model(path: PathLike, contents: Contents, custom_objects: Mapping[str, Any] | None, compile: bool) -> "Model":
    from .layers import deserialize

    if contents.kind == "weights":
        raise ValueError(f"{path} holds weights alone: make the model and call model.load_weights({str(path)!r})")
    training = contents.document["training"] if compile else None
    if training is not None and "optimizer_state" not in training:
        raise ValueError(
            f"{path} was written by an older fastcnn, whose optimizers kept other state: load_model(path, compile=False) takes "
            "the weights, and training begins anew"
        )
    with custom_object_scope(custom_objects):
        try:
            model = deserialize(contents.document["model"])
            if training is not None:
                _compile(model, training)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path} cannot be made into a model: {error}") from error
    arrays = contents.weights()
    _check_same(path, {name: array.shape for name, array in arrays.items()}, _variables(model))
    model.set_weights(list(arrays.values()))
    if model.compiled:
        _restore(model, contents)
    return model


def _compile(model: "Model", training: dict[str, Any]) -> None:
    model.compile(optimizer=training["optimizer"], **training["arguments"])
    model.seed = training["seed"]


def _restore(model: "Model", contents: Contents) -> None:
    training = contents.document["training"]
    model.optimizer.restore(training["optimizer_state"])
    for name, variable in _variables(model).items():
        names = [f"optimizer/{name}.{slot}" for slot in model.optimizer.slot_names]
        if names and names[0] in contents.tensors:
            for slot, key in zip(model.optimizer.slots(variable), names, strict=True):
                slot.assign(contents.tensors[key])


def _check_same(path: PathLike, saved: Mapping[str, tuple[int, ...]], model: Mapping[str, Variable]) -> None:
    shapes = {name: variable.shape for name, variable in model.items()}
    if list(saved.values()) == list(shapes.values()):
        return
    pairs = zip([*saved.items(), *[None] * len(shapes)], [*shapes.items(), *[None] * len(saved)], strict=False)
    differing = [(s, m) for s, m in pairs if (s and s[1]) != (m and m[1])]
    lines = "; ".join(f"{_told(s)} in the file, {_told(m)} in the model" for s, m in differing[:5])
    raise ValueError(f"{path} holds the weights of another model ({len(saved)} arrays, this one has {len(shapes)}): {lines}")


def _told(entry: tuple[str, tuple[int, ...]] | None) -> str:
    return f"{entry[0]} {entry[1]}" if entry else "nothing"


# State: arrays inside of lists and dicts become tensors of the file.


def _packed(value: Any, tensors: dict[str, Array], name: str) -> Any:
    if isinstance(value, np.ndarray):
        tensors[name] = value
        return {"array": name}
    if isinstance(value, Mapping):
        return {"dict": {str(key): _packed(entry, tensors, f"{name}/{key}") for key, entry in value.items()}}
    if isinstance(value, list | tuple):
        return [_packed(entry, tensors, f"{name}/{k}") for k, entry in enumerate(value)]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(
        f"{name} is a {type(value).__name__}, which a checkpoint cannot hold: use plain values, lists, dicts and arrays"
    )


def _unpacked(value: Any, tensors: Mapping[str, Array]) -> Any:
    if isinstance(value, list):
        return [_unpacked(entry, tensors) for entry in value]
    if isinstance(value, dict):
        if "array" in value:
            return tensors[value["array"]]
        return {key: _unpacked(entry, tensors) for key, entry in value["dict"].items()}
    return value


# Files.


def _refuse_existing(path: PathLike, overwrite: bool) -> None:
    if not overwrite and Path(path).exists():
        raise FileExistsError(f"{path} exists already; pass overwrite=True to replace it")


def _write(path: PathLike, contents: Contents) -> None:
    from safetensors.numpy import save

    check_suffix(path)
    head = {"version": VERSION, "kind": contents.kind, "document": contents.document, "sha256": contents.digest()}
    # One entry: safetensors writes several in an order that changes from run to run, and equal runs shall leave equal files.
    metadata = {FORMAT: json.dumps(head)}
    write_atomically(path, save({name: np.ascontiguousarray(a) for name, a in contents.tensors.items()}, metadata))


def _read(path: PathLike) -> Contents:
    tensors, metadata = read_safetensors(path)
    if FORMAT not in metadata:
        raise ValueError(f"{path} is a safetensors file, but not one that fastcnn wrote: it says nothing about a model")
    try:
        head = json.loads(metadata[FORMAT])
        version = int(head["version"])
        contents = Contents(head["kind"], tensors, head["document"])
        intact = version > VERSION or contents.digest() == head["sha256"]
    except (KeyError, TypeError, ValueError):
        intact = False
    if intact and version > VERSION:
        raise ValueError(f"{path} has format version {version}, this fastcnn reads up to {VERSION}: update fastcnn")
    if not intact:
        raise ValueError(f"{path} is damaged: its contents do not have the checksum that was written; use another copy")
    return contents


def read_safetensors(path: PathLike) -> tuple[dict[str, Array], dict[str, str]]:
    """The tensors of a safetensors file, and its metadata. ValueError where it is damaged, or a file of another kind."""
    from safetensors import SafetensorError, safe_open

    with open(path, "rb") as stream:
        beginning = stream.read(4)
    if beginning in MAGIC:
        raise ValueError(f"{path} is {MAGIC[beginning]}; fastcnn reads the safetensors files that it writes")
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged, cut off, or no safetensors file: {error}") from error
