"""What BentoML is pointed at: `bentoml serve micromoment.http.bento:service`, `bentoml build`."""

from __future__ import annotations

import os

# BentoML wants metrics in files, for several processes; here is one, with a registry of its own.
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)

from micromoment.http.service import FrontDoor
from micromoment.settings import load_settings

service = FrontDoor(load_settings(), sets_up_logs=True).bento_service
