"""How to add a feature, told by one that exists: the last part of the page of documentation.

Its code blocks are quoted from the files that it names; a test fails where they are not.
"""

from typing import Final

ADDING_A_FEATURE: Final = """\
## Adding a feature

A feature belongs to one family, `src/micromoment/features/families/<family>.py`, and as a rule no
other code changes. This is how `coupon_applied` came into the checkout family: a coupon was applied
and not removed.

**1. State.** What must be remembered between events is a field of `STATE_FIELDS`, in the smallest
type that holds it, beside others of its size so that alignment wastes nothing. Fields begin as 0.
In `src/micromoment/features/families/checkout.py`:

```python
("n_coupons", "u1")
```

**2. Catalogue.** The entry in `FEATURES` gives name, unit and meaning, and says when the feature is
missing; counts and facts never are. `group` is that of features which say much the same, or a new
id, and `says` words the value for `reasons` (`wording.py` has the forms). Its place there is its
place in the vector. In `src/micromoment/features/families/checkout.py`:

```python
FeatureSpec(
    "coupon_applied",
    "0/1",
    "a coupon was applied and not removed",
    group="coupons",
    says=wording.fact("No coupon applied", "Coupon applied"),
)
```

**3. Observe.** `observe` folds one event into the state. It is compiled: it takes numbers, so words
of the vocabulary become constants of the module (`_COUPON_APPLY = int(EventType.COUPON_APPLY)`). It
reads the event and the feature time that it is given, never a clock, and a counter that can
overflow its type stops before. In `src/micromoment/features/families/checkout.py`:

```python
if kind == _COUPON_APPLY:
    if state["n_coupons"] < _BYTE_CAP:
        state["n_coupons"] += 1
elif kind == _COUPON_REMOVE:
    if state["n_coupons"] > 0:
        state["n_coupons"] -= 1
```

**4. Describe.** `describe` writes the value, or `np.nan` where it is missing, whatever `out` held
before. What was learned from data comes from `Tables`, not from the state, so that a live session
outlasts a change of bundle. In `src/micromoment/features/families/checkout.py`:

```python
out["coupon_applied"] = 1.0 if state["n_coupons"] > 0 else 0.0
```

**5. Test.** A visit of a few events and the value worked out by hand, the borders included. In
`tests/unit/features/test_checkout.py`:

```python
def test_coupons() -> None:
    \"""A coupon is applied until it is removed; of two, removing one leaves one.\"""
    apply, remove = EventType.COUPON_APPLY, EventType.COUPON_REMOVE
    assert features_of(steps(EventType.COUPON_ENTER))["coupon_applied"] == 0
    assert features_of(steps(apply))["coupon_applied"] == 1
    assert features_of(steps(apply, remove))["coupon_applied"] == 0
    assert features_of(steps(apply, apply, remove))["coupon_applied"] == 1
    assert features_of(steps(remove, apply))["coupon_applied"] == 1
```

The property tests try the new feature without being told of it: finite or the documented NaN after
any sequence of events, equal however a visit is cut into requests, equal compiled and interpreted.

**6. Versions.** What is stored or trained must not be read as something else.

| change | what to do | what follows |
| --- | --- | --- |
| a feature more | nothing | earlier bundles still load; the next training takes it up |
| a feature means something else | raise its entry's `version` | earlier bundles are refused |
| a feature fewer, or renamed | nothing | bundles that use it are refused |
| another state field, or place of one | raise `STATE_VERSION` | visits under way begin anew |

Where `STATE_VERSION` was raised (`state.py`), the new layout is written by

    python -m micromoment.features.layout > tests/unit/features/state_layout_v<STATE_VERSION>.txt

and may have 2,560 bytes at most. A version that was never released need not be raised again.
A new table in `Tables` is one that earlier bundles lack: they are refused.

**7. Page and proof.** Write this page anew, run the tests of the features, and compare a server
with a replay on real events, to the last bit:

    python -m micromoment.features.page > docs/features.md
    python -m pytest tests/unit/features tests/property
    micromoment parity --bundle shop:latest --events data/events

Whether the feature is worth its place, `micromoment train` and `micromoment evaluate` tell. A
family of its own is one module more, named in `catalogue.py`, `state.py` and `reducer.py`.
"""
