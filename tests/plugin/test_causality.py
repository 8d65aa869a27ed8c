"""Nothing sees a bar that has not closed: shown by cutting the future off, and by poisoning it."""

import numpy as np
import pytest
from modes import MODES, random_hours, run, run_modes
from small import Logged

from bt_neuro import NeuroStrategy

BARS = 160
CUTS = (60, 100, 155)


def before(log, bar):
    """What was said and filled before a bar; a fill at its open was decided the bar before and counts too."""
    return [entry for entry in log if entry[0] < bar]


@pytest.fixture(scope="module")
def whole():
    return {str(mode): run(Logged, random_hours(BARS), mode).log for mode in MODES}


def perturbed(bars, first):
    """The bars from `first` on set to absurd values; still bars, so that everything runs."""
    bars = bars.copy()
    columns = ["open", "high", "low", "close"]
    bars.loc[first:, columns] = np.array([900.0, 1000.0, 1e-3, 0.5])
    bars.loc[first:, "volume"] = 1e9
    return bars


@run_modes
@pytest.mark.parametrize("cut", CUTS)
def test_the_first_bars_do_not_know_that_more_follow(whole, mode, cut):
    log = run(Logged, random_hours(BARS)[:cut], mode).log
    assert before(log, cut) == before(whole[str(mode)], cut)
    assert len(log) > 10


@run_modes
@pytest.mark.parametrize("cut", CUTS)
def test_an_absurd_future_changes_nothing_before_it(whole, mode, cut):
    log = run(Logged, perturbed(random_hours(BARS), cut), mode).log
    assert before(log, cut) == before(whole[str(mode)], cut)
    assert log != whole[str(mode)]


def test_all_ways_of_running_say_the_same_to_the_bit(whole):
    first, *others = whole.values()
    assert len(first) > 100
    assert all(other == first for other in others)


class Peeks(Logged):
    """A strategy with a leak: tomorrow's close, which backtrader gives away in its default mode."""

    def next(self):
        try:
            tomorrow = self.data.close[1]
        except IndexError:
            tomorrow = self.data.close[0]
        super().next()
        self.log.append((len(self) - 1, tomorrow))


@pytest.mark.parametrize("damage", ["cut", "perturbed"])
def test_both_checks_catch_a_leak_of_one_bar(damage):
    bars, cut = random_hours(BARS), 100
    changed = bars[:cut] if damage == "cut" else perturbed(bars, cut)
    honest, leaky = (run(Peeks, some, MODES[0]).log for some in (bars, changed))
    assert before(honest, cut) != before(leaky, cut)


def test_orders_execute_at_the_next_open():
    strategy = run(Logged, random_hours(BARS), MODES[0])
    opens = set(random_hours(BARS)["open"])
    fills = [entry for entry in strategy.log if len(entry) == 3]
    assert fills
    assert all(price in opens for _, price, _ in fills)
    said = dict(entry for entry in strategy.log if len(entry) == 2)
    for when, price, size in fills:  # `when` counts bars, so the deciding bar has the number two less
        _, buy, sell = said[when - 2]
        assert (size > 0) == (buy > sell)
        assert price == random_hours(BARS)["open"][when - 1]


@pytest.mark.slow
@pytest.mark.parametrize("mode", [MODES[0], {"exactbars": 1}], ids=["default", "exactbars=1"])
def test_the_articles_network_on_a_device_does_not_see_the_future(runtime, mode):
    class Article(Logged):
        params = (("history_bars", 20), ("device", runtime), ("learning_rate", 2e-4))

        def layers(self, inputs):
            return NeuroStrategy.layers(self, inputs)

    bars, cut = random_hours(400), 300
    logs = [run(Article, some, mode).log for some in (bars, bars[:cut], perturbed(bars, cut))]
    first, *others = (before(log, cut) for log in logs)
    assert len(first) > 200
    assert all(other == first for other in others)
