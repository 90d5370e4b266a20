"""Retrain as a schedule runs it: new days in, a better bundle out, or the old one stays.

What is promoted is what was judged: models are trained without the last days, judged on those
against the bundle that serves, and only their calibration is carried on through them (ADR 15).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from micromoment.errors import BundleError, InvalidSettingError
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from micromoment.stores.bundles import SERVING, default_bundle_store, find_bundle
from micromoment.stores.signing_keys import SigningKey
from micromoment.workspace_erasing import RETRAIN_SCRATCH
from training.card import write_card
from training.event_files import EventDays, event_days
from training.outputs import make_folder
from training.pipeline.card import CARD_SAMPLE, gather_card
from training.pipeline.evaluate import EvaluateRequest, evaluate_all
from training.pipeline.recalibrate import RecalibrateRequest, known_until, recalibrate
from training.pipeline.train import TrainRequest, train
from training.pipeline.users import renew_users
from training.privacy.erase import apply_erasures
from training.progress import Steps
from training.promotion.checks import Check, failures
from training.promotion.gate import GateRequest, run_gate
from training.promotion.later import BOOTSTRAP, MIN_BUYERS, LaterDays
from training.promotion.log import read_log, rolled_back
from training.promotion.promote import PromoteRequest, PromotionReport, promote, sole

HOLD_OUT: Final = 7
TRAIN_EVERY: Final = 7
_LEAST_SHARE: Final = 4  # of a short history at most a quarter is held out


class Outcome(StrEnum):
    """What a run came to."""

    NOTHING_NEW = "nothing new"
    TRAINED = "trained and promoted"
    CARRIED_ON = "calibration carried on and promoted"
    KEPT = "kept"  # nothing is due, or what is was rolled back by a person
    REFUSED = "refused"


@dataclass(frozen=True)
class RetrainRequest:
    """What to train on (`training.until` is the last day to take in), and how it is judged.

    `hold_out` days at most are judged on; models are trained anew when they would learn
    `train_every` days more than those that serve; below `min_new_days` of new days nothing is done.
    `reports` gets the candidate's card and checks. What is promoted is signed with `sign_key`.
    """

    training: TrainRequest
    hold_out: int = HOLD_OUT
    train_every: int = TRAIN_EVERY
    min_new_days: int = 1
    min_buyers: int = MIN_BUYERS
    bootstrap: int = BOOTSTRAP
    reports: Path | None = None
    who: str = ""
    sign_key: SigningKey | None = None

    @property
    def store(self) -> Path:
        """The bundle store."""
        return self.training.store or default_bundle_store()


@dataclass(frozen=True)
class RetrainReport:
    """What came of it: the bundle that serves now, the checks of the last candidate, a sentence."""

    outcome: Outcome
    serving: str
    summary: str
    checks: tuple[Check, ...] = ()
    card: Path | None = None


def retrain(request: RetrainRequest, steps: Steps | None = None) -> RetrainReport:
    """Take new days in, as far as there are any, and let serve what passes the gate.

    The same days again give the same bundles, and nothing to do once one of them serves. What
    serves changes by the last act alone, so a run may be stopped anywhere. Raises
    `PromotionError` while another run for this name is under way, and what `train` raises.
    """
    steps = steps or Steps()
    training = request.training
    make_folder(request.store)
    lock = request.store / f"{training.name}.retrain.lock"
    with sole(lock, f"retraining {training.name}"):
        # Before users' features are renewed: whom a server erased would be published again.
        apply_erasures(training.workspace, training.events, training.ids)
        days = event_days(training.events).between(last=training.until)
        serving = _serving(request)
        if serving is not None:
            _require_same_shop(serving, training)
            known = known_until(serving, days)
            fresh = days.between(first=known + timedelta(days=1)).days
            if len(fresh) < max(1, request.min_new_days):
                summary = f"{len(fresh)} days after {known}, which {serving.tag} knows"
                return RetrainReport(Outcome.NOTHING_NEW, serving.tag, summary)
        with _scratch(training.workspace) as scratch:
            with steps.step("Renew users' features"):
                renew_users(days, training.workspace, training.replay, training.publish_lag)
            return _Run(request, days, serving, scratch, steps).go()


def _serving(request: RetrainRequest) -> LoadedBundle | None:
    """Load the bundle that serves; one that this code can't use is to be replaced."""
    try:
        return load_bundle(find_bundle(request.store, f"{request.training.name}:{SERVING}"))
    except BundleError:
        return None


def _require_same_shop(serving: LoadedBundle, training: TrainRequest) -> None:
    asked = {"currency": training.shop.currency, "time_zone": training.shop.time_zone}
    for setting, value in asked.items():
        trained = getattr(serving.shop, setting)
        if value != trained:
            raise InvalidSettingError(
                setting, f"is {value or 'none'}, and {serving.tag}, which serves, has {trained}"
            )


@contextmanager
def _scratch(workspace: Path) -> Iterator[Path]:
    """Give a folder for everything temporary, empty even after a run that was killed."""
    make_folder(workspace)
    folder = workspace.absolute() / RETRAIN_SCRATCH
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    before = tempfile.tempdir
    tempfile.tempdir = str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class _Run:
    request: RetrainRequest
    days: EventDays
    serving: LoadedBundle | None
    scratch: Path
    steps: Steps

    def go(self) -> RetrainReport:
        """Train where it is due; else, or where that is refused, carry calibration on."""
        refused = None
        if self._is_due():
            report = self._train()
            if report.outcome is Outcome.TRAINED:
                return report
            refused = report
        carried = self._carry_on()
        if refused is None:
            return carried
        return replace(
            refused,
            serving=carried.serving,
            summary=f"{refused.summary}; {carried.outcome.value}: {carried.summary}",
        )

    @property
    def _last_trained(self) -> date:
        """The last day that a training of today would learn from."""
        held_out = min(self.request.hold_out, len(self.days.days) // _LEAST_SHARE)
        return self.days.days[-1 - held_out]

    def _is_due(self) -> bool:
        if self.serving is None or "last_day" not in self.serving.manifest.training:
            return True
        trained = date.fromisoformat(self.serving.manifest.training["last_day"])
        return (self._last_trained - trained).days >= self.request.train_every

    def _train(self) -> RetrainReport:
        until = self._last_trained
        report = train(
            replace(
                self.request.training,
                until=until,
                store=self.request.store,
                workspace=self.scratch / "features",
                takes_over=SERVING,
            ),
            self.steps,
        )
        candidate = find_bundle(self.request.store, report.tag)
        gate = GateRequest(candidate, self.serving.path if self.serving else None, self._later())
        checks = run_gate(gate, self.steps)
        card = self._describe(candidate, checks)
        if failures(checks):
            return self._refused(report.tag, checks, card)
        if kept := self._kept_back(report.tag):
            return kept
        tag = report.tag
        has_conversion = "conversion" not in report.absent
        if has_conversion and until < self.days.days[-1]:
            tag = self._recalibrated(candidate)
        promoted = self._promote(tag, candidate, f"trained until {until}", checks)
        if promoted.promoted or promoted.unchanged:
            summary = f"{tag}, trained until {until}, judged on the days to {self.days.days[-1]}"
            return RetrainReport(Outcome.TRAINED, tag, summary, checks, card)
        return self._refused(tag, promoted.checks, card)

    def _refused(self, tag: str, checks: tuple[Check, ...], card: Path | None) -> RetrainReport:
        failed = ", ".join(one.name for one in failures(checks))
        tag_now = self.serving.tag if self.serving else ""
        return RetrainReport(Outcome.REFUSED, tag_now, f"{tag} fails: {failed}", checks, card)

    def _carry_on(self) -> RetrainReport:
        serving = self.serving
        if serving is None or serving.conversion is None:
            tag = serving.tag if serving else ""
            return RetrainReport(Outcome.KEPT, tag, "no training is due")
        tag = self._recalibrated(serving.path)
        if kept := self._kept_back(tag):
            return kept
        reason = f"calibrated until {self.days.days[-1]}"
        promoted = self._promote(tag, serving.path, reason)
        if promoted.promoted or promoted.unchanged:
            return RetrainReport(Outcome.CARRIED_ON, tag, f"{tag}, {reason}", promoted.checks)
        return self._refused(tag, promoted.checks, None)

    def _kept_back(self, tag: str) -> RetrainReport | None:
        """Leave alone what somebody rolled back: only a person may let it serve again."""
        name, _, version = tag.partition(":")
        back = rolled_back(read_log(self.request.store, name)).get(version)
        if back is None:
            return None
        why = f" ({back.reason})" if back.reason else ""
        summary = f"{tag} was rolled back by {back.who}{why}: promote it by hand"
        return RetrainReport(Outcome.KEPT, self.serving.tag if self.serving else "", summary)

    def _recalibrated(self, bundle: Path) -> str:
        request = RecalibrateRequest(
            bundle,
            self.request.training.events,
            self.days.days[-1],
            store=self.request.store,
            ids=self.request.training.ids,
            workers=self.request.training.workers,
        )
        return recalibrate(request, self.steps).tag

    def _promote(
        self, tag: str, judged: Path, reason: str, grounds: tuple[Check, ...] = ()
    ) -> PromotionReport:
        request = PromoteRequest(
            tag,
            self.request.store,
            judged=judged,
            grounds=grounds,
            who=self.request.who,
            reason=f"retrain: {reason}",
            sign_key=self.request.sign_key,
        )
        return promote(request, self.steps)

    def _later(self) -> LaterDays:
        return LaterDays(
            self.request.training.events,
            last=self.days.days[-1],
            min_buyers=self.request.min_buyers,
            bootstrap=self.request.bootstrap,
            ids=self.request.training.ids,
            workers=self.request.training.workers,
        )

    def _describe(self, candidate: Path, checks: tuple[Check, ...]) -> Path | None:
        """Write the candidate's card, if there are days to fill it with, and its checks."""
        last = self.days.days[-1]
        if self.request.reports is None:
            return None
        folder = self.request.reports / last.isoformat()
        make_folder(folder)
        plain = [one.to_dict() for one in checks]
        (folder / "gate.json").write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
        if self._last_trained == last:
            return None
        request = EvaluateRequest(
            bundle=candidate,
            events=self.request.training.events,
            first_day=self._last_trained + timedelta(days=1),
            last_day=last,
            ids=self.request.training.ids,
            workers=self.request.training.workers,
            bootstrap=self.request.bootstrap,
            sample=CARD_SAMPLE,
        )
        found = evaluate_all(request, self.steps)
        return write_card(gather_card(request, found, self.steps), folder)
