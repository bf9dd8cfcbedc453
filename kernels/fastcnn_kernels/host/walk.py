"""How kernels walk tensors: rows of pixels, so that every elementwise kernel is `for sample: for row: for pixel`.

    walk             the argument row of a kernel over batch tensors of one logical shape, with any halos
    walk_parameters  the same for parameters: an output is a row of the last axis
    row number real block_stride    inlined into kernels: what the argument row holds

A row of arguments is a header, up to eight numbers of the kernel's own, and five int64 an operand:

    ROWS WIDTH HEIGHT DEPTH | numbers | address sample block plane row | address sample ...

WIDTH counts pixels of 16 lanes, ROWS the rows of a sample: HEIGHT a plane, DEPTH planes a block. Where no operand has a halo in
the way, rows are joined: a sample without any is one long row.
"""

from collections.abc import Sequence

from ..api import Tensor
from ..simd import bits_as_f64, quotient, remainder
from .functions import inlined
from .layout import blocks_of
from .plan import Addresses, float_bits

ROWS, WIDTH, HEIGHT, DEPTH, NUMBERS = range(5)
OPERANDS, OPERAND = 12, 5
SAMPLE, BLOCK, PLANE, ROW = range(1, 5)

Number = int | float
Operand = Tensor | tuple[Tensor, int] | None


def walk(
    at: Addresses,
    operands: Sequence[Operand],
    numbers: Sequence[Number] = (),
    *,
    like: Tensor | None = None,
    blocks: int | None = None,
) -> list[int]:
    """The argument row over the pixels of `operands`.

    An operand is a batch tensor, a tensor and a shift of its address in bytes, or None. `like` is the tensor whose extents are
    walked, the first operand where it is not given; `blocks` walks that many of its blocks instead of all: with blocks=1 a
    kernel sees every pixel once and steps through the channels by `block_stride`.
    """
    pairs = [operand if isinstance(operand, tuple) else (operand, 0) for operand in operands]
    extents = at.layout(like or next(tensor for tensor, _ in pairs if tensor))
    layouts = [at.layout(tensor) for tensor, _ in pairs if tensor]
    width, height, depth = extents.width, extents.height, extents.depth
    count = extents.blocks if blocks is None else blocks
    if all(t.row == width * t.pixel for t in layouts):
        width, height = width * height, 1
    if height == 1 and all(t.plane == width * t.pixel for t in layouts):
        width, depth = width * depth, 1
    if height == 1 and depth == 1 and all(t.block == width * t.pixel for t in layouts):
        width, count = width * count, 1
    row = _header((count * depth * height, width, height, depth), numbers)
    for tensor, shift in pairs:
        row += _operand(at, tensor, shift) if tensor else [0] * OPERAND
    return row


def walk_parameters(at: Addresses, operands: Sequence[Tensor | None], numbers: Sequence[Number] = ()) -> list[int]:
    """The argument row of an output launch over `parameter_rows` of tensors of one shape and kind "parameter"."""
    shape = next(tensor.shape for tensor in operands if tensor)
    width = blocks_of(shape[-1])
    row = _header((1, width, 1, 1), numbers)
    for tensor in operands:
        row += [at(tensor), 64 * width, 0, 0, 0]
    return row


def parameter_rows(tensor: Tensor) -> int:
    """Rows of a parameter's last axis: the outputs of a launch over it."""
    return tensor.size // tensor.shape[-1]


def _header(extents: tuple[int, ...], numbers: Sequence[Number]) -> list[int]:
    bits = [float_bits(n) if isinstance(n, float) else int(n) for n in numbers]
    return [*extents, *bits, *[0] * (OPERANDS - NUMBERS - len(bits))]


def _operand(at: Addresses, tensor: Tensor, shift: int) -> list[int]:
    layout = at.layout(tensor)
    return [at(tensor) + shift, layout.sample, layout.block, layout.plane, layout.row]


@inlined
def row(a, operand, sample, index):
    """Address of a row of an operand's sample."""
    o = OPERANDS + OPERAND * operand
    plane = quotient(index, a[HEIGHT])
    block = quotient(plane, a[DEPTH])
    in_block = remainder(plane, a[DEPTH]) * a[o + PLANE] + remainder(index, a[HEIGHT]) * a[o + ROW]
    return a[o] + sample * a[o + SAMPLE] + block * a[o + BLOCK] + in_block


@inlined
def present(a, operand):
    """Whether an operand is not None."""
    return a[OPERANDS + OPERAND * operand] != 0


@inlined
def block_stride(a, operand):
    """Bytes from a block of 16 channels to the next one."""
    return a[OPERANDS + OPERAND * operand + BLOCK]


@inlined
def number(a, index):
    """A number of the kernel's own."""
    return a[NUMBERS + index]


@inlined
def real(a, index):
    """A number of the kernel's own that is a float64."""
    return bits_as_f64(a[NUMBERS + index])
