"""The machine code: which function uses whose instructions, and what comes from the C library.

A wide instruction outside the functions of its ISA would crash on older CPUs.
"""

import platform
import re
import subprocess

import pytest

from nnc import _core

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="reads the machine code of x86-64"
)

# What may stand in a function whose name ends in an ISA's: the rest may use SSE2 alone.
ALLOWED = {
    "generic": {"vex", "ymm"},
    "avx2": {"vex", "ymm", "avx2"},
    "avx512": {"vex", "ymm", "avx2", "avx512"},
    "": set(),
}
# Encoded without a VEX prefix, and newer than SSE2. (tzcnt is bsf on CPUs that don't know it.)
NEWER_THAN_SSE2 = (
    r"p(abs|sign|shufb|align|hadd|hsub|mulhrsw|maddubsw|blend|mulld|muldq|test|insr[bdq]|extr[bdq])"
    r"|p(min|max)(sb|sd|uw|ud)|pmov[sz]x|pcmp(eqq|gtq|[ei]str)|pclmul|packusdw|phminpos"
    r"|blend|round|dpp[sd]|insertps|extractps|mpsadbw|movntdqa|crc32|popcnt|lzcnt|movbe"
    r"|h(add|sub)p|addsub|movddup|movs[hl]dup|lddqu|aes|sha|rdrand|rdseed|adcx|adox"
)
AVX2 = (
    r"vp(?!test|ermil|erm2f128)\w+ .*%ymm|v(insert|extract|broadcast)i128"
    r"|vp(broadcast|blendd|maskmov|s[lr]lv|srav|gather)|vgather|vbroadcasts\w+ %xmm"
)


def run(*command):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, check=True)


def features(code, text):
    """What an instruction needs beyond SSE2, from its bytes and its disassembly."""
    while code[0] in {"26", "2e", "36", "3e", "64", "65", "67"}:
        code = code[1:]
    needed = set()
    if code[0] in {"c4", "c5", "62"}:  # VEX and EVEX prefixes
        needed.add("vex")
        if "%ymm" in text:
            needed.add("ymm")
        if re.match(AVX2, text):
            needed.add("avx2")
        if code[0] == "62" or re.search(r"%zmm|%[xy]mm(1[6-9]|[23]\d)|%k[0-7]", text):
            needed.add("avx512")
    elif re.match(NEWER_THAN_SSE2, text):
        needed.add("sse3 or later")
    return needed


def isa_of(function):
    """The ISA that a function's name ends in; compilers append .part.0, .constprop.0 and so on."""
    isa = re.search(r"_(generic|avx2|avx512)$", function.split(".")[0])
    return isa[1] if isa else ""


def audit(binary):
    """Return {function: features it may not use}, and the ISAs of all functions."""
    function, stray, isas = "", {}, set()
    for line in run("objdump", "-d", "--wide", "--insn-width=16", binary).stdout.splitlines():
        if header := re.match(r"^[0-9a-f]+ <([^>]+)>:", line):
            function = header[1]
            isas.add(isa_of(function))
        elif instruction := re.match(r"^ *[0-9a-f]+:\t([0-9a-f ]+)\t(.+)", line):
            text = re.sub(r"\{\w+\} ", "", instruction[2]).replace("\t", " ")
            text = re.sub(r"^((rep|repz|repnz|lock|data16|cs|ds|notrack|bnd) )+", "", text)
            unfit = features(instruction[1].split(), re.sub(r" +", " ", text))
            unfit -= ALLOWED[isa_of(function)]
            if unfit:
                stray[function] = stray.get(function, set()) | unfit
    return stray, isas


def test_instructions_stand_only_in_functions_of_their_isa():
    stray, isas = audit(_core.__file__)
    assert stray == {}
    assert isas == set(ALLOWED)


@pytest.mark.parametrize(
    ("function", "body", "target", "needs"),
    [
        ("f", "a[i] += a[i + 1]", "avx", {"vex"}),
        ("f_generic", "a[i] += a[i + 1]", "avx", None),
        ("f_generic", "a[i] += a[i + 1]", "avx2,prefer-vector-width=256", {"avx2"}),
        ("f_avx2", "a[i] += a[i + 1]", "avx2,prefer-vector-width=256", None),
        ("f_avx2", "a[i] += a[i + 1]", "avx512f,prefer-vector-width=512", {"avx512"}),
        ("f_avx512", "a[i] += a[i + 1]", "avx512f,prefer-vector-width=512", None),
        ("f_baseline", "a[i] = __builtin_popcount(a[i])", "popcnt", {"sse3 or later"}),
        ("f_baseline", "a[i] += a[i + 1]", "sse2", None),
    ],
)
def test_the_audit_sees_strangers(function, body, target, needs, tmp_path):
    source, binary = tmp_path / "f.c", tmp_path / "f.o"
    source.write_text(
        f'__attribute__((target("{target}"))) void {function}(int *restrict a)\n'
        f"{{ for (int i = 0; i < 64; i++) {body}; }}\n"
    )
    run("gcc", "-O3", "-c", source, "-o", binary)
    stray, _ = audit(binary)
    assert stray.get(function, set()) >= (needs or set())
    assert bool(stray) == bool(needs)


def names(which, binary):
    listing = run("nm", "-D", which, binary).stdout
    return {line.split()[-1].split("@")[0] for line in listing.splitlines()}


def test_the_math_library_gives_log_alone():
    """All others would make results depend on its version and the CPU. See test_codebase.py too."""
    libraries = dict(re.findall(r"(\S+) => (\S+)", run("ldd", _core.__file__).stdout))
    defined = names("--defined-only", libraries["libm.so.6"])
    assert {"log", "exp"} <= defined
    assert names("--undefined-only", _core.__file__) & defined == {"log"}
