"""Makes applications: what a bundle brings, around what belongs to the server.

Sessions, the turns of their calls, stores and clocks are the server's and outlive a bundle; scorer,
decoder and encoder are a bundle's and go with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from micromoment.events.identity import IdEncoder
from micromoment.scoring.abstention import NEVER_ABSTAIN, Abstention
from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.scorer import Scorer
from micromoment.settings import Settings
from micromoment.stores.absent import NoVisitLog
from micromoment.stores.event_log import EventLog
from micromoment.stores.interfaces import UserFeatureStore
from micromoment.stores.redis_sessions import RedisSessionStore
from micromoment.stores.sessions import MemorySessionStore
from micromoment.stores.tombstones import ErasureRegister, FileRegister
from micromoment.stores.visit_log import SqliteVisitLog
from micromoment.stores.withdrawals import NOTHING_TO_WITHDRAW, Withdrawals
from micromoment.stores.withdrawn_sessions import WithdrawnSessions
from micromoment.transport.application import Application
from micromoment.transport.consent import ConsentPolicy, Purpose
from micromoment.transport.consent_gate import ConsentGate
from micromoment.transport.decoding import RequestDecoder
from micromoment.transport.encoding import ReplyEncoder
from micromoment.transport.observer import Observer
from micromoment.transport.recorder import Recorder, Samples
from micromoment.transport.score_ids import ScoreIds
from micromoment.transport.shared_visits import SharedVisits
from micromoment.transport.turns import Turns
from micromoment.transport.visitors import Visitors
from micromoment.transport.visits import Visits
from micromoment.warm_up import warm_up

_US_PER_SECOND: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Stores:
    """Where a server keeps things."""

    sessions: MemorySessionStore | RedisSessionStore
    visit_log: SqliteVisitLog | NoVisitLog
    users: UserFeatureStore
    event_log: EventLog
    register: ErasureRegister = field(default_factory=lambda: FileRegister(None, math.inf))
    withdrawn: WithdrawnSessions = field(default_factory=lambda: WithdrawnSessions(0.0, 0))
    withdrawals: Withdrawals = NOTHING_TO_WITHDRAW


class ApplicationMaker:
    """Makes the application of any bundle for one server. It keeps none of them.

    `turns` are those of all its calls, `ids` encode all its ids.
    """

    def __init__(
        self,
        settings: Settings,
        stores: Stores,
        observer: Observer,
        ids: IdEncoder,
        clock_us: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._stores = stores
        self._observer = observer
        self.ids = ids
        self._clock_us = clock_us
        self._visitors = Visitors(
            stores.users, settings.user_feature_timeout, observer, settings.feature_tenant
        )
        self.turns = Turns()
        self._score_ids = ScoreIds()
        self._policy = _policy(settings)

    def make(self, bundle: LoadedBundle, *, warm_up_rounds: int) -> Application:
        """Make the application of a bundle and call everything in it so many times."""
        decoder = RequestDecoder(
            bundle.shop,
            self.ids,
            self._clock_us,
            partial(self._observer.events_taken, "masked"),
            self._stores.register.tombstones,
            self._policy,
        )
        encoder = ReplyEncoder(
            bundle.feature_names,
            bundle.fingerprint,
            _abstention(self._settings),
            starter=bundle.manifest.starter,
        )
        max_age_us = round(self._settings.max_user_feature_age * _US_PER_SECOND)
        scorer = Scorer(bundle, max_user_feature_age_us=max_age_us)
        warm_up(scorer, decoder, encoder, warm_up_rounds)
        scorer.observe = self._observer.stage_ended
        stores = self._stores
        return Application(
            decoder, encoder, self._visits(scorer), stores.event_log, stores.visit_log
        )

    def _visits(self, scorer: Scorer) -> Visits | SharedVisits:
        sessions = self._stores.sessions
        gate = ConsentGate(self._policy, self._stores.withdrawn, scorer.bundle.shop)
        samples = Samples(self._settings.log_scores, self._settings.log_features)
        recorder = Recorder(scorer.bundle, samples, self._stores.visit_log)
        if isinstance(sessions, RedisSessionStore):
            return SharedVisits(
                scorer, sessions, self._visitors, self._observer, self.turns,
                recorder=None if self._settings.event_log is None else recorder,
                score_ids=self._score_ids, erased=self._stores.register.tombstones,
                consent=gate, withdrawals=self._stores.withdrawals,
            )  # fmt: skip
        return Visits(
            scorer, sessions, self._visitors, self._observer, self.turns,
            recorder=recorder, score_ids=self._score_ids,
            erased=self._stores.register.tombstones,
            consent=gate, withdrawals=self._stores.withdrawals,
        )  # fmt: skip


def _policy(settings: Settings) -> ConsentPolicy:
    defaults = {
        Purpose.ANALYTICS: settings.consent_default_analytics,
        Purpose.PERSONALIZATION: settings.consent_default_personalization,
        Purpose.ADS: settings.consent_default_ads,
    }
    return ConsentPolicy(
        frozenset(purpose for purpose, answer in defaults.items() if answer == "granted"),
        frozenset(Purpose(word) for word in settings.global_privacy_control_denies),
    )


def _abstention(settings: Settings) -> Abstention:
    abstention = Abstention(
        below_evidence=settings.abstain_below_evidence,
        within=settings.abstain_within,
        above_calibration_error=settings.abstain_above_calibration_error,
        degraded=settings.abstain_degraded,
    )
    return NEVER_ABSTAIN if abstention == NEVER_ABSTAIN else abstention
