"""Builds the C parts with cffi (spank_plugin/build.py) and packs them with Python's.

Everything else about the package is in pyproject.toml.
"""

import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

sys.path.insert(0, str(Path(__file__).resolve().parent))


class BuildWithPlugin(build_py):
    """Adds spank_plugin/built/* to the package."""

    def run(self):
        super().run()
        from spank_plugin.build import build

        if not self.editable_mode:
            build(Path(self.build_lib).resolve() / "spank_plugin" / "built")


class BinaryDistribution(Distribution):
    """The wheel fits one Python and one platform: it holds compiled files."""

    def has_ext_modules(self):
        return True


setup(cmdclass={"build_py": BuildWithPlugin}, distclass=BinaryDistribution)
