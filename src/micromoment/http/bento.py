"""What BentoML is pointed at: `bentoml serve micromoment.http.bento:service`, `bentoml build`."""

from __future__ import annotations

from micromoment.http.service import FrontDoor
from micromoment.settings import load_settings

service = FrontDoor(load_settings()).bento_service
