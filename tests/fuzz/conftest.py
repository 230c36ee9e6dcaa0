"""How long properties are tried: `make test` a little, the same each time; `make fuzz` for long."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cffi import FFI
from hypothesis import HealthCheck, settings

from spank_plugin import build
from tests.fuzz import builds

SLOW_MACHINES = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("bounded", max_examples=200, derandomize=True, **SLOW_MACHINES)
settings.register_profile("long", max_examples=1000, **SLOW_MACHINES)
settings.load_profile("long" if os.environ.get("FUZZ_SECONDS") else "bounded")

FUNCTIONS = """
    int contract_read_plan(int channel, unsigned char *into, int size);
    const char *contract_told(void);
    int contract_covers(const char *prefix, const char *path);
    int contract_opens(const char *flags, const char *source);
    char *contract_settle(char **given);
    bool options_receive(char **env);
    char **options_collect(void);
    int step_fill_step(void *sp, struct step_request *request);
    int setenv(const char *name, const char *value, int overwrite);
    int unsetenv(const char *name);
    void free(void *memory);
"""


class Contract:
    """The C sides of the contract, in this process."""

    def __init__(self, folder: Path):
        self.ffi = FFI()
        self.ffi.cdef(build.contract())
        self.ffi.cdef(build.declarations(builds.HERE / "stubs.h"))
        self.ffi.cdef(FUNCTIONS)
        self.lib = self.ffi.dlopen(str(builds.contract(folder)))
        self.folder = folder

    def strings(self, words: list[bytes]):
        """A NULL-terminated char **, and what keeps it alive."""
        kept = [self.ffi.new("char[]", word) for word in words]
        return self.ffi.new("char *[]", [*kept, self.ffi.NULL]), kept


@pytest.fixture(scope="session")
def contract(tmp_path_factory) -> Contract:
    return Contract(tmp_path_factory.mktemp("contract"))
