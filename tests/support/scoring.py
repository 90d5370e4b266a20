"""A scorer with a store around it, as the transport uses them."""

from __future__ import annotations

from micromoment.events.record import EventBatch
from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.calls import Score, ScoreCall, SessionKey
from micromoment.scoring.scorer import FoldResult, Scorer
from micromoment.stores.sessions import MemorySessionStore


class StoringScorer:
    """Reads a session, lets the scorer work on it and keeps what is to be kept."""

    def __init__(
        self, bundle: LoadedBundle, store: MemorySessionStore, *, max_user_feature_age_us: int
    ) -> None:
        self.bundle = bundle
        self.scorer = Scorer(bundle, max_user_feature_age_us=max_user_feature_age_us)
        self._store = store

    def needs_user(self, key: SessionKey, batch: EventBatch) -> bool:
        """Tell whether this batch will take up user features."""
        return self.scorer.needs_user(self._store.get(key), batch)

    def score(self, call: ScoreCall) -> Score:
        """Fold the call's events, then score once."""
        key = call.key
        scored = self.scorer.score(call, self._store.get(key), lost=self._store.was_evicted(key))
        if scored.entry is not None:
            self._store.put(key, scored.entry)
        return scored.score

    def fold(self, call: ScoreCall) -> FoldResult:
        """Fold the call's events without scoring."""
        key = call.key
        folded = self.scorer.fold(call, self._store.get(key), lost=self._store.was_evicted(key))
        if folded.entry is not None:
            self._store.put(key, folded.entry)
        return folded.result

    def session(self, key: SessionKey, *, explain: bool = False) -> Score:
        """Score a session as of its last event."""
        return self.scorer.session(self._store.get(key), explain=explain)
