"""Print the rows of docs/how-to/river.md, `NeuroClassifier` beside river: python benchmarks/compare_river.py."""

from __future__ import annotations

from river import (
    compose,
    datasets,
    ensemble,
    evaluate,
    linear_model,
    metrics,
    naive_bayes,
    preprocessing,
    tree,
)

from bt_neuro.nn.river import NeuroClassifier

DATA = {
    "Phishing": datasets.Phishing,
    "Bananas": datasets.Bananas,
    "ImageSegments": datasets.ImageSegments,
}
MODELS = {
    "NeuroClassifier": NeuroClassifier,
    "SoftmaxRegression, scaled": lambda: compose.Pipeline(
        preprocessing.StandardScaler(), linear_model.SoftmaxRegression()
    ),
    "GaussianNB": naive_bayes.GaussianNB,
    "HoeffdingTreeClassifier": tree.HoeffdingTreeClassifier,
    "ADWINBoostingClassifier of trees": lambda: ensemble.ADWINBoostingClassifier(
        tree.HoeffdingTreeClassifier(), n_models=10, seed=0
    ),
}

if __name__ == "__main__":
    print(f"| | {' | '.join(DATA)} |\n|---|{'---|' * len(DATA)}")
    for name, make in MODELS.items():
        scores = [
            evaluate.progressive_val_score(data(), make(), metrics.BalancedAccuracy()).get()
            for data in DATA.values()
        ]
        print(f"| {name} | {' | '.join(f'{100 * score:.1f}' for score in scores)} |", flush=True)
