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
from micromoment.recovery import fold_logged
from micromoment.scoring.bundle import load_bundle
from micromoment.scoring.calls import Score, ScoreCall, SessionKey
from micromoment.scoring.scorer import Scorer
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.bundles import find_bundle
from micromoment.stores.log_rows import LoggedVisit, RowKind, score_call, standing_of
from micromoment.v1 import log_pb2 as pb
from training.parity.logged_fields import differences
from training.progress import Advance

MAX_SHOWN: Final = 10
MAX_KEPT: Final = 1_000
_HOUR_US: Final = 3_600_000_000
_UNDER_WAY_US: Final = _HOUR_US // 2
# Between looks for sessions that are over, and how long one is silent by then.
_SWEEP_CALLS: Final = 100_000
_OVER_US: Final = 48 * _HOUR_US
_MAX_USER_AGE_US: Final = 3 * 86_400_000_000  # what is stale is a server's setting: not compared


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
    the answers of bundles that the store no longer has.
    """

    calls: int = 0
    events: int = 0
    compared: int = 0
    vectors: int = 0
    unscored: int = 0
    sessions: int = 0
    gap_sessions: int = 0
    begun_before: int = 0
    erased: int = 0
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
            ("rows erased", self.erased),
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
    called_us: int


class _LogReplay:
    def __init__(self, store: Path, *, sabotage: bool) -> None:
        self._store = store
        self._sabotage = sabotage
        self._sessions: dict[SessionKey, _Session] = {}
        # Of these the log lacks events, until they begin anew.
        self._left_out: set[SessionKey] = set()
        self._scorers: dict[str, Scorer | None] = {}
        self._last_us = 0
        self.report = LogParityReport()

    def take(self, visit: LoggedVisit) -> None:
        if visit.kind == RowKind.GAP:
            self._gap(visit)
            return
        if visit.kind == RowKind.ERASED:
            self.report.erased += 1
            self._sessions.pop(visit.key, None)
            return
        try:
            logged = visit.call()
            call = score_call(visit, logged)
        except (DecodeError, OutsideContractError) as error:
            raise InvalidDataError(f"event log, row {visit.position}", str(error)) from None
        self._last_us = visit.received_time_us
        self.report.calls += 1
        if self.report.calls % _SWEEP_CALLS == 0:
            self._forget_over()
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
        if visit.session_id:
            self.report.gap_sessions += visit.key not in self._left_out
            keys = [visit.key]
        else:
            # Most of those in memory are over; whoever was called of late may lack events.
            late = self._last_us - _UNDER_WAY_US
            self.report.gap_sessions += sum(
                one.called_us >= late for one in self._sessions.values()
            )
            keys = list(self._sessions)
        for key in keys:
            self._left_out.add(key)
            self._sessions.pop(key, None)

    def _forget_over(self) -> None:
        early = self._last_us - _OVER_US
        for key in [key for key, one in self._sessions.items() if one.called_us < early]:
            del self._sessions[key]

    def _replay(self, visit: LoggedVisit, logged: pb.LoggedCall, call: ScoreCall) -> None:
        known = self._sessions.get(visit.key)
        entry = known.entry if known else None
        scorer = self._scorer(logged.bundle) if logged.HasField("score") else None
        folded: SessionEntry | None
        if scorer is not None:
            folded = self._compare(visit, logged, call, entry, scorer)
        else:
            folded = fold_logged(entry, call, logged, lost=logged.lost)
            if logged.HasField("score"):
                self.report.gone[logged.bundle] += 1
            else:
                self.report.unscored += 1
        if folded is not None:
            self._sessions[visit.key] = _Session(folded, visit.received_time_us)

    def _compare(
        self,
        visit: LoggedVisit,
        logged: pb.LoggedCall,
        call: ScoreCall,
        entry: SessionEntry | None,
        scorer: Scorer,
    ) -> SessionEntry | None:
        report = self.report
        report.compared += 1
        report.vectors += bool(logged.score.features)
        report.bundles[logged.bundle] += 1
        scored = scorer.score(call, entry, lost=logged.lost)
        self._spoil(scored.score)
        found = differences(logged.score, scored.score, scorer.bundle.feature_names)
        if scored.entry is not None:
            standing = standing_of(scored.entry.data)
            if standing != list(logged.standing):
                found.append(("standing", repr(list(logged.standing)), repr(standing)))
        if found:
            report.differing += len(found)
            place = visit.position, logged.score.score_id
            room = MAX_KEPT - len(report.mismatches)
            report.mismatches += [LogMismatch(*place, *one) for one in found[:room]]
        return scored.entry or entry

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
