"""Rules that put what follows a product behind it: see cuda_behind.py.

    drop_behind        the dropout of a layer's output, and of its gradient
    gradient_behind    what lies between a data gradient and the convolution, or dense layer, below
"""

from dataclasses import replace
from typing import Any

from ..api import Tensor
from ..device.works import Op, Works
from .cuda import OutputGradient, Product
from .cuda_behind import Drop, Through


def drop_behind(works: Works) -> None:
    """Rule: a product's dropout. Backward, relu's derivative is taken from what is left after it: the rest has none."""
    for drop in works.of("dropout_forward"):
        if drop.attributes["by_channel"]:
            continue
        users = works.users(drop["x"])
        product, others = users[0], users[2:]
        if not (_ends(works, product, drop["x"]) and product.wide and users[1] is drop and len(others) <= 1):
            continue
        if others and not _backward(works, drop, others[0]):
            continue
        behind = Drop(drop["scalars"], drop.attributes["rate"], drop.attributes["op_id"])
        works.replace([drop], replace(product, drop=behind, into=drop["y"]), product)


def _ends(works: Works, product: Any, result: Tensor) -> bool:
    """Whether a work is a product with nothing behind it, and its result memory of the plan's own that it alone writes."""
    plain = isinstance(product, Product) and product.plain and works.root(product.y) is works.root(result)
    return plain and works.root(result).storage is None and works.only_writer(product)


def _backward(works: Works, drop: Op, gradient: Any) -> bool:
    """Let the gradient of relu be that of dropout, too; False where it is not possible."""
    if not isinstance(gradient, OutputGradient) or gradient.activation != "relu":
        return False
    back = works.user("dropout_backward", dx=gradient.dy)
    if back is None or back.attributes != drop.attributes or not works.between(gradient.dy, back, gradient):
        return False
    scale = 1 / (1 - drop.attributes["rate"])
    works.replace([back], replace(gradient, y=drop["y"], dy=back["dy"], scale=scale), gradient)
    return True


def gradient_behind(works: Works) -> None:
    """Rule: dz of the layer below instead of dx, from the one product that computes dx for nobody else."""
    for gradient in works.of(OutputGradient):
        product = works.users(gradient.dy)[0]
        fits = gradient.dz is not None and gradient.db is None and gradient.window in ((1, 1, 1), (1, 2, 2))
        if fits and works.between(gradient.dy, product, gradient) and _ends(works, product, gradient.dy) and _bare(product):
            below, c = gradient.pool and gradient.pool.argmax, gradient.c
            numbers = (gradient.activation, gradient.alpha, gradient.scale, c.channels_out, c.outputs[2] // gradient.window[2])
            works.replace([gradient], replace(product, through=Through(gradient.y, below, *numbers), into=gradient.dz), product)


def _bare(product: Product) -> bool:
    return (product.b, product.argmax, product.activation) == (None, None, "linear")
