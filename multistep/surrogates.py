"""The surrogate derivatives σ' of snnTorch (lesson 07), as additions in place, and how they are recognised.

Forward, every one of them is the step S = H(U − θ). Backward, with x = U − θ,

    atan(a)           σ'(x) = (a/2) / (1 + (π·a·x/2)²) = f / (x² + 1/c²),   c = π·a/2,  f = a/(2·c²)
    fast_sigmoid(k)   σ'(x) = 1 / (1 + k·|x|)²         = k⁻² / (|x| + 1/k)²
    sigmoid(k)        σ'(x) = k·s·(1 − s),               s = 1/(1 + e^(−k·x))

and any other function by autograd, whatever it does.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import snntorch as snn
import torch
from torch import nn

Pulled = tuple[torch.Tensor, str, float]


class Surrogate:
    """A step function H(x) forward; backward by the function's own derivative, whatever it is."""

    kind: int | None = None
    """number of the formula in compiled loops and kernels, which take ``shift`` and ``factor`` with it"""
    shift, factor = 0.0, 0.0

    def __init__(
        self,
        function: Callable[[torch.Tensor], torch.Tensor] | None = None,
        dtype: torch.dtype = torch.float32,
        binary: bool = True,
    ) -> None:
        self.function = function
        self.dtype = dtype  # of the spikes: snnTorch's are float32 for any membrane
        self.binary = binary

    def fire(self, mem: torch.Tensor, theta: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        """S = H(U − θ), into ``out``. U > θ and U − θ > 0 say the same in IEEE arithmetic."""
        if self.binary:
            return torch.gt(mem, theta, out=out)
        with torch.no_grad():
            return out.copy_(self.function(mem - theta))  # type: ignore[misc]

    def pull(
        self, gs: torch.Tensor, mem: torch.Tensor, theta: torch.Tensor, tmp: torch.Tensor
    ) -> Pulled:
        """gs·σ'(U − θ) in parts, so that it can be added on in one operation.

        Returns:
            ``(v, "div", f)`` for f·gs/v, ``(v, "mul", f)`` for f·gs·v, ``(v, "add", f)`` for f·v.
        """
        with torch.enable_grad():
            shift = (mem - theta).detach().requires_grad_()
            spk = self.function(shift)  # type: ignore[misc]
        if not spk.requires_grad:  # surrogate_disable
            return tmp.zero_(), "add", 1.0
        return torch.autograd.grad(spk, shift, gs.to(spk.dtype))[0], "add", 1.0


class ATan(Surrogate):
    """σ'(x) = f / (x² + shift)."""

    kind = 0

    def __init__(self, a: float) -> None:
        super().__init__()
        c = math.pi / 2 * a
        self.shift, self.factor = 1 / c**2, a / (2 * c**2)

    def pull(
        self, gs: torch.Tensor, mem: torch.Tensor, theta: torch.Tensor, tmp: torch.Tensor
    ) -> Pulled:
        torch.sub(mem, theta, out=tmp)
        return tmp.mul_(tmp).add_(self.shift), "div", self.factor


class FastSigmoid(Surrogate):
    """σ'(x) = f / (|x| + shift)²."""

    kind = 1

    def __init__(self, k: float) -> None:
        super().__init__()
        self.shift, self.factor = 1 / k, k**-2

    def pull(
        self, gs: torch.Tensor, mem: torch.Tensor, theta: torch.Tensor, tmp: torch.Tensor
    ) -> Pulled:
        torch.sub(mem, theta, out=tmp).abs_().add_(self.shift)
        return tmp.mul_(tmp), "div", self.factor


class Sigmoid(Surrogate):
    """σ'(x) = f·s·(1 − s), s = 1/(1 + e^(f·|x|)). Finite everywhere; snnTorch's quotient is NaN for k·x < −88."""

    kind = 2

    def __init__(self, k: float) -> None:
        super().__init__()
        self.shift, self.factor = 0.0, k

    def pull(
        self, gs: torch.Tensor, mem: torch.Tensor, theta: torch.Tensor, tmp: torch.Tensor
    ) -> Pulled:
        # s(−|x|): s·(1 − s) is even and loses nothing
        torch.sub(mem, theta, out=tmp).abs_().mul_(-self.factor).sigmoid_()
        return tmp.addcmul_(tmp, tmp, value=-1), "mul", self.factor


KNOWN = {
    "atan": ("alpha", ATan),
    "fast_sigmoid": ("slope", FastSigmoid),
    "sigmoid": ("slope", Sigmoid),
}
BINARY = (
    "straight_through_estimator",
    "triangular",
    "heaviside",
    "spike_rate_escape",
    "SSO",
    "LSO",
    "SFS",
    "custom_surrogate",
)


def recognise(
    function: Callable[[torch.Tensor], torch.Tensor], dtype: torch.dtype
) -> Surrogate | None:
    """Recognise a ``spike_grad``; None if the neuron has to be stepped for it.

    ``snntorch.surrogate.atan(alpha)`` returns an inner function, whose closure holds ``alpha``. A function that
    is not snnTorch's is tried on a zero: one that draws random numbers or learns something is stepped.
    """
    name = getattr(function, "__qualname__", "")
    if getattr(function, "__module__", "") == "snntorch.surrogate" and name.endswith(
        ".<locals>.inner"
    ):
        maker = name.split(".")[0]
        if maker in KNOWN:
            variable, kind = KNOWN[maker]
            cells = dict(
                zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
            )
            value = cells[variable].cell_contents if variable in cells else None
            if isinstance(value, (int, float)) and value > 0:
                return kind(float(value))
        if maker in KNOWN or maker in BINARY:
            return Surrogate(function)
    if function is snn.SpikingNeuron._surrogate_bypass:
        return Surrogate(function)
    before = torch.random.get_rng_state()
    try:
        with torch.enable_grad():
            spk = function(torch.zeros(1, dtype=dtype))
    except Exception:  # a function that cannot take one number may need the whole layer
        return None
    finally:
        drawn = not torch.equal(before, torch.random.get_rng_state())
        torch.random.set_rng_state(before)
    if drawn or spk.requires_grad or not spk.is_floating_point() or isinstance(function, nn.Module):
        return None
    return Surrogate(function, spk.dtype, binary=False)


def add_pulled(to: torch.Tensor, gs: torch.Tensor, pulled: Pulled, sign: int = 1) -> None:
    """Add what ``pull`` returned, ±gs·σ', on to ``to`` in one operation."""
    values, how, factor = pulled
    if how == "div":
        to.addcdiv_(gs, values, value=sign * factor)
    elif how == "mul":
        to.addcmul_(gs, values, value=sign * factor)
    else:
        to.add_(values, alpha=sign * factor)
