from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from micromoment.errors import InvalidDataError
from training.importers.page_rules import PageRules, load_page_rules


def _page_type(rules: PageRules, path: str | None, title: str | None = None) -> str | None:
    columns = "(SELECT $1::TEXT AS path, $2::TEXT AS title)"
    query = f"SELECT {rules.page_type('path', 'title')} FROM {columns}"  # noqa: S608 - own rules
    ((found,),) = duckdb.execute(query, [path, title]).fetchall()
    assert found is None or isinstance(found, str)
    return found


@pytest.fixture(scope="module")
def general() -> PageRules:
    """Give the rules that come with the importer."""
    return load_page_rules()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "home"),
        ("/store.html", "home"),
        ("/en-gb", "home"),
        ("/index.php", "home"),
        ("/basket.html", "cart"),
        ("/cart", "cart"),
        ("/checkout/cart", "cart"),
        ("/de/warenkorb", "cart"),
        ("/bag", "cart"),
        ("/checkout", "checkout"),
        ("/checkout/onepage", "checkout"),
        ("/yourinfo.html", "checkout"),
        ("/payment.html", "checkout"),
        ("/shipping.html", "checkout"),
        ("/revieworder.html", "checkout"),
        ("/ordercompleted.html", "confirmation"),
        ("/order-confirmation", "confirmation"),
        ("/checkout/onepage/success", "confirmation"),
        ("/checkout/order-received/4711", "confirmation"),
        ("/12345/checkouts/ab12/thank_you", "confirmation"),
        ("/thank-you", "confirmation"),
        ("/newsletter/thank-you", "content"),
        ("/asearch.html", "search"),
        ("/catalogsearch/result", "search"),
        ("/signin.html", "account"),
        ("/register.html", "account"),
        ("/registersuccess.html", "account"),
        ("/my-account/orders", "account"),
        ("/wishlist.html", "account"),
        ("/store-policies/return-policy", "policy"),
        ("/store-policies/shipping-information", "policy"),
        ("/pages/shipping", "policy"),
        ("/faq", "policy"),
        ("/help/payment-methods", "policy"),
        ("/terms", "policy"),
        ("/404.html", "error"),
        ("/products/blue-socks", "item"),
        ("/collections/socks/products/blue-socks", "item"),
        ("/p/1234", "item"),
        ("/item/1234", "item"),
        ("/collections/socks", "list"),
        ("/category/socks", "list"),
        ("/c/socks", "list"),
        ("/products", "list"),
        ("/clearance", "list"),
        ("/blog/how-to-wash-socks", "content"),
        ("/lifestyle/bags", None),
        ("/garden/red+cart+small", None),
        ("/thank-you-card", None),
        ("/product-help-desk", None),
        (None, None),
    ],
)
def test_general_paths(general: PageRules, path: str | None, expected: str | None) -> None:
    """The general rules know the paths of usual shops and leave others alone."""
    assert _page_type(general, path, "Store") == expected


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Checkout Confirmation", "confirmation"),
        ("Thank you for your order!", "confirmation"),
        ("Order confirmed | Shop", "confirmation"),
        ("Page Unavailable", "error"),
        ("404 - not here", "error"),
        ("Shopping Cart", "cart"),
        ("Checkout Your Information", "checkout"),
        ("Store search results", "search"),
        ("The Shop - Log In", "account"),
        ("Frequently Asked Questions", "policy"),
        ("Thank You Card, Blue", None),
        ("Cart for a garden", None),
    ],
)
def test_general_titles(general: PageRules, title: str, expected: str | None) -> None:
    """Where the path says nothing, the title does, without regard to case."""
    assert _page_type(general, "/x1", title) == expected
    assert _page_type(general, None, title.upper()) == expected


def test_own_rules_come_first(tmp_path: Path) -> None:
    """A shop's own rules are asked before the general ones, in their order."""
    own = tmp_path / "rules.yaml"
    own.write_text(
        "rules:\n"
        "  - page_type: item\n    path: '^/cart/special$'\n"
        "  - page_type: list\n    title: ['\\| It''s Shop$']\n"
    )
    rules = load_page_rules(own)
    assert _page_type(rules, "/cart/special", "Cart | It's Shop") == "item"
    assert _page_type(rules, "/socks", "Socks | It's shop") == "list"
    assert _page_type(rules, "/cart", "Cart") == "cart"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("rules: [", "isn't YAML"),
        ("- a", "must hold one key, rules"),
        ("rules: 3", "rules must be a list"),
        ("rules: [{page_type: home}]", "rule 1: has neither path nor title"),
        ("rules: [{page_type: shop, path: a}]", "rule 1: page_type must be one of account"),
        ("rules: [{page_type: unspecified, path: a}]", "rule 1: page_type must be one of"),
        ("rules: [{page_type: [home], path: a}]", "rule 1: page_type must be one of"),
        ("rules: [{page_type: home, path: a, url: b}]", "rule 1: must hold page_type and"),
        ("rules: [{page_type: home, path: {a: b}}]", "rule 1: path must be a list"),
        ("rules: [{page_type: home, title: '('}]", r"rule 1: title '\(':"),
    ],
)
def test_rules_that_cant_be_used_are_named(tmp_path: Path, content: str, message: str) -> None:
    """A mistake in a rules file is reported with the file and the rule's number."""
    own = tmp_path / "rules.yaml"
    own.write_text(content)
    with pytest.raises(InvalidDataError, match=rf"rules\.yaml: {message}"):
        load_page_rules(own)


def test_a_missing_rules_file_is_named(tmp_path: Path) -> None:
    """A rules file that doesn't exist is an error that names it."""
    with pytest.raises(InvalidDataError, match=r"none\.yaml: can't be read"):
        load_page_rules(tmp_path / "none.yaml")
