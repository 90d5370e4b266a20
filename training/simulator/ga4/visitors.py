"""What an export says of its visitors: pseudonym, device, place and first source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from training.simulator.ga4.schema import DEVICE, GEO, TRAFFIC_SOURCE
from training.simulator.shopping.codes import Channel
from training.simulator.shopping.records import Records

_DESKTOPS: Final = (
    ("Google", "Chrome", "Windows", "Windows 10", "Chrome", "87.0"),
    ("Google", "Chrome", "Web", "<Other>", "Chrome", "86.0"),
    ("Apple", "Safari", "Macintosh", "Macintosh Intel 10.15", "Safari", "14.0"),
    ("Mozilla", "Firefox", "Windows", "Windows 10", "Firefox", "<Other>"),
)
_PHONES: Final = (
    ("Apple", "iPhone", "iOS", "iOS 14.3", "Safari", "14.0"),
    ("Samsung", "<Other>", "Android", "Android 10", "Chrome", "87.0"),
    ("Google", "Pixel 4a", "Android", "Android 11", "Chrome", "87.0"),
)
_TABLETS: Final = (("Apple", "iPad", "iOS", "iOS 14.2", "Safari", "<Other>"),)
_TABLET_SHARE: Final = 0.06
_LANGUAGES: Final = (None, "en-us", "en-gb", "en-ca", "de", "fr", "es-es", "zh")
_LANGUAGE_SHARES: Final = (0.34, 0.42, 0.06, 0.04, 0.04, 0.04, 0.03, 0.03)
_PLACES: Final = (
    ("Americas", "Northern America", "United States", "California", "(not set)"),
    ("Americas", "Northern America", "United States", "New York", "New York"),
    ("Americas", "Northern America", "Canada", "Ontario", "Toronto"),
    ("Europe", "Northern Europe", "United Kingdom", "England", "London"),
    ("Europe", "Western Europe", "Germany", "Berlin", "Berlin"),
    ("Asia", "Southern Asia", "India", "Karnataka", "Bengaluru"),
    ("Asia", "Eastern Asia", "Taiwan", "(not set)", "(not set)"),
)
# Medium, name and source of each channel, as `traffic_source` and as event parameters.
SOURCES: Final = {
    Channel.DIRECT: ("(none)", "(direct)", "(direct)"),
    Channel.ORGANIC: ("organic", "(organic)", "google"),
    Channel.PAID: ("cpc", "spring_sale", "google"),
    Channel.REFERRAL: ("referral", "(referral)", "blog.example.org"),
    Channel.EMAIL: ("email", "newsletter", "newsletter"),
}
_OBFUSCATED: Final = (("<Other>", "<Other>", "<Other>"), ("(data deleted)",) * 3)
_OBFUSCATED_SHARE: Final = 0.12


@dataclass(frozen=True)
class Visitors:
    """Arrow arrays with one element per shopper, for the export's rows to take from."""

    pseudo_ids: pa.Array
    devices: pa.Array
    places: pa.Array
    sources: pa.Array


def describe_visitors(rng: np.random.Generator, shoppers: Records) -> Visitors:
    """Draw what can be seen of shoppers; of their traits, only the device and the channel show."""
    n = shoppers.size
    heads = rng.integers(1_000_000, 100_000_000, n)
    tails = rng.integers(1_000_000_000, 10_000_000_000, n)
    pseudo_ids = [f"{head}.{tail}" for head, tail in zip(heads, tails, strict=True)]
    places = rng.integers(0, len(_PLACES), n)
    return Visitors(
        pseudo_ids=pa.array(pseudo_ids),
        devices=_device_table().take(_devices(rng, shoppers)),
        places=pa.array([_place(place) for place in _PLACES], GEO).take(pa.array(places)),
        sources=_source_table().take(_sources(rng, shoppers)),
    )


def _devices(rng: np.random.Generator, shoppers: Records) -> pa.Array:
    """Number the rows of the device table: models in order, each in every language."""
    n = shoppers.size
    on_phone = shoppers["on_phone"] == 1
    on_tablet = ~on_phone & (rng.random(n) < _TABLET_SHARE)
    phones_from = len(_DESKTOPS)
    model = rng.integers(0, len(_DESKTOPS), n)
    model[on_phone] = phones_from + rng.integers(0, len(_PHONES), int(on_phone.sum()))
    model[on_tablet] = phones_from + len(_PHONES)
    language = rng.choice(len(_LANGUAGES), n, p=_LANGUAGE_SHARES)
    return pa.array(model * len(_LANGUAGES) + language)


def _device_table() -> pa.Array:
    classes = (("desktop", _DESKTOPS), ("mobile", _PHONES), ("tablet", _TABLETS))
    rows = [
        {
            "category": category,
            "mobile_brand_name": brand,
            "mobile_model_name": model,
            "mobile_marketing_name": "<Other>",
            "operating_system": system,
            "operating_system_version": version,
            "language": language,
            "is_limited_ad_tracking": "No",
            "web_info": {"browser": browser, "browser_version": browser_version},
        }
        for category, models in classes
        for brand, model, system, version, browser, browser_version in models
        for language in _LANGUAGES
    ]
    return pa.array(rows, DEVICE)


def _place(place: tuple[str, ...]) -> dict[str, str]:
    names = ("continent", "sub_continent", "country", "region", "city")
    return {**dict(zip(names, place, strict=True)), "metro": "(not set)"}


def _sources(rng: np.random.Generator, shoppers: Records) -> pa.Array:
    source: npt.NDArray[np.int64] = shoppers["channel"].astype(np.int64)
    hidden = rng.random(shoppers.size) < _OBFUSCATED_SHARE
    source[hidden] = len(SOURCES) + rng.integers(0, len(_OBFUSCATED), int(hidden.sum()))
    return pa.array(source)


def _source_table() -> pa.Array:
    known = [SOURCES[channel] for channel in Channel]
    rows = [dict(zip(("medium", "name", "source"), row, strict=True)) for row in known]
    rows += [dict(zip(("medium", "name", "source"), row, strict=True)) for row in _OBFUSCATED]
    return pa.array(rows, TRAFFIC_SOURCE)
