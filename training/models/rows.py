"""Decision points as arrays: what every model is fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from micromoment.errors import NotEnoughDataError

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class DecisionRows:
    """n decision points before the order, in any order.

    `features` is (n, f) float32, C-contiguous, NaN where missing. The other arrays are (n,):
    `events_seen` from 1, `session` one code per visit (session id and epoch), `visitor` one per
    visitor, `day` the ordinal of the shop's day. Raises `ValueError` for shapes or types that
    differ.
    """

    features: npt.NDArray[np.float32]
    feature_names: tuple[str, ...]
    label: BoolArray
    events_seen: IntArray
    session: IntArray
    visitor: IntArray
    day: IntArray

    def __post_init__(self) -> None:
        n = len(self.label)
        if self.features.dtype != np.float32 or not self.features.flags.c_contiguous:
            raise ValueError("features must be float32 and C-contiguous")
        if self.features.shape != (n, len(self.feature_names)):
            wanted = (n, len(self.feature_names))
            raise ValueError(f"features have shape {self.features.shape}, not {wanted}")
        if self.label.dtype != np.bool_:
            raise ValueError(f"label is {self.label.dtype}, not bool")
        for name in ("events_seen", "session", "visitor", "day"):
            shape = getattr(self, name).shape
            if shape != (n,):
                raise ValueError(f"{name} has shape {shape}, not {(n,)}")
        if n and int(self.events_seen.min()) < 1:
            raise ValueError("events_seen counts from 1")

    def __len__(self) -> int:
        return len(self.label)

    def take(self, which: BoolArray | IntArray) -> DecisionRows:
        """Give the rows that a mask or an index array names."""
        return DecisionRows(
            features=np.ascontiguousarray(self.features[which]),
            feature_names=self.feature_names,
            label=self.label[which],
            events_seen=self.events_seen[which],
            session=self.session[which],
            visitor=self.visitor[which],
            day=self.day[which],
        )

    def only(self, names: tuple[str, ...]) -> DecisionRows:
        """Keep the named features, in their order. A missing one raises `KeyError`."""
        kept = np.ascontiguousarray(self.columns(names))
        return replace(self, features=kept, feature_names=names)

    def columns(self, names: tuple[str, ...]) -> npt.NDArray[np.float32]:
        """Give the named features, shape (n, len(names)). A missing one raises `KeyError`."""
        places = {name: place for place, name in enumerate(self.feature_names)}
        return self.features[:, [places[name] for name in names]]

    @property
    def buyers(self) -> int:
        """The number of visits with an order still to come."""
        return len(np.unique(self.session[self.label]))

    def require_both_outcomes(self, purpose: str) -> None:
        """Raise `NotEnoughDataError` unless some visits buy and some don't."""
        buyers = int(self.label.sum())
        if not 0 < buyers < len(self):
            raise NotEnoughDataError(
                f"{purpose}: {buyers} of {len(self)} decision points precede a purchase;"
                " some that do and some that don't are needed"
            )


def join_rows(rows: Sequence[DecisionRows]) -> DecisionRows:
    """Put rows of the same features one after the other. Needs one at least."""
    return DecisionRows(
        features=np.concatenate([one.features for one in rows]),
        feature_names=rows[0].feature_names,
        **{
            name: np.concatenate([getattr(one, name) for one in rows])
            for name in ("label", "events_seen", "session", "visitor", "day")
        },
    )
