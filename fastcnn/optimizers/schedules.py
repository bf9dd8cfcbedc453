"""Learning rates that follow the number of steps: `learning_rate=` of any optimizer, evaluated on the host before each step.

PiecewiseConstantDecay   steps
ExponentialDecay         a factor every so many steps
InverseTimeDecay         one over a line
PolynomialDecay          a power of what is left
CosineDecay              half a wave, with warm-up (Loshchilov and Hutter 2017)
CosineDecayRestarts      waves of growing length (the same)
OneCycle                 up and further down, in one cycle (Smith and Topin 2018)
LinearWarmup             a line up to another schedule
deserialize, serialize   from and to plain values

Names, arguments and values are those of Keras, but for the last two, which Keras does not have.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ..utils import registry


class LearningRateSchedule:
    """The base of schedules: `schedule(step)` is the rate of a step, counted from 0, a function of that number alone.

    `arguments` are the names of the constructor's arguments, which are kept as attributes.
    """

    arguments: ClassVar[tuple[str, ...]] = ()
    name: str

    def __call__(self, step: int) -> float:
        raise NotImplementedError(f"{type(self).__name__} needs a method __call__(step)")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this schedule again."""
        return {name: getattr(self, name) for name in (*self.arguments, "name")}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "LearningRateSchedule":
        """The schedule of a configuration."""
        return cls(**config)


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[0] up to and with step boundaries[0], then values[1] up to and with boundaries[1], ...; last values[-1]."""

    arguments = ("boundaries", "values")

    def __init__(self, boundaries: Sequence[int], values: Sequence[float], name: str = "PiecewiseConstant"):
        if len(boundaries) != len(values) - 1:
            raise ValueError(f"values must be one more than boundaries, got {len(values)} values, {len(boundaries)} boundaries")
        if list(boundaries) != sorted(boundaries):
            raise ValueError(f"boundaries must be steps in ascending order, got {boundaries!r}")
        self.boundaries, self.values, self.name = list(boundaries), [float(value) for value in values], name

    def __call__(self, step: int) -> float:
        return self.values[bisect_left(self.boundaries, step)]


class _Decay(LearningRateSchedule):
    """A rate that begins at `initial_learning_rate` and changes over `decay_steps`."""

    def __init__(self, initial_learning_rate: float, decay_steps: float, name: str):
        self.initial_learning_rate, self.name = float(initial_learning_rate), name
        self.decay_steps = _positive("decay_steps", decay_steps)


class _RateDecay(_Decay):
    """Arguments that two of them share. `staircase`: only whole multiples of decay_steps count."""

    arguments = ("initial_learning_rate", "decay_steps", "decay_rate", "staircase")

    def __init__(
        self, initial_learning_rate: float, decay_steps: float, decay_rate: float, staircase: bool = False, name: str = ""
    ):
        super().__init__(initial_learning_rate, decay_steps, name or type(self).__name__)
        self.decay_rate, self.staircase = float(decay_rate), bool(staircase)

    def periods(self, step: int) -> float:
        """How many decay_steps have passed."""
        return step // self.decay_steps if self.staircase else step / self.decay_steps


class ExponentialDecay(_RateDecay):
    """initial_learning_rate * decay_rate^(step / decay_steps)."""

    def __call__(self, step: int) -> float:
        return self.initial_learning_rate * self.decay_rate ** self.periods(step)


class InverseTimeDecay(_RateDecay):
    """initial_learning_rate / (1 + decay_rate * step / decay_steps)."""

    def __call__(self, step: int) -> float:
        return self.initial_learning_rate / (1 + self.decay_rate * self.periods(step))


class PolynomialDecay(_Decay):
    """end + (initial - end) * (1 - step / decay_steps)^power, and `end` afterwards.

    cycle   begin again instead, from a point below `initial`, each time with as many steps more
    """

    arguments = ("initial_learning_rate", "decay_steps", "end_learning_rate", "power", "cycle")

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ):
        super().__init__(initial_learning_rate, decay_steps, name)
        self.end_learning_rate, self.power, self.cycle = float(end_learning_rate), float(power), bool(cycle)

    def __call__(self, step: int) -> float:
        steps = self.decay_steps * (max(1, math.ceil(step / self.decay_steps)) if self.cycle else 1)
        left = 1 - min(step, steps) / steps
        return (self.initial_learning_rate - self.end_learning_rate) * left**self.power + self.end_learning_rate


class CosineDecay(_Decay):
    """initial * (alpha + (1 - alpha) * (1 + cos(pi * step / decay_steps)) / 2), and alpha * initial afterwards.

    With a warmup_target the rate first goes in a line from `initial` to the target, in warmup_steps, and decays from there.
    """

    arguments = ("initial_learning_rate", "decay_steps", "alpha", "warmup_target", "warmup_steps")

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ):
        super().__init__(initial_learning_rate, decay_steps, name)
        self.alpha = float(alpha)
        self.warmup_target = None if warmup_target is None else float(warmup_target)
        self.warmup_steps = warmup_steps

    def __call__(self, step: int) -> float:
        highest, warmup = self.initial_learning_rate, 0.0
        if self.warmup_target is not None:
            highest, warmup = self.warmup_target, self.warmup_steps
        if step < warmup:
            return _between(self.initial_learning_rate, highest, step / warmup)
        wave = _half_wave(min((step - warmup) / self.decay_steps, 1))
        return highest * ((1 - self.alpha) * wave + self.alpha)


class CosineDecayRestarts(LearningRateSchedule):
    """Half waves, each t_mul times as long as the one before and m_mul times as high, above alpha * initial_learning_rate."""

    arguments = ("initial_learning_rate", "first_decay_steps", "t_mul", "m_mul", "alpha")

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ):
        if t_mul < 1:
            raise ValueError(f"t_mul must be at least 1, so that waves do not grow shorter, got {t_mul!r}")
        self.initial_learning_rate, self.name = float(initial_learning_rate), name
        self.first_decay_steps = _positive("first_decay_steps", first_decay_steps)
        self.t_mul, self.m_mul, self.alpha = float(t_mul), float(m_mul), float(alpha)

    def __call__(self, step: int) -> float:
        restarts, done = self._wave(step)
        decayed = (1 - self.alpha) * self.m_mul**restarts * _half_wave(done) + self.alpha
        return self.initial_learning_rate * decayed

    def _wave(self, step: int) -> tuple[int, float]:
        """How many waves are over, and which share of this one. Counted, because logarithms round at the restarts."""
        if self.t_mul == 1:
            restarts, rest = divmod(step, self.first_decay_steps)
            return int(restarts), rest / self.first_decay_steps
        restarts, begin, length = 0, 0.0, self.first_decay_steps
        while step >= begin + length:
            restarts, begin, length = restarts + 1, begin + length, length * self.t_mul
        return restarts, (step - begin) / length


class OneCycle(LearningRateSchedule):
    """From max_learning_rate / div_factor up to max_learning_rate, then down to the first rate / final_div_factor.

    The way up takes the share pct_start of total_steps. Both are half waves, or lines with anneal_strategy="linear".
    three_phase: down to the first rate in as many steps as up, then on to the last. As PyTorch's OneCycleLR, without its
    momentum; after total_steps the last rate stays. (Smith and Topin 2018.)
    """

    arguments = (
        "max_learning_rate", "total_steps", "pct_start", "anneal_strategy", "div_factor", "final_div_factor", "three_phase",
    )  # fmt: skip

    def __init__(
        self,
        max_learning_rate: float,
        total_steps: int,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        name: str = "OneCycle",
    ):
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f'anneal_strategy must be "cos" or "linear", got {anneal_strategy!r}')
        self.max_learning_rate, self.name = float(max_learning_rate), name
        self.total_steps, self.pct_start = _positive("total_steps", total_steps), float(pct_start)
        self.anneal_strategy, self.three_phase = anneal_strategy, bool(three_phase)
        self.div_factor = _positive("div_factor", div_factor)
        self.final_div_factor = _positive("final_div_factor", final_div_factor)
        self._phases = self._planned()

    def _planned(self) -> list[tuple[float, float, float]]:
        """(last step, rate before, rate at it) of each phase."""
        first, last = self.max_learning_rate / self.div_factor, self.total_steps - 1
        lowest, top = first / self.final_div_factor, self.pct_start * self.total_steps - 1
        if not 0 < top < (last / 2 if self.three_phase else last):
            raise ValueError(
                f"the way up takes more than one step and leaves some for the way down: got pct_start={self.pct_start!r} of "
                f"total_steps={self.total_steps!r}"
            )
        up = (top, first, self.max_learning_rate)
        if self.three_phase:
            return [up, (2 * top, self.max_learning_rate, first), (last, first, lowest)]
        return [up, (last, self.max_learning_rate, lowest)]

    def __call__(self, step: int) -> float:
        begin = 0.0
        for end, before, after in self._phases:
            if step <= end:
                done = (step - begin) / (end - begin)
                return _between(before, after, done if self.anneal_strategy == "linear" else 1 - _half_wave(done))
            begin = end
        return self._phases[-1][2]


class LinearWarmup(LearningRateSchedule):
    """From initial_learning_rate in a line to the first rate of `learning_rate`, in warmup_steps; then that schedule.

    learning_rate   a number or a schedule, whose steps are counted from the end of the warm-up (Goyal et al. 2017)
    """

    def __init__(self, learning_rate: Any, warmup_steps: int, initial_learning_rate: float = 0.0, name: str = "LinearWarmup"):
        self.learning_rate = deserialize(learning_rate) if isinstance(learning_rate, Mapping) else learning_rate
        self.warmup_steps = _positive("warmup_steps", warmup_steps)
        self.initial_learning_rate, self.name = float(initial_learning_rate), name

    def __call__(self, step: int) -> float:
        after = max(step - self.warmup_steps, 0)
        rate = float(self.learning_rate(after) if callable(self.learning_rate) else self.learning_rate)
        return _between(self.initial_learning_rate, rate, step / self.warmup_steps) if step < self.warmup_steps else rate

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this schedule again."""
        rate = serialize(self.learning_rate) if callable(self.learning_rate) else self.learning_rate
        settings = dict(warmup_steps=self.warmup_steps, initial_learning_rate=self.initial_learning_rate, name=self.name)
        return {"learning_rate": rate, **settings}


def _half_wave(share: float) -> float:
    """From 1 at share 0 to 0 at share 1."""
    return 0.5 * (1 + math.cos(math.pi * share))


def _between(first: float, last: float, share: float) -> float:
    return (last - first) * share + first


def _positive(name: str, value: Any) -> Any:
    if not value > 0:
        raise ValueError(f"{name} must be more than 0, got {value!r}")
    return value


_CLASSES: tuple[type[LearningRateSchedule], ...] = (
    PiecewiseConstantDecay, ExponentialDecay, InverseTimeDecay, PolynomialDecay, CosineDecay, CosineDecayRestarts, OneCycle,
    LinearWarmup,
)  # fmt: skip
_NAMES: dict[str, type] = {cls.__name__: cls for cls in _CLASSES}


def deserialize(config: Mapping[str, Any]) -> Any:
    """The schedule of a configuration that `serialize` made. ValueError, with the nearest name, for an unknown one."""
    return registry.resolve("learning-rate schedule", config, _NAMES)


serialize = registry.serialize
