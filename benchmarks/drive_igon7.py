"""Drives igon7 on the database of the environment."""

from __future__ import annotations

import os

import django

from benchmarks import driving

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "igon7site.settings")
    django.setup()
    from benchmarks.igon7 import SCENARIOS, Igon7

    driving.drive(Igon7, SCENARIOS)
