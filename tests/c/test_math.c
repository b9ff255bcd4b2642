/* test_math.c - activations and losses, against the C library in long double; test_functions.c has
 * the functions that they are made of. */
#include "kernels/kernels.h"
#include "nnc.h"
#include "reference.h"
#include "test.h"

enum { N = 60000 };

/* Of the exact value: */
#define SIGMOID_ULPS 2
#define LOSS_ULPS 4

/* Logits: the interesting range evenly, all magnitudes, both sides of where results become
 * subnormal, and the special values. */
static size_t logits(nnc_dtype dtype, void *z)
{
    static const double special[] = {0.0,      -0.0,   INFINITY, -INFINITY, NAN,   -NAN,
                                     1e-300,   -1e-45, 0x1p-149, 0x1p-1074, 1e38,  -1e38,
                                     1e308,    36.7,   -36.7,    16.6,      -16.6, 0.34657359,
                                     0.693147, 88.7,   -88.8,    709.7,     -709.8};
    size_t n = sizeof special / sizeof *special, third = (N - n) / 3;
    for (size_t i = 0; i < n; i++) set(dtype, z, i, special[i]);
    double edge = dtype == NNC_F32 ? 106 : 750;
    char *rest = (char *)z + n * nnc_dtype_size(dtype);
    scatter(dtype, rest, third, -edge, edge, 1);
    rest += third * nnc_dtype_size(dtype);
    scatter(dtype, rest, third, -20, 20, 2);
    rest += third * nnc_dtype_size(dtype);
    scatter(dtype, rest, third, dtype == NNC_F32 ? -150 : -1074, 10, 3);
    for (size_t i = 0; i < third; i++)
        set(dtype, rest, i, (i % 2 ? 1 : -1) * exp2l(get(dtype, rest, i)));
    return n + 3 * third;
}

static wide error_of(nnc_dtype dtype, const void *got, const wide *expected, size_t n)
{
    wide worst = 0;
    for (size_t i = 0; i < n; i++) {
        wide error = ulps(dtype, get(dtype, got, i), expected[i]);
        if (error > worst) worst = error;
    }
    return worst;
}

static void check_sigmoid(nnc_dtype dtype)
{
    void *z = room(dtype, N), *a = room(dtype, N);
    size_t n = logits(dtype, z);
    wide *expected = malloc(N * sizeof *expected);
    if (!expected) abort();
    for (size_t i = 0; i < n; i++) expected[i] = sigmoid(get(dtype, z, i));
    nnc_activate(dtype, NNC_ACT_SIGMOID, a, z, n);
    wide worst = error_of(dtype, a, expected, n);
    CASE("%s %s: %.2Lf ulps", nnc_cpu_info().isa, dtype_name(dtype), worst);
    CHECK(worst <= SIGMOID_ULPS);
    bool bounded = true;
    for (size_t i = 0; i < n; i++)
        bounded &= isnan(expected[i]) || (get(dtype, a, i) >= 0 && get(dtype, a, i) <= 1);
    CHECK(bounded);
    nnc_activate(dtype, NNC_ACT_SIGMOID, z, z, n);
    CHECK(same(dtype, a, z, n));
    free(z);
    free(a);
    free(expected);
}

TEST(sigmoid_is_accurate)
{
    for_each_isa(check_sigmoid);
}

static void check_exact_values(nnc_dtype dtype)
{
    static const struct {
        double z, sigmoid, relu;
    } known[] = {{0.0, 0.5, 0.0},
                 {-0.0, 0.5, 0.0},
                 {INFINITY, 1, INFINITY},
                 {-INFINITY, 0, 0},
                 {1e4, 1, 1e4},
                 {-1e4, 0, 0},
                 {40, 1, 40},
                 {0x1p-100, 0.5, 0x1p-100}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        double z[1], a[1];
        CASE("%s %s z %g", nnc_cpu_info().isa, dtype_name(dtype), known[i].z);
        set(dtype, z, 0, known[i].z);
        nnc_activate(dtype, NNC_ACT_SIGMOID, a, z, 1);
        CHECK(get(dtype, a, 0) == known[i].sigmoid && !signbit(get(dtype, a, 0)));
        nnc_activate(dtype, NNC_ACT_RELU, a, z, 1);
        CHECK(get(dtype, a, 0) == known[i].relu && !signbit(get(dtype, a, 0)));
        nnc_activate(dtype, NNC_ACT_IDENTITY, a, z, 1);
        CHECK(same(dtype, a, z, 1));
    }
    for (int f = 0; f < NNC_ACT_COUNT; f++) {
        double z[1], a[1];
        CASE("%s %s %s", nnc_cpu_info().isa, dtype_name(dtype),
             nnc_activation_name((nnc_activation)f));
        set(dtype, z, 0, NAN);
        nnc_activate(dtype, (nnc_activation)f, a, z, 1);
        CHECK(isnan(get(dtype, a, 0)));
    }
}

TEST(exact_values)
{
    for_each_isa(check_exact_values);
}

/* loss = -y log p - (1 - y) log(1 - p) with p = sigmoid(z), free of cancellation for each y in
 * [0, 1]. The y are multiples of 1/4: their products with z are exact. */
static wide logit_loss(wide z, wide y)
{
    wide tail = log1pl(expl(-fabsl(z)));
    return (z > 0 ? (1 - y) * z : -y * z) + tail;
}

static void check_loss_from_logits(nnc_dtype dtype)
{
    static const double targets[] = {0, 1, 0.25};
    const nnc_kernels *kernels = nnc_kernels_for(dtype);
    void *z = room(dtype, N);
    size_t n = logits(dtype, z);
    for (size_t t = 0; t < sizeof targets / sizeof *targets; t++) {
        wide worst = 0, worst_p = 0, worst_dz = 0, at = 0;
        bool nan_passes = true;
        for (size_t i = 0; i < n; i++) {
            double y[1], p[1], dz[1], sum;
            wide logit = get(dtype, z, i);
            if (isinf(logit)) continue;
            set(dtype, y, 0, targets[t]);
            kernels->loss_from_logits[NNC_LOSS_BCE](
                &sum, dz, p, (char *)z + i * nnc_dtype_size(dtype), y, NULL, 0, 1);
            if (isnan(logit)) {
                nan_passes &= isnan(sum) && isnan(get(dtype, p, 0)) && isnan(get(dtype, dz, 0));
                continue;
            }
            wide error = ulps(dtype, sum, logit_loss(logit, targets[t]));
            if (error > worst) at = logit;
            worst = fmaxl(worst, error);
            worst_p = fmaxl(worst_p, ulps(dtype, get(dtype, p, 0), sigmoid(logit)));
            wide difference = minus(dtype, get(dtype, p, 0), targets[t]);
            worst_dz = fmaxl(worst_dz, ulps(dtype, get(dtype, dz, 0), difference));
        }
        CASE("%s %s y %g: loss %.3Lg ulps at %Lg, p %.2Lf", nnc_cpu_info().isa, dtype_name(dtype),
             targets[t], worst, at, worst_p);
        CHECK(worst <= LOSS_ULPS);
        CHECK(worst_p <= SIGMOID_ULPS);
        CHECK(worst_dz == 0);
        CHECK(nan_passes);
    }
    free(z);
}

TEST(loss_from_logits_is_accurate)
{
    for_each_isa(check_loss_from_logits);
}

/* Probabilities: evenly, near 0, near 1, subnormal. */
static size_t probabilities(nnc_dtype dtype, void *p)
{
    static const double special[] = {0, -0.0, 1, 0.5, 0x1p-126, 0x1p-1022, 0x1p-149, 0x1p-1074};
    size_t n = sizeof special / sizeof *special, third = (N - n) / 3;
    for (size_t i = 0; i < n; i++) set(dtype, p, i, special[i]);
    char *rest = (char *)p + n * nnc_dtype_size(dtype);
    scatter(dtype, rest, third, 0, 1, 4);
    rest += third * nnc_dtype_size(dtype);
    scatter(dtype, rest, third, dtype == NNC_F32 ? -149 : -1074, 0, 5);
    for (size_t i = 0; i < third; i++) set(dtype, rest, i, exp2l(get(dtype, rest, i)));
    rest += third * nnc_dtype_size(dtype);
    scatter(dtype, rest, third, dtype == NNC_F32 ? -25 : -54, 0, 6);
    for (size_t i = 0; i < third; i++) set(dtype, rest, i, 1 - exp2l(get(dtype, rest, i)));
    return n + 3 * third;
}

/* Cross-entropy takes 1 - p rounded to the dtype, and bounds p and 1 - p as nnc.h says. */
static void check_bce(nnc_dtype dtype)
{
    static const double targets[] = {0, 1, 0.25};
    const nnc_kernels *kernels = nnc_kernels_for(dtype);
    wide least_p = dtype == NNC_F32 ? 0x1p-126L : 0x1p-1022L, least_q = epsilon(dtype);
    void *p = room(dtype, N);
    size_t n = probabilities(dtype, p);
    for (size_t t = 0; t < sizeof targets / sizeof *targets; t++) {
        wide worst = 0, worst_dy = 0, y_wide = targets[t];
        for (size_t i = 0; i < n; i++) {
            double y[1], dy[1], sum, alone;
            set(dtype, y, 0, targets[t]);
            void *p_i = (char *)p + i * nnc_dtype_size(dtype);
            kernels->loss[NNC_LOSS_BCE](&sum, dy, p_i, y, NULL, 0, 1);
            kernels->loss[NNC_LOSS_BCE](&alone, NULL, p_i, y, NULL, 0, 1);
            wide q = fmaxl(minus(dtype, 1, get(dtype, p, i)), least_q);
            wide bounded = fmaxl(get(dtype, p, i), least_p);
            wide expected = -(y_wide * logl(bounded) + (1 - y_wide) * logl(q));
            wide slope_y = (1 - y_wide) / q - y_wide / bounded;
            worst = fmaxl(worst, sum == alone ? ulps(dtype, sum, expected) : INFINITY);
            /* its two terms cancel for a fractional y: judge by the larger one */
            wide scale = fmaxl((1 - y_wide) / q, y_wide / bounded);
            worst_dy = fmaxl(worst_dy, fabsl(get(dtype, dy, 0) - slope_y) / scale);
        }
        CASE("%s %s y %g: loss %.3Lg ulps, slope %.3Lg", nnc_cpu_info().isa, dtype_name(dtype),
             targets[t], worst, worst_dy);
        CHECK(worst <= LOSS_ULPS);
        CHECK(worst_dy <= 4 * epsilon(dtype));
    }
    free(p);
}

TEST(cross_entropy_is_accurate)
{
    for_each_isa(check_bce);
}

static void check_impossible(nnc_dtype dtype)
{
    static const double impossible[] = {NAN, -0.25, 1.25, -INFINITY, INFINITY};
    for (size_t i = 0; i < sizeof impossible / sizeof *impossible; i++) {
        for (int target = 0; target < 2; target++) {
            double p[1], y[1], sum;
            CASE("%s %s p %g", nnc_cpu_info().isa, dtype_name(dtype), impossible[i]);
            set(dtype, p, 0, impossible[i]);
            set(dtype, y, 0, target);
            nnc_kernels_for(dtype)->loss[NNC_LOSS_BCE](&sum, NULL, p, y, NULL, 0, 1);
            CHECK(isnan(sum));
        }
    }
}

TEST(impossible_probabilities_cost_nan)
{
    for_each_isa(check_impossible);
}

/* Every tail: n elements give what each gives alone, in place too, and n + 1 is not written. */
static void check_tails(nnc_dtype dtype)
{
    enum { MOST = 67 };
    const nnc_kernels *kernels = nnc_kernels_for(dtype);
    void *z = room(dtype, MOST + 1), *y = room(dtype, MOST), *out = room(dtype, MOST + 1);
    void *p = room(dtype, MOST + 1), *place = room(dtype, MOST + 1), *alone = room(dtype, MOST);
    size_t item = nnc_dtype_size(dtype);
    scatter(dtype, z, MOST, -9, 9, 7);
    scatter_classes(dtype, y, MOST, 8);
    for (size_t i = 0; i < MOST; i++)
        nnc_activate(dtype, NNC_ACT_SIGMOID, (char *)alone + i * item, (char *)z + i * item, 1);
    for (size_t n = 0; n <= MOST; n++) {
        double sum, in_place;
        wide expected = 0, expected_bce = 0;
        CASE("%s %s n %zu", nnc_cpu_info().isa, dtype_name(dtype), n);
        for (size_t i = 0; i <= MOST; i++) set(dtype, out, i, 77), set(dtype, p, i, 77);
        nnc_activate(dtype, NNC_ACT_SIGMOID, out, z, n);
        CHECK(same(dtype, out, alone, n) && get(dtype, out, n) == 77);
        memcpy(place, z, MOST * item);
        nnc_activate(dtype, NNC_ACT_SIGMOID, place, place, n);
        CHECK(same(dtype, place, alone, n));
        if (n < MOST) CHECK(get(dtype, place, n) == get(dtype, z, n));

        for (size_t i = 0; i < n; i++) {
            expected += logit_loss(get(dtype, z, i), get(dtype, y, i));
            wide q = minus(dtype, 1, get(dtype, alone, i));
            expected_bce -= get(dtype, y, i) == 1 ? logl(get(dtype, alone, i)) : logl(q);
        }
        set(dtype, out, n, 77);
        kernels->loss_from_logits[NNC_LOSS_BCE](&sum, out, p, z, y, NULL, 0, n);
        CHECK(fabsl(sum - expected) <= 8 * epsilon(dtype) * expected);
        CHECK(same(dtype, p, alone, n) && get(dtype, p, n) == 77 && get(dtype, out, n) == 77);
        memcpy(place, z, MOST * item);
        kernels->loss_from_logits[NNC_LOSS_BCE](&in_place, place, p, place, y, NULL, 0, n);
        CHECK(in_place == sum && same(dtype, place, out, n));

        kernels->loss[NNC_LOSS_BCE](&sum, out, alone, y, NULL, 0, n);
        CHECK(fabsl(sum - expected_bce) <= 8 * epsilon(dtype) * expected_bce);
        CHECK(get(dtype, out, n) == 77);
    }
    free(z), free(y), free(out), free(p), free(place), free(alone);
}

TEST(tails_and_in_place)
{
    for_each_isa(check_tails);
}

/* The same bits from every ISA with FMA. */
TEST(fma_isas_agree)
{
    nnc_cpu cpu = nnc_cpu_info();
    for (int d = 0; d < NNC_DTYPE_COUNT; d++) {
        nnc_dtype dtype = (nnc_dtype)d;
        void *z = room(dtype, N), *y = room(dtype, N), *p = room(dtype, N), *dz = room(dtype, N);
        void *first_p = NULL, *first_dz = NULL;
        size_t n = logits(dtype, z), bytes = n * nnc_dtype_size(dtype);
        /* finite ones only: the sign of a NaN is nobody's promise, nor the sum with infinities */
        size_t kept = 0;
        for (size_t i = 0; i < n; i++)
            if (fabsl(get(dtype, z, i)) < 1e4L) set(dtype, z, kept++, get(dtype, z, i));
        scatter_classes(dtype, y, kept, 9);
        double first[2] = {0}, sum[2];
        for (size_t i = 0; cpu.available[i]; i++) {
            nnc_select_isa(cpu.available[i]);
            if (!nnc_cpu_info().fma) continue;
            CASE("%s %s", cpu.available[i], dtype_name(dtype));
            nnc_kernels_for(dtype)->loss_from_logits[NNC_LOSS_BCE](&sum[0], dz, p, z, y, NULL, 0,
                                                                   kept);
            nnc_kernels_for(dtype)->loss[NNC_LOSS_BCE](&sum[1], NULL, p, y, NULL, 0, kept);
            if (!first_p) {
                first_p = memcpy(room(dtype, N), p, bytes);
                first_dz = memcpy(room(dtype, N), dz, bytes);
                memcpy(first, sum, sizeof sum);
            }
            CHECK(same(dtype, p, first_p, kept) && same(dtype, dz, first_dz, kept));
            CHECK(memcmp(first, sum, sizeof sum) == 0);
        }
        free(z), free(y), free(p), free(dz), free(first_p), free(first_dz);
    }
    nnc_select_isa(NULL);
}

SUITE()
{
    RUN(sigmoid_is_accurate);
    RUN(exact_values);
    RUN(loss_from_logits_is_accurate);
    RUN(cross_entropy_is_accurate);
    RUN(impossible_probabilities_cost_nan);
    RUN(tails_and_in_place);
    RUN(fma_isas_agree);
}
