/* exhaustive_math.c - the functions of NNC_FUNCTION_LIST on every float, with every ISA of this
 * CPU, against the C library in double. Takes some minutes for each function.
 *
 *   exhaustive_math [--every N] [names]
 *
 * prints the largest error in ulps, and where it is, of the ISAs with FMA (whose results must be
 * the same) and of the one without. Fails where one exceeds what nnc.h promises. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "kernels/kernels.h"

enum { BLOCK = 4096, MOST_ISAS = 8 };

typedef struct {
    double ulps;
    float at;
} extreme;

typedef struct {
    extreme worst[2]; /* without and with FMA */
    size_t failures;
} outcome;

/* |y - exact| in units of the last place of a float near exact. Infinity counts as the number that
 * would come next, and the sign of a zero as more than any error. */
static double ulps_of(float y, double exact)
{
    const double next = 0x1p128;
    if (isnan(y) || isnan(exact)) return isnan(y) && isnan(exact) ? 0 : INFINITY;
    if (!signbit(y) != !signbit(exact)) return INFINITY;
    double got = fmin(fabs((double)y), next), expected = fmin(fabs(exact), next);
    uint64_t bits;
    memcpy(&bits, &expected, sizeof bits);
    int exponent = (int)(bits >> 52) - 1023;
    exponent = exponent < -126 ? -126 : exponent > 127 ? 127 : exponent;
    bits = (uint64_t)(1023 + 23 - exponent) << 52;
    double scale;
    memcpy(&scale, &bits, sizeof scale);
    return fabs(got - expected) * scale;
}

static void fail(outcome *out, const char *what, const char *isa, float x, float y)
{
    if (out->failures++ < 10) printf("%s: %s at %a: %a\n", isa, what, (double)x, (double)y);
}

/* y and z alike, but for the bits of NaN */
static bool alike(const float *y, const float *z, size_t *where)
{
    if (memcmp(y, z, BLOCK * sizeof *y) == 0) return true;
    for (size_t i = 0; i < BLOCK; i++)
        if (memcmp(&y[i], &z[i], sizeof *y) != 0 && !(isnan(y[i]) && isnan(z[i])))
            return *where = i, false;
    return true;
}

static void check_block(outcome *out, nnc_function f, double (*exact)(double), const float *x)
{
    static float y[BLOCK], fused[BLOCK], opposite[BLOCK], nearest[BLOCK];
    static double expected[BLOCK];
    for (size_t i = 0; i < BLOCK; i++) expected[i] = exact((double)x[i]);
    for (size_t i = 0; i < BLOCK; i++) nearest[i] = (float)expected[i];
    nnc_cpu cpu = nnc_cpu_info();
    bool seen_fused = false;
    for (size_t s = 0; cpu.available[s]; s++) {
        const char *isa = cpu.available[s];
        nnc_select_isa(isa);
        bool fma = nnc_cpu_info().fma;
        size_t where;
        nnc_map(NNC_F32, f, y, x, BLOCK);
        if (is_odd(f)) {
            for (size_t i = 0; i < BLOCK; i++) opposite[i] = -x[i];
            nnc_map(NNC_F32, f, opposite, opposite, BLOCK);
            for (size_t i = 0; i < BLOCK; i++) opposite[i] = -opposite[i];
            if (!alike(y, opposite, &where)) fail(out, "not odd", isa, x[where], y[where]);
        }
        if (fma && seen_fused) {
            if (!alike(y, fused, &where)) fail(out, "another result", isa, x[where], y[where]);
            continue;
        }
        for (size_t i = 0; i < BLOCK; i++) {
            if (y[i] == nearest[i] && y[i] != 0) continue; /* at most half a unit off */
            double ulps = ulps_of(y[i], expected[i]);
            if (ulps > out->worst[fma].ulps) out->worst[fma] = (extreme){ulps, x[i]};
            if (ulps > most_ulps(f)) fail(out, "inaccurate", isa, x[i], y[i]);
        }
        if (fma) memcpy(fused, y, sizeof y), seen_fused = true;
    }
    nnc_select_isa(NULL);
}

static bool check(nnc_function f, double (*exact)(double), uint64_t every)
{
    static float x[BLOCK];
    outcome out = {0};
    uint64_t end = is_odd(f) ? (uint64_t)1 << 31 : (uint64_t)1 << 32, filled = 0;
    for (uint64_t bits = 0; bits < end || filled; bits += every) {
        uint32_t word = bits < end ? (uint32_t)bits : 0;
        memcpy(&x[filled++], &word, sizeof word);
        if (filled == BLOCK) check_block(&out, f, exact, x), filled = 0;
    }
    printf("%-10s FMA %.3f at %-16a no FMA %.3f at %a%s\n", nnc_function_name(f), out.worst[1].ulps,
           (double)out.worst[1].at, out.worst[0].ulps, (double)out.worst[0].at,
           out.failures ? "  FAILED" : "");
    fflush(stdout);
    return out.failures == 0;
}

int main(int argc, char **argv)
{
#define EXACT(suffix, name) [NNC_FUNCTION_##suffix] = exact_##name,
    static double (*const exact[])(double) = {NNC_FUNCTION_LIST(EXACT)};
#undef EXACT
    uint64_t every = 1;
    int first = 1;
    if (argc > 2 && strcmp(argv[1], "--every") == 0) every = strtoull(argv[2], NULL, 10), first = 3;
    bool ok = every > 0;
    for (int f = 0; every > 0 && f < NNC_FUNCTION_COUNT; f++) {
        bool wanted = first == argc;
        for (int i = first; i < argc; i++)
            wanted |= strcmp(argv[i], nnc_function_name((nnc_function)f)) == 0;
        if (wanted) ok &= check((nnc_function)f, exact[f], every);
    }
    return !ok;
}
