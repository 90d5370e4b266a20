"""Fold an event log again and compare every score in it with what its bundle says now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError
from rich.table import Table

from micromoment.errors import BundleError, InvalidDataError
from micromoment.events.proto_codec import OutsideContractError
from micromoment.features.families import assignment
from micromoment.recovery import fold_logged
from micromoment.scoring.bundle import load_bundle
from micromoment.scoring.calls import Score, ScoreCall, SessionKey
from micromoment.scoring.scorer import Scored, Scorer
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.bundles import find_bundle
from micromoment.stores.log_rows import LoggedVisit, RowKind, score_call
from micromoment.v1 import log_pb2 as pb
from training.parity.logged_fields import SETTLED, differences
from training.progress import Advance

MAX_SHOWN: Final = 10
MAX_KEPT: Final = 1_000
_MAX_USER_AGE_US: Final = 3 * 86_400_000_000  # what is stale is a server's setting: not compared
_ASSIGNED: Final = tuple(field[0] for field in assignment.STATE_FIELDS)


@dataclass(frozen=True, slots=True)
class LogMismatch:
    """One logged value that differs: which row, which answer, in what, and how."""

    position: int
    score_id: str
    field: str
    logged: str
    replayed: str


@dataclass
class LogParityReport:
    """What was folded again, what was compared, and what differed.

    `unscored` calls were only folded, or their answers are not of the sample. `gone` counts by tag
    the answers of bundles that the store no longer has. `brought_back` counts sessions that a
    server had folded again from its log: what it had settled of them was begun anew.
    """

    calls: int = 0
    events: int = 0
    compared: int = 0
    vectors: int = 0
    unscored: int = 0
    sessions: int = 0
    gap_sessions: int = 0
    begun_before: int = 0
    brought_back: int = 0
    bundles: Counter[str] = field(default_factory=Counter)
    gone: Counter[str] = field(default_factory=Counter)
    differing: int = 0
    mismatches: list[LogMismatch] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """True when something was compared and nothing differed."""
        return self.compared > 0 and not self.differing

    def table(self) -> Table:
        """Show the report for people."""
        table = Table("log parity", "", title=None)
        for name, count in (
            ("calls", self.calls),
            ("events", self.events),
            ("sessions", self.sessions),
            ("scores compared", self.compared),
            ("feature vectors compared", self.vectors),
            ("without a score", self.unscored),
            ("sessions left out for gaps", self.gap_sessions),
            ("sessions begun before the log", self.begun_before),
            ("sessions brought back", self.brought_back),
            ("scores of bundles gone", self.gone.total()),
            ("mismatches", self.differing),
        ):
            table.add_row(name, f"{count:,}")
        for tag, count in self.gone.most_common():
            table.add_row(f"not in the store: {tag}", f"{count:,}")
        for one in self.mismatches[:MAX_SHOWN]:
            place = f"row {one.position} {one.score_id}"
            table.add_row(place, f"{one.field}: {one.logged} != {one.replayed}")
        return table


def check_log(
    visits: Iterable[LoggedVisit],
    store: Path,
    *,
    sabotage: bool = False,
    advance: Advance = lambda _: None,
) -> LogParityReport:
    """Compare the scores of a log, given in order of arrival, with those of the bundles in `store`.

    With `sabotage` one value of the first score is changed on the way. Raises `InvalidDataError`
    for a call that can't be read.
    """
    replay = _LogReplay(store, sabotage=sabotage)
    for visit in visits:
        replay.take(visit)
        advance(1)
    return replay.report


@dataclass(slots=True)
class _Session:
    entry: SessionEntry
    is_settled: bool = True  # what it was assigned to is known


class _LogReplay:
    def __init__(self, store: Path, *, sabotage: bool) -> None:
        self._store = store
        self._sabotage = sabotage
        self._sessions: dict[SessionKey, _Session] = {}
        # Of these the log lacks events, until they begin anew.
        self._left_out: set[SessionKey] = set()
        self._scorers: dict[str, Scorer | None] = {}
        self.report = LogParityReport()

    def take(self, visit: LoggedVisit) -> None:
        if visit.kind == RowKind.GAP:
            self._gap(visit)
            return
        try:
            logged = visit.call()
            call = score_call(visit, logged)
        except (DecodeError, OutsideContractError) as error:
            raise InvalidDataError(f"event log, row {visit.position}", str(error)) from None
        self.report.calls += 1
        self.report.events += len(call.event_ids)
        if visit.kind == RowKind.BEGAN:
            self._left_out.discard(visit.key)
            self._sessions.pop(visit.key, None)
            self.report.sessions += 1
        elif visit.key in self._left_out:
            return
        elif visit.key not in self._sessions:
            self._left_out.add(visit.key)
            self.report.begun_before += 1
            return
        self._replay(visit, logged, call)

    def _gap(self, visit: LoggedVisit) -> None:
        keys = [visit.key] if visit.session_id else list(self._sessions)
        for key in keys:
            self.report.gap_sessions += key not in self._left_out
            self._left_out.add(key)
            self._sessions.pop(key, None)

    def _replay(self, visit: LoggedVisit, logged: pb.LoggedCall, call: ScoreCall) -> None:
        session = self._sessions.get(visit.key)
        entry = session.entry if session else None
        is_settled = session is None or session.is_settled
        scorer = self._scorer(logged.bundle) if logged.HasField("score") else None
        folded: SessionEntry | None
        if scorer is None:
            folded = fold_logged(entry, call, logged, lost=logged.lost)
            if logged.HasField("score"):
                self.report.gone[logged.bundle] += 1
                is_settled = False
            else:
                self.report.unscored += 1
        else:
            scored = self._compare(visit, logged, call, entry, scorer, is_settled=is_settled)
            folded = scored.entry or entry
        if folded is not None:
            self._sessions[visit.key] = _Session(folded, is_settled)

    def _compare(
        self,
        visit: LoggedVisit,
        logged: pb.LoggedCall,
        call: ScoreCall,
        entry: SessionEntry | None,
        scorer: Scorer,
        *,
        is_settled: bool,
    ) -> Scored:
        report = self.report
        report.compared += 1
        report.vectors += bool(logged.score.features)
        report.bundles[logged.bundle] += 1
        scored = scorer.score(call, entry, lost=logged.lost)
        self._spoil(scored.score)
        names = scorer.bundle.feature_names
        found = differences(logged.score, scored.score, names)
        if not is_settled:
            found = [one for one in found if one[0] not in SETTLED]
        elif found and entry is not None and {one[0] for one in found} <= SETTLED:
            anew = scorer.score(call, _assigned_anew(entry), lost=logged.lost)
            if not differences(logged.score, anew.score, names):
                report.brought_back += 1
                return anew
        if found:
            report.differing += len(found)
            place = visit.position, logged.score.score_id
            room = MAX_KEPT - len(report.mismatches)
            report.mismatches += [LogMismatch(*place, *one) for one in found[:room]]
        return scored

    def _scorer(self, tag: str) -> Scorer | None:
        if tag not in self._scorers:
            try:
                bundle = load_bundle(find_bundle(self._store, tag))
                self._scorers[tag] = Scorer(bundle, max_user_feature_age_us=_MAX_USER_AGE_US)
            except BundleError:
                self._scorers[tag] = None
        return self._scorers[tag]

    def _spoil(self, score: Score) -> None:
        if self._sabotage:
            self._sabotage = False
            bits = score.features.view("uint32")
            bits[0] ^= 1
            if score.conversion is not None:
                score.conversion = score.conversion / 2


def _assigned_anew(entry: SessionEntry) -> SessionEntry:
    state = entry.state.copy()
    for name in _ASSIGNED:
        state[0][name] = 0
    return SessionEntry.of(state, entry.last_event_id)
