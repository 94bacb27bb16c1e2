"""multistep.linear: the compiled loops against the plain loop, autograd and the convolution."""

from __future__ import annotations

from multistep.linear import convolve, kernel, unroll_linear

import pytest
import torch
from torch import Tensor


def plain(x: Tensor, a: Tensor, c: Tensor) -> Tensor:
    """The first line of the module's docstring, differentiated by autograd."""
    h = torch.zeros(*x.shape[1:], a.shape[1], dtype=a.dtype)
    out = []
    for x_t in x:
        h = a * h + x_t.unsqueeze(-1)
        out.append((c * h).real.sum(-1))
    return torch.stack(out)


def problem(T: int, H: int, N: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(T)
    a = torch.polar(0.5 + 0.5 * torch.rand(H, N), 6 * torch.rand(H, N))
    c = torch.randn(H, N, dtype=torch.complex64)
    leaves = torch.randn(T, 3, H), a, c
    return tuple(v.requires_grad_() for v in leaves)


@pytest.mark.parametrize("compiled", ["1", "0"])
@pytest.mark.parametrize(("T", "H", "N"), [(1, 1, 1), (2, 5, 3), (40, 17, 4), (90, 3, 1)])
def test_forward_and_gradients(
    T: int, H: int, N: int, compiled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNN_COMPILED", compiled)
    leaves = problem(T, H, N)
    weight = torch.randn(T, 3, H)
    y, truth = unroll_linear(*leaves), plain(*leaves)
    assert torch.allclose(y, truth, atol=1e-4)
    for got, wanted in zip(
        torch.autograd.grad((y * weight).sum(), leaves),
        torch.autograd.grad((truth * weight).sum(), leaves),
        strict=True,
    ):
        assert (got - wanted).norm() <= 1e-4 * wanted.norm().clamp(min=1e-3)


def test_double_precision_goes_another_way() -> None:
    x, a, c = (
        v.detach().to(torch.promote_types(v.dtype, torch.float64)) for v in problem(30, 4, 2)
    )
    assert torch.allclose(unroll_linear(x, a, c), plain(x, a, c), atol=1e-10)


def test_the_kernel_is_the_answer_to_a_pulse() -> None:
    x, a, c = (v.detach() for v in problem(25, 4, 3))
    pulse = torch.zeros(25, 1, 4)
    pulse[0] = 1
    k = kernel(a, c, 25)
    assert torch.allclose(k, unroll_linear(pulse, a, c)[:, 0], atol=1e-5)
    late = convolve(x, k)
    assert torch.allclose(late, unroll_linear(x, a, c), atol=1e-4), "nothing comes in again"


@pytest.mark.parametrize("broken", ["x", "a", "c"])
def test_shapes_that_do_not_fit(broken: str) -> None:
    x, a, c = (v.detach() for v in problem(5, 4, 3))
    wrong = {"x": (x[0], a, c), "a": (x, a[:2], c[:2]), "c": (x, a, c[:, :1])}[broken]
    with pytest.raises(ValueError, match="unroll_linear: got x"):
        unroll_linear(*wrong)
