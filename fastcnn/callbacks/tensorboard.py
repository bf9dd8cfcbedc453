"""`TensorBoard`: training written as TensorBoard reads it, by the writer of the package `tensorboard`, without TensorFlow.

Tags are Keras's. Under log_dir/train and log_dir/validation, by epoch from 0:

    epoch_loss, epoch_accuracy, ..., epoch_learning_rate   train, and validation's under the same names
    conv2d/kernel/histogram, conv2d/kernel/image           weights, where asked for

and by the number of training steps done: batch_loss, ... (train) and evaluation_loss_vs_iterations, ... (validation).
"""

import io
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..graph import flatten, topological_order
from .callback import Callback, Logs

BUCKETS = 30
FILES = "*/events.out.tfevents.*"
NOT_OFFERED = ("profile_batch", "embeddings_freq", "embeddings_metadata")


class TensorBoard(Callback):
    """Write event files for `tensorboard --logdir log_dir`. Arguments as Keras has them.

    histogram_freq           every so many epochs, histograms of all weights; 0: never
    write_graph              the graph of the model's layers
    write_images             with histograms, pictures of the filters that look at images, and of dense kernels
    write_steps_per_second   how fast training is
    update_freq              "epoch", or loss and metrics every so many batches too; "batch" is 1

    ImportError where tensorboard is not installed. A restored callback continues the files where its checkpoint was made.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        **not_offered: Any,
    ):
        _refuse(not_offered)
        self.log_dir, self.histogram_freq = Path(log_dir), histogram_freq
        self.write_graph, self.write_images = write_graph, write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = 1 if update_freq == "batch" else update_freq
        self._protocol = _Protocol()
        self._writers: dict[str, Any] = {}
        self._sizes: dict[str, int] = {}
        self._began, self._steps = 0.0, 0
        if self.update_freq != "epoch":
            if not isinstance(self.update_freq, int) or self.update_freq < 1:
                raise ValueError(f'update_freq must be "epoch", "batch" or a number of batches, got {update_freq!r}')
            # Set on the instance only where batches count: overriding it makes the numbers be read after every batch.
            self.on_train_batch_end = self._after_batch  # type: ignore[method-assign]

    # What a checkpoint keeps: how long each file was.

    def state(self) -> dict[str, Any]:
        """The sizes of the event files, all written."""
        self._flush()
        files = self.log_dir.glob(FILES)
        return {"sizes": {str(file.relative_to(self.log_dir)): file.stat().st_size for file in files}}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state`: what came after it is cut off when training begins."""
        self._sizes, self._restored = state["sizes"], True

    def __getstate__(self) -> dict[str, Any]:
        self._flush()
        return {**vars(self), "_writers": {}}

    # Moments.

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Write the graph, or go on where the checkpoint was made."""
        self._began, self._steps = time.perf_counter(), self.model.optimizer.iterations
        if self.continues():
            self._cut()
        elif self.write_graph:
            self._writer("train").add_event(self._protocol.graph(self.model))

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Look at the clock."""
        self._began, self._steps = time.perf_counter(), self.model.optimizer.iterations

    def _after_batch(self, batch: int, logs: Logs | None = None) -> None:
        step = self.model.optimizer.iterations
        if step % int(self.update_freq) == 0:
            self._scalars("train", {f"batch_{name}": value for name, value in (logs or {}).items()}, step)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Write the evaluation's numbers by training step."""
        named = {f"evaluation_{name}_vs_iterations": value for name, value in (logs or {}).items()}
        self._scalars("validation", named, self.model.optimizer.iterations)
        self._flush()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the epoch's numbers, and its weights."""
        numbers = {"learning_rate": self.model.optimizer.learning_rate, **(logs or {})}
        validation = {name: value for name, value in numbers.items() if name.startswith("val_")}
        train = {f"epoch_{name}": value for name, value in numbers.items() if name not in validation}
        if self.write_steps_per_second:
            steps = self.model.optimizer.iterations - self._steps
            train["epoch_steps_per_second"] = steps / (time.perf_counter() - self._began)
        self._scalars("train", train, epoch)
        self._scalars("validation", {f"epoch_{name.removeprefix('val_')}": v for name, v in validation.items()}, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._weights(epoch)
        self._flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    # Files.

    def _writer(self, part: str) -> Any:
        if part not in self._writers:
            self._writers[part] = self._protocol.writer(self.log_dir / part)
        return self._writers[part]

    def _flush(self) -> None:
        for writer in self._writers.values():
            writer.flush()

    def _cut(self) -> None:
        for name, size in self._sizes.items():
            file = self.log_dir / name
            if file.exists() and file.stat().st_size > size:
                os.truncate(file, size)

    def _scalars(self, part: str, values: Mapping[str, float], step: int) -> None:
        for tag, value in values.items():
            self._writer(part).add_event(self._protocol.summary(step, tag, simple_value=float(value)))

    def _weights(self, epoch: int) -> None:
        writer = self._writer("train")
        for variable in self.model.variables:
            value = variable.value
            if not np.isfinite(value).all():
                continue
            histogram = self._protocol.histogram(value)
            writer.add_event(self._protocol.summary(epoch, f"{variable.name}/histogram", histo=histogram))
            picture = weight_picture(value) if self.write_images else None
            if picture is not None:
                writer.add_event(self._protocol.summary(epoch, f"{variable.name}/image", image=self._protocol.image(picture)))


class _Protocol:
    """TensorBoard's messages, made of plain values."""

    def __init__(self) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, graph_pb2, summary_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            raise ImportError(
                f"the callback TensorBoard needs the package tensorboard ({error}); run: pip install 'fastcnn[tensorboard]'"
            ) from error
        self.events, self.graphs, self.summaries, self.file = event_pb2, graph_pb2, summary_pb2, EventFileWriter

    def __reduce__(self) -> Any:
        return _Protocol, ()

    def writer(self, folder: Path) -> Any:
        """A new event file."""
        return self.file(str(folder))

    def summary(self, step: int, tag: str, **value: Any) -> Any:
        """One value of one tag."""
        summary = self.summaries.Summary(value=[self.summaries.Summary.Value(tag=tag, **value)])
        return self.events.Event(wall_time=time.time(), step=step, summary=summary)

    def histogram(self, values: NDArray[Any]) -> Any:
        """BUCKETS counts between the smallest and the largest value."""
        values = values.astype(np.float64).ravel()
        counts, limits = np.histogram(values, BUCKETS)
        return self.summaries.HistogramProto(
            min=values.min(), max=values.max(), num=values.size, sum=values.sum(), sum_squares=values @ values,
            bucket_limit=limits[1:], bucket=counts,
        )  # fmt: skip

    def image(self, pixels: NDArray[np.uint8]) -> Any:
        """A picture (H, W, 1 or 3) as PNG."""
        from PIL import Image

        stream = io.BytesIO()
        Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(stream, "PNG")
        height, width, channels = pixels.shape
        message = self.summaries.Summary.Image
        return message(height=height, width=width, colorspace=channels, encoded_image_string=stream.getvalue())

    def graph(self, model: Any) -> Any:
        """The calls of a model's layers, with the shapes of what they give."""
        graph = self.graphs.GraphDef()
        names: dict[int, str] = {}
        for call in topological_order(model.inputs, model.outputs):
            node = graph.node.add(name=_unused(call.layer.name, names), op=type(call.layer).__name__)
            node.input.extend(names[id(tensor)] for tensor in flatten(call.inputs))
            for tensor in flatten(call.outputs):
                names[id(tensor)] = node.name
                shape = node.attr["_output_shapes"].list.shape.add()
                for size in tensor.shape:
                    shape.dim.add(size=-1 if size is None else size)
        return self.events.Event(wall_time=time.time(), graph_def=graph.SerializeToString())


def weight_picture(value: NDArray[Any]) -> NDArray[np.uint8] | None:
    """A weight as a picture (H, W, 1 or 3), its smallest number black, its largest white; None where it has no picture.

    Filters (kh, kw, 1 or 3, filters) lie side by side, a dark line around each; a matrix is its own picture, lying.
    """
    if value.ndim == 4 and value.shape[2] in (1, 3):
        scaled = np.pad(_grey(value), ((0, 1), (0, 1), (0, 0), (0, 0)))
        across = int(np.ceil(np.sqrt(scaled.shape[-1])))
        scaled = np.pad(scaled, ((0, 0), (0, 0), (0, 0), (0, -scaled.shape[-1] % across)))
        height, width, channels, count = scaled.shape
        tiles = scaled.reshape(height, width, channels, count // across, across).transpose(3, 0, 4, 1, 2)
        return tiles.reshape(count // across * height, across * width, channels)
    if value.ndim == 2:
        return _grey(value.T if value.shape[0] > value.shape[1] else value)[..., np.newaxis]
    return None


def _grey(value: NDArray[Any]) -> NDArray[np.uint8]:
    low, high = value.min(), value.max()
    return np.round(255 * (value - low) / (high - low or 1)).astype(np.uint8)


def _unused(name: str, taken: Mapping[int, str]) -> str:
    found, count = name, 1
    while found in taken.values():
        found, count = f"{name}_{count}", count + 1
    return found


def _refuse(arguments: Mapping[str, Any]) -> None:
    for name, value in arguments.items():
        if name not in NOT_OFFERED:
            raise TypeError(f"TensorBoard() got an unexpected argument {name!r}")
        if value:
            raise ValueError(f"TensorBoard does not offer {name}: leave {name}={value!r} out")
