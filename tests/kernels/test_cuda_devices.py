"""Around the kernels: whether CUDA can be used, the device that only allocates, guards, the hardware on a fake driver."""

import ctypes
import itertools
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="CUDA kernels are compiled with the packages of fastcnn[cuda13]")

from fastcnn_kernels.activation.cuda import activation_forward
from fastcnn_kernels.api import Tensor
from fastcnn_kernels.device import available, hardware
from fastcnn_kernels.device.available import CudaUnavailableError, Gpu, check_ptx_version
from fastcnn_kernels.device.dry import DryDevice
from fastcnn_kernels.device.emulated import EmulatedDevice
from fastcnn_kernels.device.guarded import GuardedDevice, GuardError
from fastcnn_kernels.device.plan import CudaPlan, CudaSlot, CudaStorage

# ------ whether CUDA can be used


class FakeDriver:
    """libcuda.so.1 of a machine with these properties."""

    def __init__(self, version=13000, status=0, capability=(9, 0), count=1):
        self.version, self.status, self.capability, self.count = version, status, capability, count

    def cuDriverGetVersion(self, value):  # noqa: N802
        value._obj.value = self.version

    def cuInit(self, flags):  # noqa: N802
        return self.status

    def cuDeviceGetCount(self, value):  # noqa: N802
        value._obj.value = self.count

    def cuDeviceGet(self, value, number):  # noqa: N802
        value._obj.value = number

    def cuDeviceGetName(self, name, size, handle):  # noqa: N802
        name.value = b"NVIDIA Test"

    def cuDeviceTotalMem_v2(self, value, handle):  # noqa: N802
        value._obj.value = 80 << 30

    def cuDeviceGetAttribute(self, value, attribute, handle):  # noqa: N802
        value._obj.value = self.capability[attribute - 75]


def test_a_gpu_that_can_be_used(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: FakeDriver())
    assert available.require_gpu() == [Gpu("NVIDIA Test", (9, 0), 80 << 30)]
    assert available.gpu_present()


UNUSABLE = {
    "old driver": (FakeDriver(12080), "knows CUDA 12.8, fastcnn needs 13.0: update it to version 580"),
    "no GPU": (FakeDriver(count=0), "sees no GPU .cuInit: 0.; check with nvidia-smi"),
    "driver that fails": (FakeDriver(status=100), "sees no GPU .cuInit: 100."),
    "old card": (FakeDriver(capability=(6, 1)), "NVIDIA Test has compute capability 6.1; fastcnn needs 7.5"),
}


@pytest.mark.parametrize(("driver", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_why_a_gpu_cannot_be_used_and_what_to_do(driver, message, monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    with pytest.raises(CudaUnavailableError, match=message):
        available.require_gpu()


def test_no_driver(monkeypatch):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert not available.gpu_present()
    with pytest.raises(CudaUnavailableError, match="no NVIDIA driver was found .* apt install nvidia-driver"):
        available.require_gpu()


def test_missing_packages_are_named_with_the_command_that_installs_them(monkeypatch):
    monkeypatch.setattr(available, "PACKAGES", ("numpy", "no_such_package.at_all"))
    expected = r"the package no_such_package.at_all is not installed; run: pip install 'fastcnn\[cuda13\]'"
    with pytest.raises(CudaUnavailableError, match=expected):
        available.require_packages()


def test_a_compiler_that_is_missing_is_told_in_the_same_words():
    class NvvmSupportError(Exception):
        pass

    with pytest.raises(CudaUnavailableError, match=r"compiler was not found \(libnvvm\); run"), available.toolkit_errors():
        raise NvvmSupportError("libnvvm")
    with pytest.raises(KeyError), available.toolkit_errors():
        raise KeyError("another error")


def test_ptx_of_a_newer_toolkit_than_the_driver():
    check_ptx_version(".version 9.0\n", 13000)
    check_ptx_version(".version 8.8\n", 13000)
    expected = r"PTX 9.4, which the driver \(CUDA 13.0\) does not know: update the driver, or run: pip install"
    with pytest.raises(CudaUnavailableError, match=expected):
        check_ptx_version(".version 9.4\n", 13000)


# ------ plans


def relu(device, batch_size=3, shape=(100,)):
    """A plan of one launch that reads one storage and writes another, and these."""
    extents = (batch_size, *shape)
    x, y = (CudaStorage(device, extents, np.float32, name, zeroed=False) for name in "xy")
    plan = CudaPlan(batch_size, device)
    plan.begin("0.layer")
    tensors = [Tensor(name, extents, kind="plain", storage=s) for name, s in (("x", x), ("y", y))]
    activation_forward(plan, *tensors, activation="relu")
    plan.finalize()
    return plan, x, y


def test_a_dry_plan_shows_what_would_be_launched():
    plan, _, _ = relu(DryDevice())
    assert [call.kernel.name for call in plan.calls] == ["activation.activation_forward[relu]"]
    with pytest.raises(RuntimeError, match=r"activation_forward\[relu\] was launched on a device that only allocates"):
        plan.run()


def test_a_batch_that_does_not_fit_is_told_with_one_that_does():
    def plan(batch_size):
        plan = CudaPlan(batch_size, DryDevice(memory=10_000))
        tensors = [Tensor(name, (batch_size, 100)) for name in "xyz"]
        plan.begin("0")
        for a, b in itertools.pairwise(tensors):
            activation_forward(plan, a, b, activation="relu")
        plan.finalize()
        return plan

    with pytest.raises(MemoryError, match=r"batches of 300 are too large here: a batch of (\d+) fits") as caught:
        plan(300)
    fitting = int(str(caught.value).rsplit("a batch of ", 1)[1].split()[0])
    assert fitting >= 10
    assert plan(fitting).memory() <= 10_000


def test_the_emulated_device_s_memory_ends_too():
    with pytest.raises(MemoryError, match="no room for the 4,096 bytes of weights"):
        EmulatedDevice(memory_bytes=2048).allocate(4096, "weights")


def test_a_data_set_is_on_the_device_once_for_all_programs():
    device, x = DryDevice(), np.zeros((50, 20), np.float32)
    slots = [CudaSlot(device, np.float32, (20,)) for _ in range(3)]
    before = device.taken
    for slot in slots:
        slot.bind(x)
        slot.prepare(False, 10)
    assert device.taken - before == x.nbytes
    other = np.ones_like(x)
    for slot in slots:
        slot.bind(other)
    assert device.taken == before


def test_a_view_of_an_array_that_was_changed_in_place_is_uploaded_again():
    device, x = EmulatedDevice(), np.zeros((4, 2), np.float32)
    slot = CudaSlot(device, np.float32, (2,))
    for value in (1, 2):
        x[:] = value
        slot.bind(x[:])
        slot.prepare(False, 4)
        assert (slot.copy.read() == value).all()


def test_a_slot_refuses_arrays_that_it_was_not_made_for():
    slot = CudaSlot(DryDevice(), np.float32, (2,))
    with pytest.raises(ValueError, match=r"expected a C-ordered float32 array of rows \(2,\), got float64 \(4, 2\)"):
        slot.bind(np.zeros((4, 2)))


# ------ guards


def test_guards_are_silent_where_nothing_is_wrong():
    device = GuardedDevice(EmulatedDevice())
    plan, x, y = relu(device)
    x.write(np.arange(-150, 150, dtype=np.float32).reshape(3, 100))
    plan.run()
    device.check()
    np.testing.assert_array_equal(y.read().reshape(-1), np.maximum(np.arange(-150, 150), 0))


@pytest.mark.parametrize(("offset", "message"), [(1200, "4 bytes behind y .1200"), (-4, "4 bytes before y .1200")])
def test_guards_see_a_write_beside_an_allocation(offset, message):
    device = GuardedDevice(EmulatedDevice())
    _, _, y = relu(device)
    device.upload(y.address + offset, np.zeros(1, np.float32))
    with pytest.raises(GuardError, match=message):
        device.check()


def test_memory_under_guard_begins_as_nan():
    device = GuardedDevice(EmulatedDevice())
    assert np.isnan(device.download(device.allocate(12, "x"), (3,), np.float32)).all()


# ------ the hardware, as far as a fake driver shows it


class Fake(SimpleNamespace):
    """cuda.core and cuda.bindings.driver in one, which remember what they were asked for."""

    def __init__(self):
        super().__init__(log=[], status=0, memory={}, next=1 << 20)
        self.LaunchConfig = lambda **config: config
        self.ObjectCode = SimpleNamespace(from_ptx=lambda ptx, name: SimpleNamespace(get_kernel=lambda entry: entry))
        self.launch = lambda where, config, kernel, *arguments: self.log.append((where, kernel, arguments))
        self.CUfunction_attribute = SimpleNamespace(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES=8)

    def Device(self, number):  # noqa: N802
        stream = SimpleNamespace(handle="stream")
        graph = SimpleNamespace(upload=lambda s: None, launch=lambda s: self.log.append("graph"))
        builder = SimpleNamespace(begin_building=lambda: None, end_building=lambda: SimpleNamespace(complete=lambda: graph))
        return SimpleNamespace(
            device_id=0, set_current=lambda: None, create_stream=lambda: stream, create_graph_builder=lambda: builder
        )

    def _allocate(self, nbytes):
        if nbytes > 1 << 30:
            return 2, None
        self.next += 4096 + nbytes
        self.memory[self.next] = (ctypes.c_uint8 * nbytes)()
        return 0, ctypes.addressof(self.memory[self.next])

    def cuMemHostAlloc(self, nbytes, flags):  # noqa: N802
        return self._allocate(nbytes)

    def cuMemAlloc(self, nbytes):  # noqa: N802
        return self._allocate(nbytes)

    def cuMemFree(self, address):  # noqa: N802
        self.log.append(("free", address))

    def cuMemcpyHtoDAsync(self, to, source, nbytes, stream):  # noqa: N802
        self.log.append(("upload", source))
        ctypes.memmove(to, source, nbytes)
        return (0,)

    def cuMemcpyDtoH(self, to, source, nbytes):  # noqa: N802
        ctypes.memmove(to, source, nbytes)
        return (0,)

    def cuMemGetInfo(self):  # noqa: N802
        return 0, 5_000_000, 80 << 30

    def cuStreamSynchronize(self, stream):  # noqa: N802
        self.log.append("wait")
        return (self.status,)

    def cuDriverGetVersion(self):  # noqa: N802
        return 0, 13000

    def cuGetErrorName(self, status):  # noqa: N802
        return 0, b"CUDA_ERROR_OUT_OF_MEMORY" if status == 2 else b"CUDA_ERROR_ILLEGAL_ADDRESS"

    def cuGetErrorString(self, status):  # noqa: N802
        return 0, b"what happened"


@pytest.fixture
def fake(monkeypatch):
    """A HardwareDevice on fake modules; its log and status are in `core`."""
    modules = Fake()
    monkeypatch.setattr(hardware, "require_gpu", lambda: [Gpu("NVIDIA Test", (9, 0), 80 << 30)])
    monkeypatch.setitem(sys.modules, "cuda.core", modules)
    monkeypatch.setitem(sys.modules, "cuda.bindings", SimpleNamespace(driver=modules))
    monkeypatch.setattr(hardware, "require_packages", lambda: None)
    import cuda

    monkeypatch.setattr(cuda, "core", modules, raising=False)
    return hardware.HardwareDevice()


def test_a_plan_is_launched_one_by_one_and_then_replayed(fake):
    plan, _, _ = relu(fake)
    fake.core.log.clear()
    plan.run()
    ((where, kernel, arguments), waited) = fake.core.log
    assert (where, kernel, waited) == (fake.stream, "activation_activation_forward_relu", "wait")
    assert [type(a) for a in arguments] == [np.uint64, np.uint64, np.float32, np.uint32]
    plan.run()
    plan.run()
    assert fake.core.log[-2:] == ["graph", "graph"]


def test_graphs_can_be_switched_off(fake, monkeypatch):
    monkeypatch.setenv("FASTCNN_CUDA_GRAPHS", "0")
    plan, _, _ = relu(fake)
    for _ in range(3):
        plan.run()
    assert "graph" not in fake.core.log


def test_a_fault_names_kernel_and_step(fake):
    plan, _, _ = relu(fake)
    fake.core.status = 700
    expected = r"running kernel activation\.activation_forward\[relu\] of step 0\.layer, .*ILLEGAL_ADDRESS"
    with pytest.raises(RuntimeError, match=expected):
        plan.run()


def test_a_fault_of_a_graph_says_how_to_find_the_kernel(fake):
    plan, _, _ = relu(fake)
    plan.run()
    fake.core.status = 700
    plan.run()
    with pytest.raises(RuntimeError, match="FASTCNN_CUDA_GRAPHS=0 .* the error names the one"):
        fake.synchronize()


def test_memory_that_is_not_there_is_told_in_megabytes(fake):
    expected = r"NVIDIA Test has no room for the 4,295.0 MB of a data set: 5.0 of 85,899.3 MB are free \(nvidia-smi"
    with pytest.raises(MemoryError, match=expected):
        fake.allocate(1 << 32, "a data set")


def test_small_uploads_go_round_the_ring_and_large_ones_past_it(fake):
    ring, n = fake.staging, hardware.Staging.NBYTES // hardware.SMALL
    address = fake.allocate(1 << 20, "x")
    for i in range(n + 1):
        fake.upload(address, np.full(hardware.SMALL, i % 251, np.uint8))
        assert fake.download(address, (hardware.SMALL,), np.uint8)[-1] == i % 251
    sources = [entry[1] for entry in fake.core.log if entry[0] == "upload"]
    assert sources[0] == sources[n] == ring.address
    assert len(set(sources[:n])) == n
    large = np.arange(1 << 18, dtype=np.float32)
    fake.upload(address, large)
    assert fake.core.log[-1] == ("upload", large.ctypes.data)


def test_targets_by_capability(fake):
    targets = {(7, 5): "sm_75", (8, 0): "sm_80", (8, 9): "sm_80", (9, 0): "sm_90a", (10, 0): "sm_80", (12, 0): "sm_80"}
    for capability, target in targets.items():
        fake.__dict__.pop("target", None)
        fake.gpu = Gpu("x", capability, 0)
        assert fake.target == target


def test_importing_the_hardware_imports_no_cuda():
    heavy = {"cuda.core", "cuda.bindings", "numba"}
    program = f"import sys, fastcnn_kernels.device.hardware; assert not {heavy} & set(sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
