#!/usr/bin/env python3
"""Django's manage.py, which also keeps its own environment: see main()."""

import hashlib
import os
import subprocess
import sys
from contextlib import contextmanager

HERE = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(HERE, ".venv")
PYTHON = os.path.join(VENV, *(["Scripts", "python.exe"] if os.name == "nt" else ["bin", "python"]))
OLDEST = (3, 11)
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"


class SetupFailed(Exception):
    """The environment could not be made; the text says why and what to do."""


def main():
    """Run a management command in .venv, which is made or updated when requirements.txt asks for it."""
    if sys.version_info < OLDEST:
        sys.exit(f"igon7 needs Python {OLDEST[0]}.{OLDEST[1]} or newer; this is {sys.version.split()[0]}.")
    if os.environ.get("IGON7_NO_VENV") != "1":
        try:
            enter(requirements_for(sys.argv))
        except SetupFailed as error:
            sys.exit(f"igon7 could not set itself up: {error}")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "igon7site.settings")
    run_django()


def run_django():
    try:
        from django.core.management import execute_from_command_line
    except ImportError:
        sys.exit(f"{sys.executable} has no Django. Unset IGON7_NO_VENV, or install requirements.txt.")
    from igon7site.env import EnvError

    try:
        execute_from_command_line(sys.argv)
    except EnvError as error:
        sys.exit(f"igon7 is not configured: {error}")


def requirements_for(argv):
    """Return the requirement files that this command line needs."""
    files = [os.path.join(HERE, "requirements.txt")]
    if argv[1:2] in (["test"], ["faults"]):
        files.append(os.path.join(HERE, "tests", "requirements.txt"))
    return files


def enter(files):
    """Return only when running inside an environment that holds everything in files."""
    complete = all(map(is_installed, files))
    if not complete:
        with only_one() as lock:
            set_up([file for file in files if not is_installed(file)], lock)
    if not complete or os.path.realpath(sys.prefix) != os.path.realpath(VENV):
        restart()


def restart():
    command = [PYTHON, os.path.join(HERE, "manage.py"), *sys.argv[1:]]
    if os.name == "nt":  # there, execv returns to the shell before the new process ends
        sys.exit(subprocess.call(command))
    os.execv(PYTHON, command)


def is_installed(file):
    try:
        with open(stamp_path(file)) as opened:
            return opened.read() == stamp_text(file) and os.path.exists(PYTHON)
    except FileNotFoundError:
        return False


def stamp_path(file):
    name = os.path.relpath(file, HERE).replace(os.sep, "-")
    return os.path.join(VENV, f"igon7-{name}.sha256")


def stamp_text(file):
    with open(file, "rb") as opened:
        return f"{hashlib.sha256(opened.read()).hexdigest()} python{VERSION}\n"


def set_up(files, lock):
    """Install files; each stamp is written last. A set-up that was cut off is begun anew by the next."""
    if not files:
        return
    lock.seek(0)
    sound = not lock.read() and is_sound()
    mark(lock, "unfinished")
    if sound:
        say(f"Updating .venv from {' and '.join(os.path.relpath(file, HERE) for file in files)}…")
    else:
        say("Setting up .venv (first run, about a minute)…")
        make_venv(lock)
    try:
        for file in files:
            install(file, lock)
    except SetupFailed:
        mark(lock, "")  # pip cleans up after its own failures, not after a kill
        raise
    mark(lock, "")


def mark(lock, text):
    lock.truncate(0)
    lock.write(text)
    lock.flush()


def install(file, lock):
    run([PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", file], lock)
    with open(stamp_path(file), "w") as opened:
        opened.write(stamp_text(file))


def is_sound():
    """Say whether .venv is whole and of this Python's version: pip answers from inside it."""
    probe = f"import sys, pip; sys.exit(sys.version_info[:2] != {tuple(sys.version_info[:2])})"
    try:
        return subprocess.run([PYTHON, "-c", probe], stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def make_venv(lock):
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        raise SetupFailed(
            f"this Python has no venv or ensurepip. On Debian or Ubuntu: apt install python{VERSION}-venv. "
            "Or make an environment yourself, install requirements.txt there and set IGON7_NO_VENV=1."
        ) from None
    # Not sys.executable: that may be the one in .venv, which --clear removes.
    run([getattr(sys, "_base_executable", sys.executable), "-m", "venv", "--clear", VENV], lock)


def run(command, lock):
    """Run a quiet command; its last lines are the reason it fails. It keeps the lock if we are killed."""
    kept = () if os.name == "nt" else (lock.fileno(),)
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", pass_fds=kept
    )
    if done.returncode:
        tail = "\n".join(done.stdout.strip().splitlines()[-12:])
        raise SetupFailed(f"`{' '.join(command)}` failed.\n{tail}")


@contextmanager
def only_one():
    """Hold .venv.lock and yield it: a second manage.py waits here, then finds the work done.

    The file is empty but for a set-up that is under way, or was cut off.
    """
    try:
        opened = open(os.path.join(HERE, ".venv.lock"), "a+")  # noqa: SIM115
    except OSError as error:
        raise SetupFailed(f"{HERE} is not writable ({error.strerror}).") from None
    with opened:
        wait_for(opened)
        yield opened


def wait_for(lock):
    try:
        import fcntl
    except ImportError:  # no flock on this system: set-ups at the same time are up to its user
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("Waiting for another manage.py that sets up .venv…")
        fcntl.flock(lock, fcntl.LOCK_EX)


def say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
