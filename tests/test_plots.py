"""The course's figures: what is drawn where, and that no data means an empty panel, not an error."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from common import plots

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture
def ax() -> Iterator[Any]:
    plots.style()
    fig, ax = plots.figure()
    yield ax
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # above all: limits that are equal, means of nothing
        fig.canvas.draw()
    plt.close(fig)


@settings(max_examples=20, deadline=None)
@given(num_steps=st.integers(0, 6), num_neurons=st.integers(0, 4), seed=st.integers(0, 99))
def test_raster_has_a_tick_for_each_spike(num_steps: int, num_neurons: int, seed: int) -> None:
    spk = torch.rand(num_steps, num_neurons, generator=torch.Generator().manual_seed(seed)) < 0.4
    fig, ax = plots.figure()
    plots.raster(ax, spk.float(), dt=0.5)
    ticks = []
    for row in ax.collections:
        ticks += [(t, row.get_lineoffset()) for t in row.get_positions()]
    assert sorted(ticks) == sorted((0.5 * t, float(i)) for t, i in spk.nonzero().tolist())
    low, high = ax.get_xlim()
    assert low == -0.25 and high == 0.5 * max(num_steps, 1) - 0.25
    assert ax.get_ylim()[0] < ax.get_ylim()[1]
    plt.close(fig)


@pytest.mark.parametrize(
    ("draw", "arguments"),
    [
        (plots.raster, (torch.zeros(5, 0),)),  # no neuron fires, so no row is chosen
        (plots.raster, (torch.zeros(5, 3),)),
        (plots.raster, (torch.zeros(0, 0),)),
        (plots.membrane, (torch.zeros(0), torch.zeros(0))),
        (plots.membrane, (torch.full((4,), -1.0), torch.zeros(4), None)),
        (plots.curves, ([], {})),
        (plots.curves, ([], {"a": []})),
        (plots.bars, ({},)),
        (plots.grouped_bars, ({},)),
        (plots.grouped_bars, ({"a": {}},)),
        (plots.confusion, (np.zeros((3, 3)), "abc")),
    ],
)
def test_no_data_is_an_empty_panel(ax: Any, draw: Any, arguments: Any) -> None:
    draw(ax, *arguments)


def test_spikes_stand_above_trace_and_threshold(ax: Any) -> None:
    plots.membrane(ax, torch.tensor([0.5, 1.5, 0.2]), torch.tensor([0, 1, 0]), 1.0)
    ticks = ax.lines[-1]
    assert ticks.get_xdata().tolist() == [1] and ticks.get_ydata()[0] > 1.5
    assert [line.get_label() for line in ax.lines] == ["membrane U", "threshold θ", "spike"]


def test_curves_show_mean_and_range_of_seeds(ax: Any) -> None:
    plots.curves(ax, [1, 2], {"one": [3, 4], "seeds": [[0, 2], [2, 6]]})
    assert ax.lines[1].get_ydata().tolist() == [1, 4]
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == 0 and band[:, 1].max() == 6
    assert len({line.get_linestyle() for line in ax.lines}) == 2, "told apart without colours"


def test_bars_carry_their_values(ax: Any) -> None:
    plots.bars(ax, {"a": 2.0, "b": -1.0}, fmt="{:+.1f}")
    assert [t.get_text() for t in ax.texts] == ["+2.0", "-1.0"]
    assert [b.get_width() for b in ax.patches] == [2, -1]


def test_grouped_bars_stand_side_by_side(ax: Any) -> None:
    plots.grouped_bars(ax, {"x": {"a": 1.0, "b": 2.0}, "y": {"b": 4.0, "a": 3.0}})
    assert [b.get_height() for b in ax.patches] == [1, 2, 3, 4]
    left, right = ax.patches[0], ax.patches[2]
    assert left.get_x() + left.get_width() <= right.get_x() + 0.05
    assert [t.get_text() for t in ax.texts] == ["1", "2", "3", "4"]


def test_confusion_names_counts_and_rows(ax: Any) -> None:
    plots.confusion(ax, [[8, 2], [0, 0]], ["cat", "dog"])
    written = {t.get_position(): t.get_text() for t in ax.texts}
    assert written == {(0, 0): "8", (1, 0): "2"}, "column is the answer, row the truth"
    assert ax.images[0].get_array().tolist() == [[0.8, 0.2], [0, 0]]
    assert ax.get_ylabel() == "true class"


@pytest.mark.parametrize(("costs", "scale"), [((1, 2, 3), "linear"), ((1, 10, 100), "log")])
def test_pareto_takes_a_logarithmic_axis_where_costs_are_far_apart(
    ax: Any, costs: tuple[int, ...], scale: str
) -> None:
    plots.pareto(ax, {"a": (costs, (1, 2, 3))}, front=(costs, (1, 2, 3)), knee=(costs[1], 2))
    assert ax.get_xscale() == scale
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["a", "Pareto front", "knee"]


def test_panels_of_a_stack_share_their_time_axis() -> None:
    fig, axes = plots.stack(3, "Title", ylabel="U")
    assert len(axes) == 3 and len(plots.stack(1)[1]) == 1
    axes[0].set_xlim(0, 7)
    assert axes[2].get_xlim() == (0, 7) and axes[2].get_xlabel() == "step"
    assert [a.get_ylabel() for a in axes] == ["U"] * 3
    plt.close("all")
