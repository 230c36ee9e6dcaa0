"""The SPANK plugin's C sources, their build, and where the built files lie."""

from pathlib import Path

# Filled by setup.py: socker.so, socker_python.so and pause.
BUILT = Path(__file__).resolve().parent / "built"
