"""Builds the plugin from this checkout and installs it as a site would.

A venv of the distribution's interpreter in /opt/socker, `pip install .`, then
`socker install --enable`.  Skipped when the sources have not changed since.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from stages import run

CHECKOUT = Path(__file__).resolve().parents[2]
VENV = Path("/opt/socker")
STAMP = VENV / "installed-sources"
SOURCES = ["setup.py", "pyproject.toml", "spank_plugin/*", "pycontrol/*.py", "cgroup/*.py"]


def _sources_hash() -> str:
    digest = hashlib.sha256()
    for pattern in SOURCES:
        for path in sorted(CHECKOUT.glob(pattern)):
            if path.is_file():
                digest.update(f"{path.relative_to(CHECKOUT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def remove_build_files() -> None:
    for leftover in ("build", "socker.egg-info"):
        shutil.rmtree(CHECKOUT / leftover, ignore_errors=True)


def install() -> bool:
    """True when something had to be built."""
    wanted = _sources_hash()
    if STAMP.exists() and STAMP.read_text() == wanted:
        run(VENV / "bin/socker", "install", "--enable")
        return False
    if not (VENV / "bin/pip").exists():
        run("/usr/bin/python3", "-m", "venv", "--clear", VENV)
    pip = [VENV / "bin/pip", "install", "--quiet", "--disable-pip-version-check"]
    # The build's tools in the venv itself: an isolated build fetches them each time.
    run(*pip, "setuptools>=68", "cffi>=1.15")
    STAMP.unlink(missing_ok=True)  # what fails half-way is of no sources
    remove_build_files()  # an old one may hold modules that are gone
    run(*pip, "--no-build-isolation", "--force-reinstall", "--no-deps", CHECKOUT)
    remove_build_files()
    run(*pip, "docker", "click", "rich")
    run(VENV / "bin/socker", "install", "--enable")
    STAMP.write_text(wanted)
    return True


def uninstall() -> None:
    if (VENV / "bin/socker").exists():
        run(VENV / "bin/socker", "uninstall")
    shutil.rmtree(VENV, ignore_errors=True)
