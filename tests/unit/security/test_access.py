"""Who is let in, by the token that a call brings."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path

import pytest
from google.protobuf import descriptor_pool

from micromoment.errors import PermissionDeniedError, UnauthenticatedError
from micromoment.security.access import ROLES, Access, needs_of
from micromoment.security.callers import ANYBODY, CALLER, Caller, Role, current_tenant
from micromoment.security.credentials import digest_of
from micromoment.v1 import events_pb2, models_pb2, scoring_pb2

SCORING = needs_of("micromoment.v1.ScoringService")
PROTOS = Path(__file__).parents[3] / "protos"


class Known:
    """A few callers, judged at a time that can be set."""

    def __init__(self) -> None:
        self.now = 100.0
        self.denied: list[str] = []
        self.callers: dict[bytes, Caller] = {}
        self.access = Access(lambda: self.callers, self.denied.append, lambda: self.now)

    def add(self, token: str, tenant: str, *roles: Role, expires: float = math.inf) -> None:
        """Add a token and whose it is."""
        digest = digest_of(token)
        self.callers[digest] = Caller(tenant, frozenset(roles), digest, expires)


@pytest.fixture
def known() -> Iterator[Known]:
    """One of each kind; whose call is under way is forgotten afterwards."""
    one = Known()
    one.add("good", "shop-a", Role.SCORE)
    one.add("ends", "shop-b", Role.SCORE, expires=200.0)
    one.add("operator", "shop-a", Role.ADMIN)
    before = CALLER.set(ANYBODY)
    yield one
    CALLER.reset(before)


def bearer(token: str) -> list[tuple[str, str | bytes]]:
    """Give the header."""
    return [("user-agent", "x"), ("authorization", f"Bearer {token}")]


@pytest.mark.parametrize(
    "metadata",
    [bearer("good"), [("authorization", "bearer good")], [("x-api-key", " good ")]],
)
def test_a_caller_is_known_by_its_token(
    known: Known, metadata: list[tuple[str, str | bytes]]
) -> None:
    """Its tenant is that of the task from then on, and of tasks that it starts."""
    known.access.admit(SCORING, metadata)
    assert current_tenant() == "shop-a"
    assert copy_context().run(current_tenant) == "shop-a"
    assert known.denied == []


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ([], "no_token"),
        ([("authorization", "Bearer ")], "no_token"),
        ([("authorization", "Basic good")], "no_token"),
        ([("authorization", b"Bearer good")], "no_token"),
        (bearer("bad"), "unknown_token"),
        ([*bearer("good"), ("x-api-key", "bad")], None),
        ([*bearer("bad"), ("x-api-key", "good")], "unknown_token"),
    ],
)
def test_others_are_not_let_in(
    known: Known, metadata: list[tuple[str, str | bytes]], reason: str | None
) -> None:
    """They are told alike, and counted by what was wrong; `authorization` goes first."""
    if reason is None:
        known.access.admit(SCORING, metadata)
        return
    with pytest.raises(UnauthenticatedError) as caught:
        known.access.admit(SCORING, metadata)
    assert str(caught.value) == str(UnauthenticatedError())
    assert known.denied == [reason]
    assert CALLER.get() is ANYBODY


def test_a_token_ends(known: Known) -> None:
    """It is good until its end and not at it."""
    known.now = 199.9
    known.access.admit(SCORING, bearer("ends"))
    known.access.check_again()
    known.now = 200.0
    for again in (known.access.check_again, lambda: known.access.admit(SCORING, bearer("ends"))):
        with pytest.raises(UnauthenticatedError):
            again()
    assert known.denied == ["expired_token"] * 2


def test_a_call_that_goes_on_is_judged_again(known: Known) -> None:
    """A token that was taken out, or whose entry changed, holds no longer."""
    known.access.admit(SCORING, bearer("good"))
    known.add("good", "shop-b", Role.SCORE)
    with pytest.raises(UnauthenticatedError):
        known.access.check_again()
    del known.callers[digest_of("good")]
    with pytest.raises(UnauthenticatedError):
        known.access.check_again()


def test_a_role_is_asked_for(known: Known) -> None:
    """A valid token without it is refused by the role's name; reflection takes any."""
    models = needs_of("micromoment.v1.ModelService")
    with pytest.raises(PermissionDeniedError, match="lacks the role admin"):
        known.access.admit(models, bearer("good"))
    with pytest.raises(PermissionDeniedError, match="lacks the role score"):
        known.access.admit(SCORING, bearer("operator"))
    known.access.admit(models, bearer("operator"))
    known.access.admit(needs_of("grpc.reflection.v1alpha.ServerReflection"), bearer("operator"))
    assert known.denied == ["role", "role"]


def test_a_service_without_a_line_lets_nobody_in(known: Known) -> None:
    """Forgetting one closes it."""
    known.add("all", "shop-a", *Role)
    with pytest.raises(PermissionDeniedError):
        known.access.admit(needs_of("micromoment.v1.NewService"), bearer("all"))


def test_every_service_of_the_contract_has_a_line() -> None:
    """And each line has a service."""
    assert {events_pb2, models_pb2, scoring_pb2}  # loads them
    pool = descriptor_pool.Default()
    names: set[str] = set()
    for path in PROTOS.rglob("*.proto"):
        file = pool.FindFileByName(str(path.relative_to(PROTOS)))
        names |= {one.full_name for one in file.services_by_name.values()}
    assert names == set(ROLES)
