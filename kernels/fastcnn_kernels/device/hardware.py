"""The GPU itself, through cuda.core (kernels, streams, graphs) and the driver API (memory).

    HardwareDevice   one GPU, everything in order on one stream
    Staging          how small uploads get there without waiting

FASTCNN_CUDA_GRAPHS=0 launches kernels one at a time instead of capturing them, so that a fault is blamed on the right one.
"""

import ctypes
import os
import sys
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .available import CudaUnavailableError, check_ptx_version, require_gpu, require_packages
from .interface import Call, Properties, as_bytes
from .kernel import CudaKernel
from .tiles import SHARED_BYTES

SMALL = 4096
"""Uploads of at most so many bytes are staged."""
_SCALARS = {"f32": np.float32, "u32": np.uint32, "u64": np.uint64, "i64": np.int64, "i32": np.int32, "f64": np.float64}


class Staging:
    """A ring of page-locked host memory.

    The driver copies ordinary host memory only after everything on the stream has run. A step's few numbers go through this
    ring instead, and the host runs ahead of the device until the ring is full.
    """

    NBYTES, UNIT = 1 << 20, 64

    def __init__(self, address: int, wait: Callable[[], None]):
        self.address, self.wait, self.position = address, wait, 0
        self.memory = np.ctypeslib.as_array((ctypes.c_uint8 * self.NBYTES).from_address(address))

    def put(self, data: NDArray[np.uint8]) -> int:
        """The address of a copy of `data`, which stays until the ring has been gone round."""
        if self.position + data.nbytes > self.NBYTES:
            self.wait()
            self.position = 0
        start = self.position
        self.memory[start : start + data.nbytes] = data
        self.position += -(-data.nbytes // self.UNIT) * self.UNIT
        return self.address + start


class HardwareDevice:
    """One NVIDIA GPU. Everything is ordered on one stream.

    careful   whether each launch outside of a graph is waited for, so that a fault names its kernel
    """

    name = "cuda"
    isolates = False

    def __init__(self, number: int = 0, careful: bool = True):
        self.gpu = require_gpu()[number]
        require_packages()
        import cuda.core as core
        from cuda.bindings import driver

        self.core, self.driver, self.careful = core, driver, careful
        self.device = core.Device(number)
        self.device.set_current()
        self.stream = self.device.create_stream()
        self.staging = Staging(int(self._call(driver.cuMemHostAlloc(Staging.NBYTES, 0), "allocating memory")), self.synchronize)
        self._loaded: dict[tuple[CudaKernel, int], Any] = {}

    def _call(self, result: tuple[Any, ...], doing: str) -> Any:
        """The values of a driver call; RuntimeError, MemoryError where it failed."""
        status, *values = result
        if int(status):
            _, name = self.driver.cuGetErrorName(status)
            _, text = self.driver.cuGetErrorString(status)
            message = f"CUDA error while {doing}: {name.decode()} ({text.decode()})"
            raise MemoryError(message) if name == b"CUDA_ERROR_OUT_OF_MEMORY" else RuntimeError(message)
        return values[0] if len(values) == 1 else tuple(values)

    def properties(self) -> Properties:
        """As the driver tells them."""
        known, gpu = self.device.properties, self.gpu
        shared = known.max_shared_memory_per_block_optin
        return Properties(gpu.name, gpu.capability, known.multiprocessor_count, gpu.memory, shared)

    @cached_property
    def target(self) -> str:
        """The newest of our targets that the device can run; newer devices take sm_80's PTX."""
        capability = self.gpu.capability
        return "sm_90a" if capability == (9, 0) else "sm_80" if capability >= (8, 0) else "sm_75"

    # ------ memory

    def allocate(self, nbytes: int, label: str) -> int:
        """Plain device memory, not yet written."""
        try:
            return int(self._call(self.driver.cuMemAlloc(nbytes), f"allocating memory for {label}"))
        except MemoryError as error:
            wanted, free, total = (f"{count / 1e6:,.1f}" for count in (nbytes, self.available(), self.gpu.memory))
            raise MemoryError(
                f"{self.gpu.name} has no room for the {wanted} MB of {label}: {free} of {total} MB are free "
                "(nvidia-smi shows which processes have the rest)"
            ) from error

    def free(self, address: int) -> None:
        """Give memory back, once what was launched has run. The driver does so itself when the process ends."""
        if not sys.is_finalizing():
            self.driver.cuMemFree(address)

    def available(self) -> int:
        """Bytes that the driver says are free."""
        return int(self._call(self.driver.cuMemGetInfo(), "asking for free memory")[0])

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Copy a host array to the device, in order with the launches; the array may change afterwards."""
        data = as_bytes(array)
        source = self.staging.put(data) if data.nbytes <= SMALL else data.ctypes.data
        status = self.driver.cuMemcpyHtoDAsync(address, source, data.nbytes, self.stream.handle)
        self._call(status, f"copying {data.nbytes:,} bytes to the device")

    def download(self, address: int, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """Wait for the launches, then copy an array to the host."""
        self.synchronize()
        array = np.empty(tuple(shape), dtype)
        self._call(self.driver.cuMemcpyDtoH(array.ctypes.data, address, array.nbytes), "copying from the device")
        return array

    # ------ kernels

    def launch(self, call: Call) -> None:
        """Launch a kernel on the stream. RuntimeError, naming kernel and step, where it faults; then the process must end."""
        self._launch(self.stream, call)
        if self.careful:
            self._wait(f"running {_told(call)}")

    def _launch(self, where: Any, call: Call) -> None:
        config = self.core.LaunchConfig(grid=call.grid, block=call.block, shmem_size=call.shared_bytes)
        arguments = [_argument(kind, value) for kind, value in zip(call.kernel.types, call.arguments, strict=True)]
        try:
            self.core.launch(where, config, self._kernel(call.kernel, call.shared_bytes), *arguments)
        except (CudaUnavailableError, MemoryError):
            raise
        except Exception as error:  # cuda.core's own kind has no public name
            raise RuntimeError(f"CUDA error while launching {_told(call)}: {error}") from error

    def _kernel(self, kernel: CudaKernel, shared_bytes: int) -> Any:
        key = (kernel, shared_bytes)
        if key not in self._loaded:
            ptx = kernel.ptx(self.target)
            check_ptx_version(ptx, self._call(self.driver.cuDriverGetVersion(), "asking for the driver's version"))
            loaded = self.core.ObjectCode.from_ptx(ptx.encode(), name=kernel.entry).get_kernel(kernel.entry)
            if shared_bytes > SHARED_BYTES:
                attribute = self.driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
                number = self._call(self.driver.cuDeviceGet(self.device.device_id), "asking for the device")
                status = self.driver.cuKernelSetAttribute(attribute, shared_bytes, loaded.handle, number)
                self._call(status, f"asking for {shared_bytes} bytes of shared memory for {kernel.name}")
            self._loaded[key] = loaded
        return self._loaded[key]

    def capture(self, calls: Sequence[Call]) -> Callable[[], None]:
        """All of `calls` as one CUDA graph."""
        if os.environ.get("FASTCNN_CUDA_GRAPHS") == "0":
            return partial(self._eagerly, calls)
        builder = self.device.create_graph_builder()
        builder.begin_building()
        for call in calls:
            self._launch(builder, call)
        graph = builder.end_building().complete()
        graph.upload(self.stream)
        return lambda: graph.launch(self.stream)

    def _eagerly(self, calls: Sequence[Call]) -> None:
        for call in calls:
            self.launch(call)

    def synchronize(self) -> None:
        """Wait for the stream; a fault of a captured kernel is raised here."""
        self._wait("running captured kernels (with FASTCNN_CUDA_GRAPHS=0 in the environment, the error names the one)")

    def _wait(self, doing: str) -> None:
        self._call(self.driver.cuStreamSynchronize(self.stream.handle), doing)


def _told(call: Call) -> str:
    return f"kernel {call.kernel.name} of step {call.label}, grid {call.grid}, block {call.block}"


def _argument(kind: str, value: Any) -> Any:
    return np.uint64(value) if kind.endswith("*") else _SCALARS[kind](value)
