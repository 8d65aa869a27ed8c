"""Measure what the choices of the default are worth: python benchmarks/compare_defaults.py FILE FROM TO.

Prints the Brier scores of docs/explanation/defaults.md; each bar is predicted before its label is learned.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import bt_neuro as bn
from bt_neuro.plugin.loading import load_strategy

DENSE = Path(__file__).resolve().parent.parent / "strategies" / "dense.py"


class RawWeights(bn.NeuroStrategy):
    """The article's network on the visible shape, predicting with the weights that learn."""

    def layers(self, inputs):
        return bn.article_layers(inputs // self.p.history_bars)

    def optimizer(self):
        return bn.Adam(self.p.learning_rate)


class Averaged(RawWeights):
    """The same with averaged weights."""

    optimizer = bn.NeuroStrategy.optimizer


class SecondAndThird(bn.NeuroStrategy):
    """Layer normalisation in the second place too."""

    def layers(self, inputs):
        layers = super().layers(inputs)
        layers[2] = bn.LayerNormalization(activation="sigmoid", per_channel=False)
        return layers


VARIANTS = {
    "article's features and network": (bn.NeuroStrategy, {"features": "article"}),
    "article's network on the visible shape, raw weights": (RawWeights, {}),
    "the same, averaged over 1,000 steps": (Averaged, {}),
    "third normalisation by layer (default)": (bn.NeuroStrategy, {}),
    "second and third by layer": (SecondAndThird, {}),
    "the same, 5 bars in place of 3": (SecondAndThird, {"history_bars": 5}),
    "dense.py": (load_strategy(str(DENSE)), {}),
}


def main(path, start, end):
    for name, (strategy, parameters) in VARIANTS.items():
        with tempfile.TemporaryDirectory() as folder:
            result = bn.backtest(
                path,
                strategy=strategy,
                parameters=parameters,
                bars_options={"start": start, "end": end},
                out=Path(folder, "run"),
                report=False,
            )
            metrics = result.metrics
            if name.startswith("article's features"):
                for baseline in ("visible shape", "softmax regression"):
                    print(f"| {baseline} | {metrics['baselines'][baseline]['brier_score']:.4f} |")
            print(f"| {name} | {metrics['brier_score']:.4f} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
