/* test_functions.c - the functions of NNC_FUNCTION_LIST on a sample of all numbers, against the C
 * library in long double. exhaustive_math.c takes every float. */
#include "exact.h"
#include "kernels/kernels.h"
#include "nnc.h"
#include "reference.h"
#include "test.h"

enum { EVENLY = 20000, ANY = 20000, EDGES = 6000, NEAR = 41, N = EVENLY + ANY + EDGES + 64 };

#define EXACT(suffix, name) [NNC_FUNCTION_##suffix] = exact_##name##l,
static wide (*const exact[])(wide) = {NNC_FUNCTION_LIST(EXACT)};
#undef EXACT

static wide next_after(nnc_dtype dtype, wide x, wide towards)
{
    return dtype == NNC_F32 ? (wide)nextafterf((float)x, (float)towards)
                            : (wide)nextafter((double)x, (double)towards);
}

/* Where an argument's exponent changes, or a result leaves the normal or the finite numbers, or a
 * function takes another formula. */
static const double thresholds[] = {
    0.125, 0.25,   0.5,    0.6931471805599453, 0.7071067811865476, 1, 1.4142135623730951,
    2,     4,      8,      9,      10,     12,     13,     14.5,  17,     18.7149, 20,     36.7,
    37.4,  38.5,   39,     40,     87.34,  88.03,  88.7228, 89,   103.28, 103.97,  104,    108,
    109,   708.4,  709.09, 709.782712893384, 710, 744.44, 745.1332191019412, 746,  750,    752};

/* Numbers of the interesting range evenly; of all exponents; near k ln 2 / 2; special ones.
 * Returns how many. */
static size_t sample(nnc_dtype dtype, void *x)
{
    static const double special[] = {0, -0.0, INFINITY, -INFINITY, NAN, -NAN, 1, -1};
    size_t n = 0;
    double edge = dtype == NNC_F32 ? 110 : 760, lowest = dtype == NNC_F32 ? -149 : -1074;
    wide largest = dtype == NNC_F32 ? (wide)0x1.fffffep127 : (wide)0x1.fffffffffffffp1023;
    scatter(dtype, x, EVENLY / 2, -edge, edge, 1);
    scatter(dtype, (char *)x + EVENLY / 2 * nnc_dtype_size(dtype), EVENLY / 2, -6, 6, 2);
    n += EVENLY;
    char *any = (char *)x + n * nnc_dtype_size(dtype);
    scatter(NNC_F64, any, ANY / 2, lowest, -lowest < 200 ? 128 : 1024, 3);
    for (size_t i = ANY / 2; i-- > 0;) {
        wide magnitude = fminl(exp2l(get(NNC_F64, any, i)), largest);
        set(dtype, any, 2 * i, magnitude);
        set(dtype, any, 2 * i + 1, -magnitude);
    }
    n += ANY;
    for (int k = -EDGES / 2; k < EDGES / 2; k++) set(dtype, x, n++, k * 0.34657359027997264L);
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) set(dtype, x, n++, special[i]);
    set(dtype, x, n++, largest), set(dtype, x, n++, -largest);
    set(dtype, x, n++, exp2l(lowest)), set(dtype, x, n++, -exp2l(lowest));
    return n;
}

static wide error_of(nnc_dtype dtype, const void *y, const wide *expected, size_t n, size_t *where)
{
    wide worst = 0, beyond = dtype == NNC_F32 ? 0x1p128L : 0x1p1024L;
    for (size_t i = 0; i < n; i++) {
        /* an infinity stands for the number after the largest */
        wide got = get(dtype, y, i), error = ulps(dtype, got, expected[i]);
        if (isinf(got) && fabsl(expected[i]) < beyond)
            error = ulps(dtype, copysignl(beyond, got), expected[i]);
        if (isinf(got) && fabsl(expected[i]) >= beyond) error = 0;
        if (!isnan(got) && !signbit(got) != !signbit(expected[i])) error = INFINITY;
        if (error > worst) worst = error, *where = i;
    }
    return worst;
}

static void check_accuracy(nnc_dtype dtype)
{
    void *x = room(dtype, 2 * N), *y = room(dtype, N);
    wide *expected = malloc(N * sizeof *expected);
    if (!expected) abort();
    size_t n = sample(dtype, x);
    for (int f = 0; f < NNC_FUNCTION_COUNT; f++) {
        for (size_t i = 0; i < n; i++) expected[i] = exact[f](get(dtype, x, i));
        nnc_cpu cpu = nnc_cpu_info();
        for (size_t i = 0; cpu.available[i]; i++) {
            nnc_select_isa(cpu.available[i]);
            size_t where = 0;
            nnc_map(dtype, (nnc_function)f, y, x, n);
            wide worst = error_of(dtype, y, expected, n, &where);
            CASE("%s %s %s: %.3Lf ulps at %La: %La", cpu.available[i], dtype_name(dtype),
                 nnc_function_name((nnc_function)f), worst, get(dtype, x, where),
                 get(dtype, y, where));
            if (getenv("VERBOSE")) printf("%s\n", test_now.where);
            CHECK(worst <= most_ulps((nnc_function)f));
        }
    }
    nnc_select_isa(NULL);
    free(x), free(y), free(expected);
}

TEST(results_are_accurate)
{
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) check_accuracy((nnc_dtype)dtype);
}

/* Among the neighbours around each threshold, in order, an error may show as a step back, but never
 * one of more than a unit in the last place. */
static void check_monotone(nnc_dtype dtype)
{
    wide x[NEAR];
    double in[NEAR], out[NEAR];
    for (int f = 0; f < NNC_FUNCTION_COUNT; f++) {
        if (f == NNC_FUNCTION_GELU || f == NNC_FUNCTION_SILU) continue; /* they have a minimum */
        wide largest_step = 0;
        for (size_t t = 0; t < 2 * sizeof thresholds / sizeof *thresholds; t++) {
            x[NEAR / 2] = rounded(dtype, t % 2 ? -thresholds[t / 2] : thresholds[t / 2]);
            for (int i = NEAR / 2; i > 0; i--) x[i - 1] = next_after(dtype, x[i], -INFINITY);
            for (int i = NEAR / 2; i < NEAR - 1; i++) x[i + 1] = next_after(dtype, x[i], INFINITY);
            for (size_t i = 0; i < NEAR; i++) set(dtype, in, i, x[i]);
            nnc_map(dtype, (nnc_function)f, out, in, NEAR);
            for (size_t i = 0; i + 1 < NEAR; i++) {
                wide y = get(dtype, out, i), next = get(dtype, out, i + 1);
                if (next < y) largest_step = fmaxl(largest_step, ulps(dtype, next, y));
            }
        }
        CASE("%s %s %s: %Lg back", nnc_cpu_info().isa, dtype_name(dtype),
             nnc_function_name((nnc_function)f), largest_step);
        if (getenv("VERBOSE")) printf("%s\n", test_now.where);
        CHECK(largest_step <= 1);
    }
}

TEST(results_are_nearly_monotone_around_thresholds)
{
    for_each_isa(check_monotone);
}

SUITE()
{
    RUN(results_are_accurate);
    RUN(results_are_nearly_monotone_around_thresholds);
}
