"""Builds the extension nnc._core; everything else is in pyproject.toml.

Environment: NNC_SANITIZE=address,undefined builds with sanitizers, for tests; not the kernels, on
which GCC would spend most of an hour.
"""

import os
from glob import glob

import numpy
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.egg_info import manifest_maker

SANITIZE = os.environ.get("NNC_SANITIZE")

# Each kernel file states its ISA itself. Contraction is off because fused multiply-add is always
# written out: results must not depend on what a compiler chooses to fuse.
COMPILE = ["-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden"]
COMPILE += ["-Wall", "-Wextra", "-Wshadow", "-Wstrict-prototypes", "-Wmissing-prototypes"]
COMPILE += ["-Wvla", "-Wundef", "-g0"]
LINK = ["-lm", "-pthread"]
CHECK = ["-O1", "-g", f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer"] if SANITIZE else []
LINK += CHECK[2:3]


class Build(build_ext):
    """Compile what is not a kernel with sanitizers."""

    def build_extensions(self):
        """Give each source its options."""
        compile_one = self.compiler._compile

        def compile_as(obj, source, ext, cc_args, options, pp_opts):
            check = [] if source.startswith("csrc/kernels/") else CHECK
            compile_one(obj, source, ext, cc_args, options + check, pp_opts)

        self.compiler._compile = compile_as
        super().build_extensions()


# What the sdist holds besides the package; by default it would be a MANIFEST.in beside this file.
manifest_maker.template = ".ci/sdist.in"

setup(
    cmdclass={"build_ext": Build} if SANITIZE else {},
    ext_modules=[
        Extension(
            "nnc._core",
            sources=[
                path
                for ring in ("bind", "core", "kernels")
                for path in sorted(glob(f"csrc/{ring}/*.c"))
            ],
            depends=sorted(glob("csrc/*.h") + glob("csrc/*/*.h")),
            include_dirs=["csrc", numpy.get_include()],
            extra_compile_args=COMPILE,
            extra_link_args=LINK,
        )
    ],
)
