"""How kernels walk tensors: rows of pixels, so that every elementwise kernel is `for sample: for row: for pixel`.

    walk             the argument row of a kernel over batch tensors of one logical shape, with any halos
    walk_parameters  the same for parameters: an output is a row of the last axis
    row line_address element sample_address stride present number real    inlined into kernels: what the argument row holds

A row of arguments is a header, the kernel's own numbers, and eight int64 an operand:

    ROWS WIDTH HEIGHT DEPTH | numbers | ADDRESS SAMPLE BLOCK PLANE ROW CHANNELS PIXELS LINES | ADDRESS SAMPLE ...

WIDTH counts pixels of 16 lanes, ROWS the rows of a sample: HEIGHT a plane, DEPTH planes a block. Where no operand has a halo in
the way, rows are joined: a sample without any is one long row. An operand has its address, four strides in bytes, and its
own numbers of channels, pixels a line and lines a plane.
"""

from collections.abc import Sequence

from ..api import Tensor
from ..simd import bits_as_f64, quotient, remainder
from .functions import inlined
from .layout import Layout, blocks_of
from .plan import Addresses, float_bits

ROWS, WIDTH, HEIGHT, DEPTH, NUMBERS = range(5)
ADDRESS, SAMPLE, BLOCK, PLANE, ROW, CHANNELS, PIXELS, LINES = range(8)
OPERANDS, OPERAND = 20, 8

Number = int | float
Operand = Tensor | tuple[Tensor, int] | None


def walk(
    at: Addresses,
    operands: Sequence[Operand],
    numbers: Sequence[Number] = (),
    *,
    others: Sequence[Tensor | None] = (),
    like: Tensor | None = None,
    blocks: int | None = None,
    join: bool = True,
) -> list[int]:
    """The argument row over the pixels of `operands`.

    An operand is a batch tensor, a tensor and a shift of its address in bytes, or None; the extents are those of the first, or
    of `like`. `others` are operands too, of any shape: a kernel reaches them by `sample_address` or `element`. `blocks` walks
    that many blocks instead of all: with blocks=1 a kernel sees every pixel once and steps through the channels itself.
    """
    pairs = [operand if isinstance(operand, tuple) else (operand, 0) for operand in operands]
    walked = [at.layout(tensor) for tensor, _ in pairs if tensor]
    extents = at.layout(like) if like else walked[0]
    count = extents.blocks if blocks is None else blocks
    shape = (count, extents.depth, extents.height, extents.width)
    count, depth, height, width = _joined(shape, walked) if join else shape
    row = _header((count * depth * height, width, height, depth), numbers)
    for tensor, shift in (*pairs, *((tensor, 0) for tensor in others)):
        row += _operand(at(tensor) + shift, at.layout(tensor)) if tensor else [0] * OPERAND
    return row


def walk_parameters(at: Addresses, operands: Sequence[Tensor | None], numbers: Sequence[Number] = ()) -> list[int]:
    """The argument row of an output launch over `parameter_rows` of tensors of one shape and kind "parameter"."""
    width = next(blocks_of(tensor.shape[-1]) for tensor in operands if tensor)
    row = _header((1, width, 1, 1), numbers)
    for tensor in operands:
        row += [at(tensor), 64 * width, *[0] * (OPERAND - 2)]
    return row


def parameter_rows(tensor: Tensor) -> int:
    """Rows of a parameter's last axis: the outputs of a launch over it."""
    return tensor.size // tensor.shape[-1]


def _joined(shape: tuple[int, int, int, int], layouts: Sequence[Layout]) -> tuple[int, int, int, int]:
    """Blocks, planes, lines and pixels with the inner ones multiplied together where every operand has them without gaps."""
    blocks, depth, height, width = shape
    if all(t.row == width * t.pixel for t in layouts):
        height, width = 1, height * width
    if height == 1 and all(t.plane == width * t.pixel for t in layouts):
        depth, width = 1, depth * width
    if height == depth == 1 and all(t.block == width * t.pixel for t in layouts):
        blocks, width = 1, blocks * width
    return blocks, depth, height, width


def _header(extents: tuple[int, ...], numbers: Sequence[Number]) -> list[int]:
    bits = [float_bits(n) if isinstance(n, float) else int(n) for n in numbers]
    return [*extents, *bits, *[0] * (OPERANDS - NUMBERS - len(bits))]


def _operand(address: int, t: Layout) -> list[int]:
    return [address, t.sample, t.block, t.plane, t.row, t.channels, t.width, t.height]


@inlined
def row(a, operand, sample, index):
    """Address of a row of an operand's sample."""
    o = OPERANDS + OPERAND * operand
    plane = quotient(index, a[HEIGHT])
    block = quotient(plane, a[DEPTH])
    in_block = remainder(plane, a[DEPTH]) * a[o + PLANE] + remainder(index, a[HEIGHT]) * a[o + ROW]
    return a[o] + sample * a[o + SAMPLE] + block * a[o + BLOCK] + in_block


@inlined
def stride(a, operand, which):
    """Bytes from one BLOCK, PLANE or ROW of an operand to the next; or its number of CHANNELS."""
    return a[OPERANDS + OPERAND * operand + which]


@inlined
def sample_address(a, operand, sample):
    """Address of an operand's sample."""
    o = OPERANDS + OPERAND * operand
    return a[o] + sample * a[o + SAMPLE]


@inlined
def line_address(a, operand, sample, block, plane, index):
    """Address of a line of a plane of a block of an operand's sample."""
    o = OPERANDS + OPERAND * operand
    return a[o] + sample * a[o + SAMPLE] + block * a[o + BLOCK] + plane * a[o + PLANE] + index * a[o + ROW]


@inlined
def element(a, operand, sample, index):
    """Address of the element of four bytes with the C-ordered index `index` in an operand's sample."""
    o = OPERANDS + OPERAND * operand
    pixel, channel = quotient(index, a[o + CHANNELS]), remainder(index, a[o + CHANNELS])
    line, w = quotient(pixel, a[o + PIXELS]), remainder(pixel, a[o + PIXELS])
    plane, h = quotient(line, a[o + LINES]), remainder(line, a[o + LINES])
    where = a[o] + sample * a[o + SAMPLE] + plane * a[o + PLANE] + h * a[o + ROW]
    return where + 64 * w + (channel >> 4) * a[o + BLOCK] + 4 * (channel & 15)


@inlined
def present(a, operand):
    """Whether an operand is not None."""
    return a[OPERANDS + OPERAND * operand] != 0


@inlined
def number(a, index):
    """A number of the kernel's own."""
    return a[NUMBERS + index]


@inlined
def real(a, index):
    """A number of the kernel's own that is a float64."""
    return bits_as_f64(a[NUMBERS + index])
