from __future__ import annotations

from micromoment.events.vocabulary import EventType, names
from training.importers.ga4_names import UNNAMED_TIE_RANK, ga4_events


def test_every_name_has_a_canonical_type_and_its_own_rank() -> None:
    """Each GA4 name maps to a type of the vocabulary, and no two share a rank."""
    found = list(ga4_events())
    assert {kind for _, kind, _ in found} <= set(names(EventType))
    assert len({name for name, _, _ in found}) == len(found)
    assert len({rank for _, _, rank in found} | {UNNAMED_TIE_RANK}) == len(found) + 1


def test_the_names_of_the_domain_have_their_types() -> None:
    """Names whose type isn't evident map as documented."""
    types = {name: kind for name, kind, _ in ga4_events()}
    expected = {
        "user_engagement": "engagement",
        "first_visit": "session_start",
        "click": "link_click",
        "view_promotion": "promo_view",
        "select_promotion": "promo_click",
        "view_item_list": "list_view",
        "select_item": "item_click",
        "search": "search",
        "view_search_results": "search",
        "add_shipping_info": "checkout_step",
        "add_payment_info": "payment_info",
        "begin_checkout": "checkout_start",
        "file_download": "download",
        "login": "identify",
        "sign_up": "identify",
        "add_to_wishlist": "wishlist_add",
        "remove_from_cart": "cart_remove",
        "view_cart": "cart_view",
        "share": "share",
        "refund": "refund",
        "form_start": "form_start",
        "form_submit": "form_submit",
        "video_start": "video_start",
        "video_progress": "video_progress",
    }
    assert {name: types[name] for name in expected} == expected
