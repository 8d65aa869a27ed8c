"""The networks that the article compares."""

from __future__ import annotations

import pytest

from bt_neuro import Adam, Dropout, LayerError, Network, article_layers
from bt_neuro.nn.models import EXPERTS
from tests.helpers import Sample, assert_close


@pytest.mark.parametrize(
    ("expert", "parameters", "dropouts"),
    [("batch_norm", 178_755, 0), ("plain", 176_915, 0), ("dropout", 176_915, 4)],
)
def test_an_expert_has_the_article_s_size(expert, parameters, dropouts):
    network = Network(article_layers(12, expert), 20 * 12, device="numpy")
    assert (network.n_parameters, network.n_outputs) == (parameters, 3)
    assert [layer for layer in network.layout.layers if isinstance(layer, Dropout)] == [
        Dropout(0.2)
    ] * dropouts


def test_the_default_is_the_expert_of_part_13():
    assert article_layers() == article_layers(12, "batch_norm")
    assert set(EXPERTS) == {"plain", "dropout", "batch_norm"}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (
            {"expert": "batchnorm"},
            "expert must be one of the article's, got 'batchnorm'. Did you mean batch_norm",
        ),
        (
            {"expert": "plain", "epsilon": 1e-3},
            "expert must be 'batch_norm' with options, got 'plain'. Leave epsilon out.",
        ),
    ],
)
def test_what_an_expert_cannot_be_is_refused(options, complaint):
    with pytest.raises(LayerError, match=complaint):
        article_layers(12, **options)


@pytest.mark.parametrize("expert", ["plain", "dropout"])
def test_the_experts_without_normalisation_learn_alike_on_opencl(expert, best, rng):
    sample = Sample(article_layers(12, expert), 240, rng, Adam(), steps=5, noise=0)
    network = Network(article_layers(12, expert), 240, optimizer=Adam(), seed=5, device=best)
    twin = Network(
        article_layers(12, expert), 240, optimizer=Adam(), seed=5, device="numpy", precision="double"
    )
    out = network.learn(sample.windows, sample.targets)
    assert_close(out, twin.learn(sample.windows, sample.targets), "single", at_least=1.0)
