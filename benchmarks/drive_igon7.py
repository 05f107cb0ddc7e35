"""Drives igon7 on the database of the environment."""

from __future__ import annotations

import os

import django

from benchmarks import driving

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "igon7site.settings")
    django.setup()
    from benchmarks.igon7 import Igon7
    from benchmarks.own import SCENARIOS

    driving.drive(Igon7, {**driving.SCENARIOS, **SCENARIOS})
