"""The optimizers, with Keras's arguments and defaults. Each is a rule of the op optimizer_step with numbers of its own.

SGD                      descent, with momentum and Nesterov's variant
Adam, AdamW, Nadam       moving averages of gradient and squared gradient
Adamax                   the same with the largest gradient in place of the second average
RMSprop                  a moving average of the squared gradient, with momentum, centered
Adagrad, Adadelta        the sum of all squared gradients; their average, and that of the squared changes
Lion                     steps of one size in the direction that an average of gradients has

In the formulas g is the gradient, `a <- b by beta` is a = beta * a + (1 - beta) * b, and t counts steps from 1.
"""

import math
from typing import Any

from ..utils.arguments import at_least_zero
from .optimizer import LearningRate, Optimizer, decay


class SGD(Optimizer):
    """w -= rate * g; with momentum v = momentum * v - rate * g and w += v, or w += momentum * v - rate * g (nesterov)."""

    arguments = ("momentum", "nesterov")

    def __init__(self, learning_rate: LearningRate = 0.01, momentum: float = 0.0, nesterov: bool = False, **options: Any):
        super().__init__(learning_rate, **options)
        self.momentum = self.beta_1 = decay("momentum", momentum, closed=True)
        self.nesterov = bool(nesterov)
        if self.momentum:
            self.rule = "nesterov" if nesterov else "momentum"


class Adam(Optimizer):
    """Steps of about the learning rate's size, whatever the gradient's: its mean over the root of its mean square.

    m <- g by beta_1;  v <- g^2 by beta_2;  w -= rate * sqrt(1 - beta_2^t) / (1 - beta_1^t) * m / (sqrt(v) + epsilon)
    (Kingma and Ba 2015, epsilon as Keras). With amsgrad the largest v so far stands for v (Reddi et al. 2018).
    """

    arguments = ("beta_1", "beta_2", "epsilon", "amsgrad")
    rule = "adam"

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Any,
    ):
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2 = decay("beta_1", beta_1), decay("beta_2", beta_2)
        self.epsilon, self.amsgrad = at_least_zero("epsilon", epsilon), bool(amsgrad)
        if amsgrad:
            self.rule = "amsgrad"

    def rates(self, learning_rate: float, t: int) -> tuple[float, float, float]:
        """RATE corrects both averages for their beginning at 0."""
        return learning_rate * math.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t), 0.0, self.epsilon


class AdamW(Adam):
    """Adam with weight decay (Loshchilov and Hutter 2019)."""

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Any,
    ):
        if weight_decay is None:
            raise ValueError("weight_decay of AdamW must be a number of at least 0, got None; Adam has none")
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **options)


class Nadam(Optimizer):
    """Adam with Nesterov's momentum (Dozat 2016).

    With u_t = beta_1 * (1 - 0.96^t / 2) and U_t = u_1 * ... * u_t: m and v as Adam has them,
    w -= rate * (u_(t+1) / (1 - U_(t+1)) * m + (1 - u_t) / (1 - U_t) * g) / (sqrt(v / (1 - beta_2^t)) + epsilon)
    """

    arguments = ("beta_1", "beta_2", "epsilon")
    rule = "adam"

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **options: Any,
    ):
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2 = decay("beta_1", beta_1), decay("beta_2", beta_2)
        self.epsilon = at_least_zero("epsilon", epsilon)
        self._multiplied = (0, 1.0)

    def rates(self, learning_rate: float, t: int) -> tuple[float, float, float]:
        """Numerator and denominator of the formula, times sqrt(1 - beta_2^t)."""
        product, now, then = self._product(t), self._momentum(t), self._momentum(t + 1)
        correction = math.sqrt(1 - self.beta_2**t)
        rate = learning_rate * correction * then / (1 - product * then)
        return rate, learning_rate * correction * (1 - now) / (1 - product), self.epsilon * correction

    def _momentum(self, t: int) -> float:
        return self.beta_1 * (1 - 0.5 * 0.96**t)

    def _product(self, t: int) -> float:
        """U_t, from the one that was asked for last where that was an earlier one."""
        done, product = self._multiplied if self._multiplied[0] <= t else (0, 1.0)
        # From there on 1 - U_t is 1.
        while done < t and product > 1e-20:
            done += 1
            product *= self._momentum(done)
        self._multiplied = (t, product)
        return product


class Adamax(Optimizer):
    """m <- g by beta_1;  u = max(beta_2 * u, |g|);  w -= rate / (1 - beta_1^t) * m / (u + epsilon) (Kingma and Ba 2015)."""

    arguments = ("beta_1", "beta_2", "epsilon")
    rule = "adamax"

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **options: Any,
    ):
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2 = decay("beta_1", beta_1), decay("beta_2", beta_2)
        self.epsilon = at_least_zero("epsilon", epsilon)

    def rates(self, learning_rate: float, t: int) -> tuple[float, float, float]:
        """RATE corrects the average for its beginning at 0."""
        return learning_rate / (1 - self.beta_1**t), 0.0, self.epsilon


class RMSprop(Optimizer):
    """v <- g^2 by rho;  s = rate * g / sqrt(v + epsilon);  w -= s (Tieleman and Hinton 2012).

    centered: a <- g by rho, and v - a^2 stands for v. With momentum: b = momentum * b + s;  w -= b.
    """

    arguments = ("rho", "momentum", "epsilon", "centered")

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **options: Any,
    ):
        super().__init__(learning_rate, **options)
        self.rho = self.beta_2 = decay("rho", rho)
        self.momentum = self.beta_1 = decay("momentum", momentum, closed=True)
        self.epsilon, self.centered = at_least_zero("epsilon", epsilon), bool(centered)
        self.rule = "rmsprop" + "_centered" * self.centered + "_momentum" * bool(self.momentum)


class Adagrad(Optimizer):
    """a += g^2;  w -= rate * g / sqrt(a + epsilon), a beginning at initial_accumulator_value (Duchi et al. 2011)."""

    arguments = ("initial_accumulator_value", "epsilon")
    rule = "adagrad"

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **options: Any,
    ):
        super().__init__(learning_rate, **options)
        self.initial_accumulator_value = at_least_zero("initial_accumulator_value", initial_accumulator_value)
        self.epsilon = at_least_zero("epsilon", epsilon)

    def initial(self, slot: str) -> float:
        """What a slot holds before the first step."""
        return self.initial_accumulator_value


class Adadelta(Optimizer):
    """a <- g^2 by rho;  s = g * sqrt(d + epsilon) / sqrt(a + epsilon);  d <- s^2 by rho;  w -= rate * s (Zeiler 2012)."""

    arguments = ("rho", "epsilon")
    rule = "adadelta"

    def __init__(self, learning_rate: LearningRate = 0.001, rho: float = 0.95, epsilon: float = 1e-7, **options: Any):
        super().__init__(learning_rate, **options)
        self.rho = self.beta_2 = decay("rho", rho)
        self.epsilon = at_least_zero("epsilon", epsilon)


class Lion(Optimizer):
    """w -= rate * sign(beta_1 * m + (1 - beta_1) * g);  m <- g by beta_2 (Chen et al. 2023)."""

    arguments = ("beta_1", "beta_2")
    rule = "lion"

    def __init__(self, learning_rate: LearningRate = 0.001, beta_1: float = 0.9, beta_2: float = 0.99, **options: Any):
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2 = decay("beta_1", beta_1, closed=True), decay("beta_2", beta_2)
        if not self.beta_1:
            raise ValueError("beta_1 of Lion must be more than 0, got 0: its steps would follow the gradient's sign alone")
