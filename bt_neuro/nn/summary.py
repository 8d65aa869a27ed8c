"""What ``print(network)`` shows: a line a layer."""

from __future__ import annotations

from bt_neuro.nn.layout import LayerPlan, Layout


def summary(layout: Layout) -> str:
    """Return a table of layers: outputs, parameters, and multiply-adds, which say where the time goes."""
    work = [multiply_adds(plan) for plan in layout.plans]
    table = [("name", "layer", "outputs", "parameters", "multiply-adds", "share")]
    for plan, macs in zip(layout.plans, work, strict=True):
        shape = " x ".join(map(str, plan.output_shape))
        size = sum(place.tensor.size for _, place in plan.named() if place.offset < layout.size_parameters)
        share = f"{macs / max(sum(work), 1):.0%}"
        table.append((plan.name, type(plan.layer).__name__, shape, f"{size:,}", f"{macs:,}", share))
    table.append(("", "", "", f"{layout.n_parameters:,}", f"{sum(work):,}", ""))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(f"{cell:{'<' if i < 2 else '>'}{widths[i]}}" for i, cell in enumerate(row)).rstrip()
        for row in table
    ]
    return "\n".join([f"{layout.n_inputs} inputs", *lines, str(layout.optimizer), str(layout.loss)])


def multiply_adds(plan: LayerPlan) -> int:
    """Return those of one forward pass through a layer's kernels; each meets every position once."""
    kernels = sum(place.tensor.size for name, place in plan.tensors.items() if name.endswith("kernel"))
    shape = plan.input_shape if plan.layer.kind == "lstm" else plan.output_shape
    scores = 0
    if plan.layer.kind == "encoder":  # queries meet keys, weights meet values
        scores = (
            2
            * shape[0] ** 2
            * sum(
                place.tensor.shape[0]
                for name, place in plan.tensors.items()
                if name.endswith("project_kernel")
            )
        )
    return kernels * (shape[0] if len(shape) == 2 else 1) + scores
