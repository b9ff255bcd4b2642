"""Builds the extension nnc._core; everything else is in pyproject.toml.

Environment: NNC_SANITIZE=address,undefined builds with sanitizers, for tests.
"""

import os
from glob import glob

import numpy
from setuptools import Extension, setup
from setuptools.command.egg_info import manifest_maker

SANITIZE = os.environ.get("NNC_SANITIZE")

# Each kernel file states its ISA itself. Contraction is off because fused multiply-add is always
# written out: results must not depend on what a compiler chooses to fuse.
COMPILE = ["-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden"]
COMPILE += ["-Wall", "-Wextra", "-Wshadow", "-Wstrict-prototypes", "-Wmissing-prototypes"]
COMPILE += ["-Wvla", "-Wundef", "-g0"]
LINK = ["-lm", "-pthread"]
if SANITIZE:
    COMPILE += ["-O1", "-g", f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer"]
    LINK += [f"-fsanitize={SANITIZE}"]

# What the sdist holds besides the package; by default it would be a MANIFEST.in beside this file.
manifest_maker.template = ".ci/sdist.in"

setup(
    ext_modules=[
        Extension(
            "nnc._core",
            sources=sorted(glob("csrc/*/*.c")),
            depends=sorted(glob("csrc/*.h") + glob("csrc/*/*.h")),
            include_dirs=["csrc", numpy.get_include()],
            extra_compile_args=COMPILE,
            extra_link_args=LINK,
        )
    ],
)
