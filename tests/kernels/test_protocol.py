"""The backends implement the protocol and nothing else, and imports go one way."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import fastcnn_kernels
import pytest
from fastcnn_kernels.api import Backend, operations, with_ops_of
from fastcnn_kernels.cases import cases
from fastcnn_kernels.cpu import CpuBackend
from fastcnn_kernels.reference import ReferenceBackend

from fastcnn.backends import resolve

KERNELS = Path(fastcnn_kernels.__file__).parent
LIBRARY = KERNELS.parents[1] / "fastcnn"
OPS = {path.parent.name for path in KERNELS.glob("*/reference.py")}

MADE_OF = {
    "augment": {"random"},
    "conv": {"activation", "pool", "random"},  # epilogues; on the GPU, dropout too
    "conv_transpose": {"conv"},  # run backwards
    "dense": {"activation", "conv"},  # on the CPU a dense layer is the convolution of one pixel
    "dropout": {"random"},
    "loss": {"softmax_crossentropy"},  # on the GPU, one launch of both
}
"""Ops whose arithmetic is another op's: the only ones that may import it."""

MEMORY = {"plan", "allocate", "external"}
"""What a backend has besides ops."""

INDEXES = {"reference.py", "cpu.py", "cuda.py", "cases.py"}


@pytest.fixture(params=["reference", "cpu", "cuda"])
def backend(request):
    if request.param != "cuda":
        return {"reference": ReferenceBackend, "cpu": CpuBackend}[request.param]
    pytest.importorskip("numba_cuda", reason="CUDA kernels are written with the packages of fastcnn[cuda13]")
    from fastcnn_kernels.cuda import CudaBackend

    return CudaBackend


@pytest.mark.parametrize("index", ["reference", "cpu", "cuda"])
def test_the_modules_of_a_backend_define_every_op_once(index):
    """Read, not imported: it holds where the packages for CUDA are missing, too."""
    bodies = (ast.parse(path.read_text()).body for path in KERNELS.glob(f"*/{index}.py"))
    defined = [node.name for body in bodies for node in body if isinstance(node, ast.FunctionDef)]
    assert sorted(name for name in defined if name in operations()) == sorted(operations())


def test_a_backend_that_lacks_an_op_cannot_be_imported(backend):
    modules = {inspect.getmodule(getattr(backend, op)) for op in operations()}
    lacking = [module for module in modules if not hasattr(module, "affine")]
    with pytest.raises(TypeError, match="Lacking needs one affine in its modules, found 0"):
        with_ops_of(*lacking, *_without_affine(modules - set(lacking)))(type("Lacking", (), {}))


def _without_affine(modules):
    """Modules with all that these define but affine."""
    for module in modules:
        copy = ModuleType(module.__name__)
        vars(copy).update({name: value for name, value in vars(module).items() if name != "affine"})
        yield copy


def parameters(function: object) -> list[tuple[str, object, object]]:
    signature = inspect.signature(function).parameters.values()
    return [(p.name, p.kind, p.default) for p in signature if p.name != "self"]


def test_a_backend_has_the_protocol_s_ops_and_no_others(backend):
    public = {name for name, _ in inspect.getmembers(backend, inspect.isfunction) if not name.startswith("_")}
    assert public - MEMORY == set(operations())


@pytest.mark.parametrize("op", operations())
def test_an_op_has_the_protocol_s_signature(backend, op):
    assert parameters(getattr(backend, op)) == parameters(getattr(Backend, op))


@pytest.mark.parametrize("name", ["reference", "cpu", "emulated"])
def test_a_backend_says_what_it_is(name):
    if name == "emulated":
        pytest.importorskip("numba_cuda", reason="CUDA kernels are written with the packages of fastcnn[cuda13]")
    backend = resolve(name)
    assert backend.name == name
    assert backend.fusions <= {
        "conv+activation", "dense+activation", "conv+activation+pool", "softmax+crossentropy", "sigmoid+crossentropy",
    }  # fmt: skip


def test_every_op_has_cases_and_every_case_its_own_name():
    assert {case.op for case in cases()} == set(operations())
    names = [str(case) for case in cases()]
    assert len(names) == len(set(names))


def imports(path: Path) -> Iterator[str]:
    """Absolute names of the modules that a file imports."""
    package = path.relative_to(KERNELS.parent if KERNELS in path.parents else LIBRARY.parent).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def files(root: Path) -> list[Path]:
    found = sorted(root.rglob("*.py"))
    assert found, f"no Python files in {root}"
    return found


def test_kernels_do_not_know_the_library():
    wrong = [(path.name, name) for path in files(KERNELS) for name in imports(path) if name.split(".")[0] == "fastcnn"]
    assert not wrong


def test_only_kernels_know_numba():
    wrong = [(path.name, name) for path in files(LIBRARY) for name in imports(path) if name.split(".")[0] == "numba"]
    assert not wrong


def test_the_reference_knows_no_numba():
    reference = [path for path in files(KERNELS) if path.name.startswith("reference")]
    wrong = [(path, name) for path in reference for name in imports(path) if name.startswith(("numba", "llvmlite"))]
    assert not wrong


@pytest.mark.parametrize("op", sorted(OPS))
def test_ops_do_not_know_each_other(op):
    others = OPS - MADE_OF.get(op, set()) - {op}
    found = {(path.name, name) for path in files(KERNELS / op) for name in imports(path)}
    assert not [(file, name) for file, name in found if set(name.split(".")[1:2]) & others]


def test_what_all_ops_share_knows_no_op():
    folders = [file for folder in ("host", "device", "emulator") for file in files(KERNELS / folder)]
    shared = [path for path in KERNELS.glob("*.py") if path.name not in INDEXES] + folders
    found = {(path.name, name) for path in shared for name in imports(path)}
    assert not [(file, name) for file, name in found if set(name.split(".")[1:2]) & OPS]
