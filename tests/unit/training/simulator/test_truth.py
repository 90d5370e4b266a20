import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import roc_auc_score

from micromoment.errors import InvalidSettingError
from training.simulator import DecisionPoints, SimulatedShop, true_conversion
from training.simulator.shopping.choices import FREE_SHIPPING_FROM
from training.simulator.shopping.codes import Page


def surplus(
    probabilities: npt.NDArray[np.float64], outcomes: npt.NDArray[np.bool_], n_rollouts: int
) -> float:
    """Conversions beyond the expected ones, in standard errors; one point per session at most."""
    variance = (probabilities * (1 - probabilities)).sum() * (1 + 1 / n_rollouts)
    return float((outcomes.sum() - probabilities.sum()) / np.sqrt(max(variance, 1.0)))


def one_per_session(points: DecisionPoints, wanted: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """First place of each session among the wanted points."""
    places = np.flatnonzero(wanted)
    _, first = np.unique(points.session[places], return_index=True)
    return places[first]


@pytest.fixture(scope="module")
def late_truth(
    shop: SimulatedShop, points: DecisionPoints
) -> tuple[DecisionPoints, npt.NDArray[np.float64]]:
    """The points of every session's fifth batch, with their truth."""
    late = points.take(points.step == 5)
    return late, true_conversion(shop, late, 200)


def test_truth_is_calibrated_at_the_landing(shop: SimulatedShop, points: DecisionPoints) -> None:
    """Over all first decision points the mean truth is the observed conversion."""
    first = points.take(points.step == 1)
    truth = true_conversion(shop, first, 60)
    assert len(first) > 8_000
    assert abs(surplus(truth, first.converts, 60)) < 3


def test_truth_is_calibrated_in_every_bin(
    late_truth: tuple[DecisionPoints, npt.NDArray[np.float64]],
) -> None:
    """Within bins of the truth, conversions come as often as it says."""
    late, truth = late_truth
    bins = np.digitize(truth, [0.01, 0.03, 0.1, 0.3])
    for number in range(5):
        inside = bins == number
        assert inside.sum() >= 20
        assert abs(surplus(truth[inside], late.converts[inside], 200)) < 3.5


def test_truth_tells_more_than_chance_and_less_than_all(
    late_truth: tuple[DecisionPoints, npt.NDArray[np.float64]],
) -> None:
    """After five batches even the hidden state leaves much open."""
    late, truth = late_truth
    assert 0.8 < roc_auc_score(late.converts, truth) < 0.93


def test_truth_is_high_just_before_an_order(shop: SimulatedShop, points: DecisionPoints) -> None:
    """At the last decision point of converting sessions the probability is high."""
    last = np.flatnonzero(np.append(np.diff(points.session) != 0, True))
    before_order = points.take(last[points.converts[last]])
    truth = true_conversion(shop, before_order, 100)
    assert truth.mean() > 0.6
    assert (truth > 0).all()


def test_shipping_terms_cut_both_ways(shop: SimulatedShop, points: DecisionPoints) -> None:
    """The shipping page raises the truth with a full cart and lowers it with a small one."""
    rows = shop.rows
    value = np.where(
        np.arange(rows["cart_items"].shape[1]) < rows["cart_lines"][:, None],
        shop.catalogue.shop.price[rows["cart_items"]] * rows["cart_quantities"],
        0.0,
    ).sum(axis=1)
    seen = (rows["page"] == Page.SHIPPING) & (value > 0)
    cart = dict(
        zip(
            zip(rows["session"][seen].tolist(), rows["step"][seen].tolist(), strict=True),
            value[seen].tolist(),
            strict=True,
        )
    )
    keys = list(zip(points.session.tolist(), points.step.tolist(), strict=True))
    after = np.array([key in cart and (key[0], key[1] - 1) not in cart for key in keys])
    after &= points.step > 1
    places = one_per_session(points, after)
    change = true_conversion(shop, points.take(places), 100) - true_conversion(
        shop, points.take(places - 1), 100
    )
    full = np.array([cart[keys[place]] >= FREE_SHIPPING_FROM for place in places])
    assert change[full].mean() > 0.02
    assert change[~full].mean() < -0.02


def test_a_point_has_one_truth(shop: SimulatedShop, points: DecisionPoints) -> None:
    """The truth of a point is the same again, alone or among others."""
    some = points.take(np.arange(0, len(points), 97))
    truth = true_conversion(shop, some, 30)
    assert (true_conversion(shop, some, 30) == truth).all()
    alone = some.take(np.array([5]))
    assert true_conversion(shop, alone, 30)[0] == truth[5]


def test_roll_outs_are_needed(shop: SimulatedShop, points: DecisionPoints) -> None:
    """No roll-outs, no truth: the error names the setting."""
    with pytest.raises(InvalidSettingError, match="n_rollouts"):
        true_conversion(shop, points.take(np.array([0])), 0)
