"""`Optimizer`: learning rate, clipping, weight decay and slots, of which the algorithms only say their rule and its numbers."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from fastcnn_kernels.api import RULES

from ..trace import Value, current_trace
from ..utils import registry
from ..utils.arguments import at_least_zero
from ..utils.suggest import unknown
from ..variables import Variable
from . import schedules

LearningRate = float | Callable[[int], float]
"""A number, or a schedule: a callable from the number of steps done to the rate of the next step."""

CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")
OPTIONS = ("weight_decay", *CLIPPING)
NOT_OFFERED = ("use_ema", "ema_momentum", "ema_overwrite_frequency", "loss_scale_factor", "gradient_accumulation_steps")


class Optimizer:
    """The base of optimizers. `iterations` counts the steps done; a model's `fit` counts it up.

    learning_rate    a number, or a schedule (see `schedules`)
    weight_decay     before a step, weights shrink by the factor 1 - weight_decay * learning rate (Loshchilov and Hutter 2019)
    clipnorm         the gradient of each weight is scaled down to a norm of at most this
    global_clipnorm  all gradients are scaled down together to a norm of at most this (Pascanu et al. 2013)
    clipvalue        every element of a gradient is limited to [-clipvalue, clipvalue]

    At most one of the three ways to clip can be chosen. An algorithm sets `rule`, `beta_1` and `beta_2`, whose meaning is in
    RULES of fastcnn_kernels.api, and `arguments`, the names of its constructor's own arguments.
    """

    arguments: ClassVar[tuple[str, ...]] = ()
    rule = "sgd"
    beta_1 = beta_2 = epsilon = 0.0

    def __init__(
        self,
        learning_rate: LearningRate,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
        **unsupported: Any,
    ):
        self._refuse(unsupported)
        self.name = name or type(self).__name__.lower()
        self.iterations = 0
        self.weight_decay = None if weight_decay is None else at_least_zero("weight_decay", weight_decay)
        self.clipnorm, self.clipvalue, self.global_clipnorm = _one_of(clipnorm, clipvalue, global_clipnorm)
        self._rate = _rate(learning_rate)
        self._slots: dict[Variable, list[Variable]] = {}
        self._not_decayed: list[str] = []

    def _refuse(self, arguments: Mapping[str, Any]) -> None:
        for name, value in arguments.items():
            if name not in NOT_OFFERED:
                known = dict.fromkeys(("learning_rate", *self.arguments, *OPTIONS))
                raise unknown(f"argument of {type(self).__name__}", name, known)
            if value not in (None, False) and name != "ema_momentum":
                raise ValueError(f"{type(self).__name__} does not offer {name}: leave {name}={value!r} out")

    @property
    def learning_rate(self) -> float:
        """The rate of the next step. Assign a number to change it, unless it follows a schedule."""
        return float(self._rate(self.iterations)) if callable(self._rate) else self._rate

    @learning_rate.setter
    def learning_rate(self, value: LearningRate) -> None:
        if callable(self._rate) and not callable(value):
            raise TypeError(
                f"{self.name} follows a learning-rate schedule, so its rate cannot be set to {value!r}; "
                "construct the optimizer with a number, or assign another schedule"
            )
        self._rate = _rate(value)

    def scalars(self) -> dict[str, float]:
        """What the kernels of the next step read, by the names of fastcnn_kernels.api.Scalars in lower case."""
        learning_rate = self.learning_rate
        if not np.isfinite(learning_rate):
            raise ValueError(f"the schedule of {self.name} gave the rate {learning_rate} for step {self.iterations}")
        rates = zip(("rate", "gradient_rate", "epsilon"), self.rates(learning_rate, self.iterations + 1), strict=True)
        return {"learning_rate": learning_rate, **dict(rates)}

    def rates(self, learning_rate: float, t: int) -> tuple[float, float, float]:
        """RATE, GRADIENT_RATE and EPSILON of step t, counted from 1."""
        return learning_rate, 0.0, self.epsilon

    # Slots.

    @property
    def slot_names(self) -> tuple[str, ...]:
        """The arrays kept for each weight."""
        return RULES[self.rule]

    def initial(self, slot: str) -> float:
        """What a slot holds before the first step."""
        return 0.0

    def slots(self, variable: Variable) -> list[Variable]:
        """The arrays kept for `variable`, in the order of `slot_names`; made on first use."""
        if variable not in self._slots:
            self._slots[variable] = [
                Variable(np.full(variable.shape, self.initial(slot)), trainable=False, name=f"{variable.name}.{slot}")
                for slot in self.slot_names
            ]
        return self._slots[variable]

    def trained(self) -> list[Variable]:
        """The variables that have slots."""
        return list(self._slots)

    def exclude_from_weight_decay(
        self, var_list: Iterable[Variable] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Let weights not decay: those in `var_list`, and those in whose name one of `var_names`, as "bias", occurs.

        Call it before training.
        """
        self._not_decayed = [f"^{re.escape(variable.name)}$" for variable in var_list or ()] + list(var_names or ())

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds besides configuration and slots."""
        return {"iterations": self.iterations, "not_decayed": self._not_decayed}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        self.iterations, self._not_decayed = state["iterations"], list(state["not_decayed"])

    # Steps.

    def apply(self, gradients: Sequence[tuple[Variable, Value]], scalars: Value) -> None:
        """Append the steps that update variables by their gradients to the open trace."""
        shared = None
        if self.global_clipnorm is not None:
            shared = _factor([gradient for _, gradient in gradients], self.global_clipnorm)
        for variable, gradient in gradients:
            factor = shared if self.clipnorm is None else _factor([gradient], self.clipnorm)
            self.emit(variable, gradient, factor, scalars)

    def emit(self, variable: Variable, gradient: Value, factor: Value | None, scalars: Value) -> None:
        """Append the step that updates `variable` by `gradient`, times `factor`, to the open trace."""
        operands = dict(w=variable, dw=gradient, slots=self.slots(variable), factor=factor, scalars=scalars)
        attributes = dict(rule=self.rule, beta_1=self.beta_1, beta_2=self.beta_2)
        if self.weight_decay is not None and not any(re.search(name, variable.name) for name in self._not_decayed):
            attributes["weight_decay"] = self.weight_decay
        if self.clipvalue is not None:
            attributes["clipvalue"] = self.clipvalue
        current_trace().append("optimizer_step", operands, attributes)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this optimizer again, with the learning rate as it is now."""
        rate = registry.serialize(self._rate) if callable(self._rate) else self._rate
        return {"learning_rate": rate, "name": self.name, **{name: getattr(self, name) for name in (*self.arguments, *OPTIONS)}}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Optimizer":
        """The optimizer of a configuration."""
        return cls(**config)


def _factor(gradients: list[Value], limit: float) -> Value:
    trace = current_trace()
    factor = trace.new((1,), name="clip", kind="plain")
    trace.append("clip_factor", dict(xs=gradients, factor=factor), dict(limit=limit))
    return factor


def _rate(value: Any) -> LearningRate:
    if isinstance(value, Mapping):
        return schedules.deserialize(value)
    if callable(value):
        return value
    array = np.asarray(value)
    if array.ndim or array.dtype.kind not in "iuf" or not (np.isfinite(array) and array >= 0):
        raise ValueError(f"learning_rate must be a finite number of at least 0 or a schedule, got {value!r}")
    return float(array)


def _one_of(*limits: float | None) -> list[float | None]:
    given = dict(zip(CLIPPING, limits, strict=True))
    chosen = {name: limit for name, limit in given.items() if limit is not None}
    if len(chosen) > 1:
        raise ValueError(f"choose one way to clip gradients, got {', '.join(f'{k}={v!r}' for k, v in chosen.items())}")
    for name, limit in chosen.items():
        if at_least_zero(name, limit) == 0:
            raise ValueError(f"{name} must be more than 0, or None for no clipping, got {limit!r}")
    return [None if limit is None else float(limit) for limit in limits]


def decay(name: str, value: Any, closed: bool = False) -> float:
    """`value` as a float; ValueError where it is not between 0 and 1, below 1 unless `closed`."""
    if not (0 <= value < 1 or (closed and value == 1)):
        raise ValueError(f"{name} must lie between 0 and 1, got {value!r}")
    return float(value)
