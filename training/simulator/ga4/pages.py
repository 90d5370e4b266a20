"""Addresses and titles of the shop's pages."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from training.simulator.shopping.catalogue import CATEGORIES, Catalogue
from training.simulator.shopping.codes import N_SHELVES, SALE_SHELF, Page
from training.simulator.shopping.records import Records

_HOST: Final = "https://shop.example.com"
_SHOP_NAME: Final = "Simulated Merchandise Store"
_FIXED: Final = {
    Page.HOME: ("/store.html", "Home"),
    Page.SHELF: ("", ""),
    Page.SEARCH: ("/asearch.html", "Store search results"),
    Page.ITEM: ("", ""),
    Page.SHIPPING: ("/store-policies/shipping-information/", "Shipping Information"),
    Page.RETURNS: ("/store-policies/return-policy/", "Return Policy"),
    Page.CART: ("/basket.html", "Shopping Cart"),
    Page.ADDRESS: ("/yourinfo.html", "Checkout Your Information"),
    Page.PAYMENT: ("/payment.html", "Payment Method"),
    Page.CONFIRMATION: ("/ordercompleted.html", "Checkout Confirmation"),
}


def page_numbers(rows: Records) -> npt.NDArray[np.int64]:
    """Number the page of each row, shape (n,): the pages of the code, then shelves, then items."""
    page = rows["page"].astype(np.int64)
    page = np.where(rows["page"] == Page.SHELF, len(Page) + rows["shelf"], page)
    return np.where(rows["page"] == Page.ITEM, len(Page) + N_SHELVES + rows["item"], page)


def page_names(catalogue: Catalogue) -> tuple[pa.Array, pa.Array]:
    """Give the addresses and the titles of all pages, in the order of `page_numbers`."""
    pages = [_FIXED[page] for page in Page]
    pages += [_shelf_page(shelf) for shelf in range(N_SHELVES)]
    pages += [_item_page(catalogue, item) for item in range(catalogue.n_items)]
    return (
        pa.array([_HOST + path for path, _ in pages]),
        pa.array([title for _, title in pages]),
    )


def shelf_name(shelf: int) -> str:
    """Name a shelf; those of the search have the name of their category."""
    if shelf == SALE_SHELF:
        return "Sale"
    return CATEGORIES[shelf if shelf < SALE_SHELF else shelf - SALE_SHELF - 1]


def _shelf_page(shelf: int) -> tuple[str, str]:
    name = shelf_name(shelf)
    path = "/clearance" if shelf == SALE_SHELF else f"/categories/{name.lower()}"
    return path, f"{name} | {_SHOP_NAME}"


def _item_page(catalogue: Catalogue, item: int) -> tuple[str, str]:
    name = catalogue.names[item]
    category = CATEGORIES[catalogue.shop.category[item]].lower()
    return f"/products/{category}/{name.replace(' ', '+')}", name
