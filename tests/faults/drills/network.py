"""The network between a cluster and PostgreSQL: cut, cut in mid-message, silent, slow, gone."""

from __future__ import annotations

import time

from tests.cluster import LEASE, wait_until
from tests.faults.crew import Trial
from tests.faults.proxy import Proxy

from . import drill

POSTGRES = ("postgres",)


def _hide(trial: Trial) -> None:
    trial.crew.hide_behind_proxy(trial.chance)


def _proxy(trial: Trial) -> Proxy:
    assert trial.crew.proxy is not None
    return trial.crew.proxy


@drill("connections cut at random", times=40, short=4, prepare=_hide, needs=POSTGRES)
def cut_connections(trial: Trial) -> None:
    with trial.fault():
        _proxy(trial).cut(trial.chance.uniform(0.2, 1.0))


@drill("connections cut in mid-message, both ways", times=40, short=4, prepare=_hide, needs=POSTGRES)
def cut_in_message(trial: Trial) -> None:
    """What was said may have been carried out or not: nobody was told."""
    proxy = _proxy(trial)
    before = proxy.cuts
    with trial.fault():
        proxy.cut_in_message()
        wait_until(lambda: proxy.cuts > before, what="a connection is cut in mid-message")
        proxy.spare()


@drill("half-open connections, for up to lease + 2 s", times=10, short=1, prepare=_hide, needs=POSTGRES)
def half_open(trial: Trial) -> None:
    """They end in a cut or are heard again, with what was said meanwhile."""
    proxy = _proxy(trial)
    with trial.fault():
        silent = proxy.silence(trial.chance.choice((0.5, 1.0)))
        trial.check(silent > 0, "no connection was there to fall silent")
        time.sleep(trial.chance.uniform(0.5, LEASE + 2.0))
        if trial.chance.random() < 0.5:
            proxy.cut()
        proxy.resume()


@drill("a network that is late by up to 20 ms each way", times=10, short=1, prepare=_hide, needs=POSTGRES)
def slow_network(trial: Trial) -> None:
    with trial.fault():
        _proxy(trial).delay(0.02)
        trial.await_starts(30)
        _proxy(trial).delay(0.0)


@drill("no way to PostgreSQL for a second or four", times=10, short=1, prepare=_hide, needs=POSTGRES)
def no_network(trial: Trial) -> None:
    with trial.fault():
        _proxy(trial).refuse()
        time.sleep(trial.chance.uniform(1.0, 4.0))
        _proxy(trial).accept()
