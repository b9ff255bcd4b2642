/* test_functions.c - the functions of NNC_FUNCTION_LIST on a sample of all numbers, against the C
 * library in long double. exhaustive_math.c takes every float. */
#include "exact.h"
#include "kernels/kernels.h"
#include "nnc.h"
#include "reference.h"
#include "test.h"

enum { EVENLY = 20000, ANY = 20000, EDGES = 6000, NEAR = 41, N = EVENLY + ANY + EDGES + 4096 };

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
static const double thresholds[] = {0.125,
                                    0.25,
                                    0.5,
                                    0.6931471805599453,
                                    0.7071067811865476,
                                    1,
                                    1.4142135623730951,
                                    2,
                                    4,
                                    6,
                                    8,
                                    9,
                                    10,
                                    12,
                                    13,
                                    14.5,
                                    17,
                                    18.7149,
                                    20,
                                    36.7,
                                    37.4,
                                    38.5,
                                    39,
                                    40,
                                    87.34,
                                    88.03,
                                    88.7228,
                                    89,
                                    103.28,
                                    103.97,
                                    104,
                                    108,
                                    109,
                                    708.4,
                                    709.09,
                                    709.782712893384,
                                    710,
                                    744.44,
                                    745.1332191019412,
                                    746,
                                    750,
                                    752};
enum { THRESHOLDS = sizeof thresholds / sizeof *thresholds };

/* x (NEAR): a threshold of either sign, t < 2 THRESHOLDS, and its neighbours, in order. */
static void neighbours(nnc_dtype dtype, wide *x, size_t t)
{
    x[NEAR / 2] = rounded(dtype, t % 2 ? -thresholds[t / 2] : thresholds[t / 2]);
    for (int i = NEAR / 2; i > 0; i--) x[i - 1] = next_after(dtype, x[i], -INFINITY);
    for (int i = NEAR / 2; i < NEAR - 1; i++) x[i + 1] = next_after(dtype, x[i], INFINITY);
}

/* Numbers of the interesting range evenly; of all exponents; near k ln 2 / 2; near thresholds;
 * special ones. Returns how many. */
static size_t sample(nnc_dtype dtype, void *x)
{
    static const double special[] = {0, -0.0, INFINITY, -INFINITY, NAN, -NAN, 1, -1};
    size_t n = 0, item = nnc_dtype_size(dtype);
    bool is_float = dtype == NNC_F32;
    double edge = is_float ? 110 : 760, least = is_float ? -149 : -1074;
    wide largest = is_float ? 0x1.fffffep127L : 0x1.fffffffffffffp1023L, near[NEAR];
    scatter(dtype, x, EVENLY / 2, -edge, edge, 1), n += EVENLY / 2;
    scatter(dtype, (char *)x + n * item, EVENLY / 2, -6, 6, 2), n += EVENLY / 2;
    scatter(dtype, (char *)x + n * item, ANY, least, is_float ? 128 : 1024, 3);
    for (size_t i = 0; i < ANY; i++, n++) {
        wide magnitude = fminl(exp2l(get(dtype, x, n)), largest);
        set(dtype, x, n, i % 2 ? magnitude : -magnitude);
    }
    for (int k = -EDGES / 2; k < EDGES / 2; k++) set(dtype, x, n++, k * 0.34657359027997264L);
    for (size_t t = 0; t < 2 * THRESHOLDS; t++) {
        neighbours(dtype, near, t);
        for (size_t i = 0; i < NEAR; i++) set(dtype, x, n++, near[i]);
    }
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) set(dtype, x, n++, special[i]);
    set(dtype, x, n++, largest), set(dtype, x, n++, -largest);
    set(dtype, x, n++, exp2l(least)), set(dtype, x, n++, -exp2l(least));
    if (n > N) abort();
    return n;
}

/* The largest error, and where; infinity stands for the number after the largest. */
static wide error_of(nnc_dtype dtype, const void *y, const wide *expected, size_t n, size_t *where)
{
    wide worst = 0, beyond = dtype == NNC_F32 ? 0x1p128L : 0x1p1024L;
    for (size_t i = 0; i < n; i++) {
        wide got = get(dtype, y, i), right = expected[i];
        bool sign_differs = !signbit(got) != !signbit(right);
        if (isinf(got)) got = copysignl(beyond, got);
        if (fabsl(right) > beyond) right = copysignl(beyond, right);
        wide error = ulps(dtype, got, right);
        if (!isnan(got) && sign_differs) error = INFINITY;
        if (error > worst) worst = error, *where = i;
    }
    return worst;
}

static void check_accuracy(nnc_dtype dtype)
{
    void *x = room(dtype, N), *y = room(dtype, N);
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
        for (size_t t = 0; t < 2 * THRESHOLDS; t++) {
            neighbours(dtype, x, t);
            for (size_t i = 0; i < NEAR; i++) set(dtype, in, i, x[i]);
            nnc_map(dtype, (nnc_function)f, out, in, NEAR);
            for (size_t i = 0; i + 1 < NEAR; i++) {
                wide y = get(dtype, out, i), next = get(dtype, out, i + 1);
                if (next < y) largest_step = fmaxl(largest_step, ulps(dtype, next, y));
            }
        }
        CASE("%s %s %s: %Lg back", nnc_cpu_info().isa, dtype_name(dtype),
             nnc_function_name((nnc_function)f), largest_step);
        CHECK(largest_step <= 1);
    }
}

TEST(results_are_nearly_monotone_around_thresholds)
{
    for_each_isa(check_monotone);
}

#define AT(name, x, y) {NNC_FUNCTION_##name, x, y}
static const struct {
    nnc_function f;
    double x, y;
} known[] = {
    AT(EXP, 0.0, 1),
    AT(EXP, -0.0, 1),
    AT(EXP, -INFINITY, 0.0),
    AT(EXP, 1e30, INFINITY),
    AT(EXP, -1e30, 0.0),
    AT(EXP, INFINITY, INFINITY),
    AT(EXPM1, 0.0, 0.0),
    AT(EXPM1, -0.0, -0.0),
    AT(EXPM1, -INFINITY, -1),
    AT(EXPM1, -100, -1),
    AT(EXPM1, 1e30, INFINITY),
    AT(EXPM1, INFINITY, INFINITY),
    AT(LOG, 0.0, -INFINITY),
    AT(LOG, -0.0, -INFINITY),
    AT(LOG, 1, 0.0),
    AT(LOG, -1, NAN),
    AT(LOG, -INFINITY, NAN),
    AT(LOG, INFINITY, INFINITY),
    AT(LOG1P, 0.0, 0.0),
    AT(LOG1P, -0.0, -0.0),
    AT(LOG1P, -1, -INFINITY),
    AT(LOG1P, -2, NAN),
    AT(LOG1P, -INFINITY, NAN),
    AT(LOG1P, INFINITY, INFINITY),
    AT(SIGMOID, 0.0, 0.5),
    AT(SIGMOID, -0.0, 0.5),
    AT(SIGMOID, -INFINITY, 0.0),
    AT(SIGMOID, 1e30, 1),
    AT(SIGMOID, -1e30, 0.0),
    AT(SIGMOID, INFINITY, 1),
    AT(TANH, 0.0, 0.0),
    AT(TANH, -0.0, -0.0),
    AT(TANH, -INFINITY, -1),
    AT(TANH, 1e30, 1),
    AT(TANH, -1e30, -1),
    AT(TANH, INFINITY, 1),
    AT(SOFTPLUS, 1e30, 1e30),
    AT(SOFTPLUS, -1e30, 0.0),
    AT(SOFTPLUS, -INFINITY, 0.0),
    AT(SOFTPLUS, INFINITY, INFINITY),
    AT(ERF, 0.0, 0.0),
    AT(ERF, -0.0, -0.0),
    AT(ERF, -INFINITY, -1),
    AT(ERF, 1e30, 1),
    AT(ERF, -1e30, -1),
    AT(ERF, INFINITY, 1),
    AT(GELU, 0.0, 0.0),
    AT(GELU, -0.0, -0.0),
    AT(GELU, -INFINITY, -0.0),
    AT(GELU, 1e30, 1e30),
    AT(GELU, -1e30, -0.0),
    AT(GELU, INFINITY, INFINITY),
    AT(SILU, 0.0, 0.0),
    AT(SILU, -0.0, -0.0),
    AT(SILU, -INFINITY, -0.0),
    AT(SILU, 1e30, 1e30),
    AT(SILU, -1e30, -0.0),
    AT(SILU, INFINITY, INFINITY),
};
#undef AT

static void check_known(nnc_dtype dtype)
{
    double x[1], y[1];
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        set(dtype, x, 0, known[i].x);
        nnc_map(dtype, known[i].f, y, x, 1);
        wide got = get(dtype, y, 0), expected = rounded(dtype, known[i].y);
        CASE("%s %s %s(%g) = %Lg", nnc_cpu_info().isa, dtype_name(dtype),
             nnc_function_name(known[i].f), known[i].x, got);
        CHECK(isnan(expected) ? isnan(got)
                              : got == expected && !signbit(got) == !signbit(expected));
    }
    for (int f = 0; f < NNC_FUNCTION_COUNT; f++) {
        CASE("%s %s %s", nnc_cpu_info().isa, dtype_name(dtype), nnc_function_name((nnc_function)f));
        for (int sign = -1; sign <= 1; sign += 2) {
            set(dtype, x, 0, copysign(NAN, sign));
            nnc_map(dtype, (nnc_function)f, y, x, 1);
            CHECK(isnan(get(dtype, y, 0)));
        }
    }
}

TEST(limits_are_exact)
{
    for_each_isa(check_known);
}

static void check_odd(nnc_dtype dtype)
{
    void *x = room(dtype, N), *y = room(dtype, N), *opposite = room(dtype, N);
    size_t n = sample(dtype, x);
    for (int f = 0; f < NNC_FUNCTION_COUNT; f++) {
        if (!is_odd((nnc_function)f)) continue;
        for (size_t i = 0; i < n; i++) set(dtype, opposite, i, -get(dtype, x, i));
        nnc_map(dtype, (nnc_function)f, y, x, n);
        nnc_map(dtype, (nnc_function)f, opposite, opposite, n);
        for (size_t i = 0; i < n; i++) {
            CASE("%s %s %s at %La", nnc_cpu_info().isa, dtype_name(dtype),
                 nnc_function_name((nnc_function)f), get(dtype, x, i));
            CHECK(get(dtype, y, i) == -get(dtype, opposite, i) || isnan(get(dtype, x, i)));
        }
    }
    free(x), free(y), free(opposite);
}

TEST(odd_functions_are_odd)
{
    for_each_isa(check_odd);
}

/* Every length and every place in a vector give what the number gives alone, in place too; nothing
 * is written beyond. */
static void check_places(nnc_dtype dtype)
{
    enum { MOST = 37 };
    size_t item = nnc_dtype_size(dtype);
    void *x = room(dtype, MOST), *alone = room(dtype, MOST), *y = room(dtype, MOST + 1);
    scatter(dtype, x, MOST, 0.01, 30, 4);
    for (int f = 0; f < NNC_FUNCTION_COUNT; f++) {
        for (size_t i = 0; i < MOST; i++)
            nnc_map(dtype, (nnc_function)f, (char *)alone + i * item, (char *)x + i * item, 1);
        for (size_t n = 0; n <= MOST; n++) {
            CASE("%s %s %s n %zu", nnc_cpu_info().isa, dtype_name(dtype),
                 nnc_function_name((nnc_function)f), n);
            set(dtype, y, n, 77);
            nnc_map(dtype, (nnc_function)f, y, x, n);
            CHECK(same(dtype, y, alone, n) && get(dtype, y, n) == 77);
            memcpy(y, x, n * item);
            nnc_map(dtype, (nnc_function)f, y, y, n);
            CHECK(same(dtype, y, alone, n) && get(dtype, y, n) == 77);
        }
    }
    free(x), free(alone), free(y);
}

TEST(places_and_lengths_do_not_matter)
{
    for_each_isa(check_places);
}

/* The same bits from every ISA with FMA; the sign of a NaN is nobody's promise. */
TEST(isas_with_fma_agree)
{
    nnc_cpu cpu = nnc_cpu_info();
    for (int d = 0; d < NNC_DTYPE_COUNT; d++) {
        nnc_dtype dtype = (nnc_dtype)d;
        void *x = room(dtype, N), *y = room(dtype, N), *first = room(dtype, N);
        size_t n = sample(dtype, x);
        for (int f = 0; f < NNC_FUNCTION_COUNT; f++) {
            bool seen = false;
            for (size_t s = 0; cpu.available[s]; s++) {
                nnc_select_isa(cpu.available[s]);
                if (!nnc_cpu_info().fma) continue;
                CASE("%s %s %s", cpu.available[s], dtype_name(dtype),
                     nnc_function_name((nnc_function)f));
                nnc_map(dtype, (nnc_function)f, y, x, n);
                for (size_t i = 0; i < n; i++)
                    if (isnan(get(dtype, y, i))) set(dtype, y, i, NAN);
                if (seen) CHECK(same(dtype, y, first, n));
                memcpy(first, y, n * nnc_dtype_size(dtype));
                seen = true;
            }
        }
        free(x), free(y), free(first);
    }
    nnc_select_isa(NULL);
}

SUITE()
{
    RUN(results_are_accurate);
    RUN(results_are_nearly_monotone_around_thresholds);
    RUN(limits_are_exact);
    RUN(odd_functions_are_odd);
    RUN(places_and_lengths_do_not_matter);
    RUN(isas_with_fma_agree);
}
