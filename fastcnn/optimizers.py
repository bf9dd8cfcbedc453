"""Optimizers: how a weight follows its gradient. Each appends one step a weight to the program.

Optimizer                      learning rate, number of steps done, slots (velocity, moments)
SGD                            with momentum and Nesterov's variant
Adam                           Kingma and Ba 2015
get, serialize                 by name: "sgd", "adam"
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from .trace import Value, current_trace
from .utils import registry
from .utils.suggest import unknown
from .variables import Variable

LearningRate = float | Callable[[int], float]
"""A number, or a schedule: a callable from the number of steps done to the rate of the next step."""

_NOT_OFFERED = (
    "weight_decay",
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "use_ema",
    "ema_momentum",
    "ema_overwrite_frequency",
    "loss_scale_factor",
    "gradient_accumulation_steps",
    "amsgrad",
)


class Optimizer:
    """The base of optimizers. `iterations` counts the steps done; a model's `fit` counts it up.

    slot_names   the arrays kept for each weight, zero at first
    """

    slot_names: ClassVar[tuple[str, ...]] = ()

    def __init__(self, learning_rate: LearningRate, name: str | None = None, **unsupported: Any):
        refuse(type(self).__name__, unsupported)
        self.name = name or type(self).__name__.lower()
        self.iterations = 0
        self._rate = learning_rate if callable(learning_rate) else _rate(learning_rate)
        self._slots: dict[Variable, list[Variable]] = {}

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
        self._rate = value if callable(value) else _rate(value)

    def slots(self, variable: Variable) -> list[Variable]:
        """The arrays kept for `variable`, in the order of `slot_names`; made on first use."""
        if variable not in self._slots:
            zeros = np.zeros(variable.shape, np.float32)
            names = [f"{variable.name}.{slot}" for slot in self.slot_names]
            self._slots[variable] = [Variable(zeros, trainable=False, name=name) for name in names]
        return self._slots[variable]

    def trained(self) -> list[Variable]:
        """The variables that have slots."""
        return list(self._slots)

    def emit(self, variable: Variable, gradient: Value, scalars: Value) -> None:
        """Append the step that updates `variable` by `gradient` to the open trace."""
        raise NotImplementedError(f"{type(self).__name__} needs a method emit(variable, gradient, scalars)")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this optimizer again, with the learning rate as it is now."""
        rate = registry.serialize(self._rate) if callable(self._rate) else self._rate
        return {"learning_rate": rate, "name": self.name}


class SGD(Optimizer):
    """w -= rate * dw; with momentum v = momentum * v - rate * dw and w += v, or w += momentum * v - rate * dw (nesterov)."""

    def __init__(
        self,
        learning_rate: LearningRate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        name: str = "SGD",
        **unsupported: Any,
    ):
        super().__init__(learning_rate, name, **unsupported)
        self.momentum, self.nesterov = _decay("momentum", momentum, closed=True), bool(nesterov)
        self.slot_names = ("velocity",) if self.momentum else ()  # type: ignore[misc]

    def emit(self, variable: Variable, gradient: Value, scalars: Value) -> None:
        """Append the step that updates `variable` by `gradient` to the open trace."""
        velocity = self.slots(variable)[0] if self.momentum else None
        operands = dict(w=variable, dw=gradient, velocity=velocity, scalars=scalars)
        current_trace().append("sgd", operands, dict(momentum=self.momentum, nesterov=self.nesterov))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this optimizer again, with the learning rate as it is now."""
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}


class Adam(Optimizer):
    """Steps of about the learning rate's size, whatever the gradient's: its mean over the root of its mean square.

    m += (dw - m)(1 - beta_1);  v += (dw^2 - v)(1 - beta_2)
    w -= rate * sqrt(1 - beta_2^t) / (1 - beta_1^t) * m / (sqrt(v) + epsilon) at step t (Kingma and Ba 2015, epsilon as Keras)
    """

    slot_names = ("m", "v")

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        name: str = "adam",
        **unsupported: Any,
    ):
        super().__init__(learning_rate, name, **unsupported)
        self.beta_1, self.beta_2 = _decay("beta_1", beta_1), _decay("beta_2", beta_2)
        if not (np.isfinite(epsilon) and epsilon >= 0):
            raise ValueError(f"epsilon must be a number of at least 0, got {epsilon!r}")
        self.epsilon = float(epsilon)

    def emit(self, variable: Variable, gradient: Value, scalars: Value) -> None:
        """Append the step that updates `variable` by `gradient` to the open trace."""
        m, v = self.slots(variable)
        operands = dict(w=variable, dw=gradient, m=m, v=v, scalars=scalars)
        attributes = dict(beta_1=self.beta_1, beta_2=self.beta_2, epsilon=self.epsilon)
        current_trace().append("adam", operands, attributes)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this optimizer again, with the learning rate as it is now."""
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


def refuse(optimizer: str, arguments: Mapping[str, Any]) -> None:
    """ValueError for an argument that Keras has and fastcnn does not, unless it is switched off; unknown ones too."""
    for name, value in arguments.items():
        if name not in _NOT_OFFERED:
            raise unknown(
                f"argument of {optimizer}", name, ("learning_rate", "momentum", "nesterov", "beta_1", "beta_2", "epsilon")
            )
        if value not in (None, False):
            raise ValueError(f"{optimizer} does not offer {name} yet: leave {name}={value!r} out")


def _rate(value: Any) -> float:
    number = np.asarray(value)
    if number.ndim or number.dtype.kind not in "iuf" or not (np.isfinite(number) and number >= 0):
        raise ValueError(f"learning_rate must be a finite number of at least 0 or a schedule, got {value!r}")
    return float(number)


def _decay(name: str, value: float, closed: bool = False) -> float:
    if not (0 <= value < 1 or (closed and value == 1)):
        raise ValueError(f"{name} must lie between 0 and 1, got {value!r}")
    return float(value)


_NAMES: dict[str, type] = {"sgd": SGD, "adam": Adam}


def get(identifier: Any) -> Optimizer:
    """The optimizer that a name, a class, a saved config or an optimizer itself stands for."""
    if isinstance(identifier, Mapping):
        identifier = _with_schedule(identifier)
    found = registry.resolve("optimizer", identifier, _NAMES)
    if not isinstance(found, Optimizer):
        raise TypeError(f"an optimizer must be a name or an Optimizer, got {identifier!r}")
    return found


def _with_schedule(config: Mapping[str, Any]) -> Mapping[str, Any]:
    arguments = config.get("config", {})
    rate = arguments.get("learning_rate")
    if not isinstance(rate, Mapping):
        return config
    schedule = registry.resolve("learning-rate schedule", rate, {})
    return {**config, "config": {**arguments, "learning_rate": schedule}}


serialize = registry.serialize
