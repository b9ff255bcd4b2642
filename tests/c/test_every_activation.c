/* test_every_activation.c - each of NNC_ACTIVATION_LIST: its values against the C library in long
 * double, its derivative against finite differences of these, its limits, its bits on all ISAs. */
#include "nnc.h"
#include "reference.h"
#include "test.h"

enum { N = 12000 };

/* In units of the last place; mish multiplies z by what may be subnormal. */
static wide most_ulps(nnc_dtype dtype, nnc_activation f, wide z)
{
    switch (f) {
        case NNC_ACT_MISH:
            return z < (dtype == NNC_F32 ? -87 : -708) ? -z : 6;
        case NNC_ACT_SELU:
            return 4;
        case NNC_ACT_HARD_SWISH:
            return 3;
        default:
            return 2;
    }
}

/* Where f or f' jumps. */
static bool near_kink(nnc_activation f, wide z, wide distance)
{
    switch (f) {
        case NNC_ACT_RELU:
        case NNC_ACT_LEAKY_RELU:
        case NNC_ACT_ELU:
        case NNC_ACT_SELU:
        case NNC_ACT_SOFTSIGN:
            return fabsl(z) <= distance;
        case NNC_ACT_HARD_SIGMOID:
        case NNC_ACT_HARD_SWISH:
            return fabsl(fabsl(z) - 3) <= distance;
        default:
            return false;
    }
}

/* Arguments: where functions change, all magnitudes, both kinks of the hard ones. */
static size_t arguments(nnc_dtype dtype, void *z)
{
    static const double special[] = {0.0,      -0.0,     INFINITY, -INFINITY, NAN,  1e-30, -1e-30,
                                     3,        -3,       1,        -1,        1e30, -1e30, 40,
                                     -40,      800,      -800,     1e4,       -1e4, 20,    -20,
                                     2.999999, -2.99999, 3.000001, -3.00001};
    size_t n = sizeof special / sizeof *special, third = (N - n) / 3;
    char *rest = (char *)z + n * nnc_dtype_size(dtype);
    for (size_t i = 0; i < n; i++) set(dtype, z, i, special[i]);
    scatter(dtype, rest, third, -8, 8, 1);
    rest += third * nnc_dtype_size(dtype);
    scatter(dtype, rest, third, -80, 80, 2);
    rest += third * nnc_dtype_size(dtype);
    scatter(dtype, rest, third, -60, 10, 3);
    for (size_t i = 0; i < third; i++)
        set(dtype, rest, i, (i % 2 ? 1 : -1) * exp2l(get(dtype, rest, i)));
    return n + 3 * third;
}

static void check_values(nnc_dtype dtype)
{
    void *z = room(dtype, N), *a = room(dtype, N);
    size_t n = arguments(dtype, z);
    for (int f = 0; f < NNC_ACT_COUNT; f++) {
        nnc_activation f_ = (nnc_activation)f;
        wide worst = 0, at = 0;
        nnc_activate(dtype, f_, a, z, n);
        for (size_t i = 0; i < n; i++) {
            wide exact = activation(f_, get(dtype, z, i));
            wide error = ulps(dtype, get(dtype, a, i), rounded(dtype, exact));
            if (isfinite(rounded(dtype, exact))) error = ulps(dtype, get(dtype, a, i), exact);
            error /= most_ulps(dtype, f_, get(dtype, z, i));
            if (error > worst) worst = error, at = get(dtype, z, i);
        }
        CASE("%s %s %s: %.2Lf of what is allowed at %.9Lg", nnc_cpu_info().isa, dtype_name(dtype),
             nnc_activation_name(f_), worst, at);
        CHECK(worst <= 1);
        nnc_activate(dtype, f_, z, z, n);
        CHECK(same(dtype, a, z, 4) && same(dtype, (char *)a + 5 * nnc_dtype_size(dtype),
                                           (char *)z + 5 * nnc_dtype_size(dtype), n - 5));
        n = arguments(dtype, z);
    }
    free(z), free(a);
}

TEST(values)
{
    for_each_isa(check_values);
}

/* Central differences in long double, with an error of some 1e-12. */
static void check_slopes(nnc_dtype dtype)
{
    void *z = room(dtype, N), *dz = room(dtype, N), *da = room(dtype, N), *x = room(dtype, N);
    const wide h = 1e-6L, tolerance = dtype == NNC_F32 ? 5e-6L : 1e-7L;
    scatter(dtype, z, N, -8, 8, 5);
    for (size_t i = 0; i < N; i++) set(dtype, da, i, i % 2 ? 1 : -0.5);
    for (int f = 0; f < NNC_ACT_COUNT; f++) {
        nnc_activation f_ = (nnc_activation)f;
        wide worst = 0, at = 0;
        nnc_activation_gradient(dtype, f_, dz, da, z, N);
        for (size_t i = 0; i < N; i++) {
            wide value = get(dtype, z, i);
            if (near_kink(f_, value, 2 * h)) continue;
            wide slope_ = (activation(f_, value + h) - activation(f_, value - h)) / (2 * h);
            wide error = fabsl(get(dtype, dz, i) / get(dtype, da, i) - slope_);
            /* single precision knows the output, and so the slope, only to within that */
            error /= dtype == NNC_F32 ? fmaxl(fabsl(slope_), 1) : fabsl(slope_) + 1e-17L;
            if (error > worst) worst = error, at = value;
        }
        CASE("%s %s %s: %.3Lg at %.9Lg", nnc_cpu_info().isa, dtype_name(dtype),
             nnc_activation_name(f_), worst, at);
        CHECK(worst <= tolerance);
        if (!nnc_is_of_z(f_)) nnc_activate(dtype, f_, x, z, N);
        nnc_activate_backward(dtype, f_, x, da, nnc_is_of_z(f_) ? z : x, N);
        CHECK(same(dtype, x, dz, N));
    }
    free(z), free(dz), free(da), free(x);
}

TEST(slopes)
{
    for_each_isa(check_slopes);
}

/* Where the argument is infinite or nearly so. */
static void check_limits(nnc_dtype dtype)
{
    static const double ends[] = {INFINITY, -INFINITY, 1e30, -1e30, 900, -900};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        for (int f = 0; f < NNC_ACT_COUNT; f++) {
            nnc_activation f_ = (nnc_activation)f;
            double z[1], da[1], dz[1];
            set(dtype, z, 0, ends[i]);
            set(dtype, da, 0, 1);
            wide exact = rounded(dtype, slope(f_, origin(f_, get(dtype, z, 0))));
            nnc_activation_gradient(dtype, f_, dz, da, z, 1);
            wide got = get(dtype, dz, 0);
            CASE("%s %s %s at %g: %Lg, expected %Lg", nnc_cpu_info().isa, dtype_name(dtype),
                 nnc_activation_name(f_), ends[i], got, exact);
            CHECK(got == exact || fabsl(got - exact) <= 4 * epsilon(dtype) * fminl(1, exact + 1));
        }
    }
}

TEST(limits)
{
    for_each_isa(check_limits);
}

/* As activation_tmpl.h says. */
static void check_kinks(nnc_dtype dtype)
{
    static const struct {
        nnc_activation f;
        double z, slope;
    } known[] = {{NNC_ACT_RELU, 0, 0},
                 {NNC_ACT_LEAKY_RELU, 0, 0.01},
                 {NNC_ACT_SELU, 0, 1.7580993408473766},
                 {NNC_ACT_ELU, 0, 1},
                 {NNC_ACT_SOFTSIGN, 0, 1},
                 {NNC_ACT_HARD_SIGMOID, -3, 0},
                 {NNC_ACT_HARD_SIGMOID, 3, 0},
                 {NNC_ACT_HARD_SIGMOID, 0, 1 / 6.0},
                 {NNC_ACT_HARD_SWISH, -3, 0},
                 {NNC_ACT_HARD_SWISH, 3, 1},
                 {NNC_ACT_HARD_SWISH, -1.5, 0}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        double z[1], da[1], dz[1];
        set(dtype, z, 0, known[i].z);
        set(dtype, da, 0, 1);
        CASE("%s %s %s at %g", nnc_cpu_info().isa, dtype_name(dtype),
             nnc_activation_name(known[i].f), known[i].z);
        nnc_activation_gradient(dtype, known[i].f, dz, da, z, 1);
        CHECK(ulps(dtype, get(dtype, dz, 0), known[i].slope) <= 1);
    }
}

TEST(kinks)
{
    for_each_isa(check_kinks);
}

/* Any number of elements at a time, and ISAs with FMA, make the same bits. */
TEST(lengths_and_isas_do_not_change_the_bits)
{
    nnc_cpu cpu = nnc_cpu_info();
    for (int d = 0; d < NNC_DTYPE_COUNT; d++) {
        nnc_dtype dtype = (nnc_dtype)d;
        size_t item = nnc_dtype_size(dtype);
        void *z = room(dtype, N), *da = room(dtype, N), *a = room(dtype, N), *dz = room(dtype, N);
        scatter(dtype, z, N, -30, 30, 8);
        scatter(dtype, da, N, -1, 1, 9);
        for (int f = 0; f < NNC_ACT_COUNT; f++) {
            nnc_activation f_ = (nnc_activation)f;
            bool any = false;
            for (size_t i = 0; cpu.available[i]; i++) {
                nnc_select_isa(cpu.available[i]);
                if (!nnc_cpu_info().fma) continue;
                CASE("%s %s %s", cpu.available[i], dtype_name(dtype), nnc_activation_name(f_));
                char *a_now = room(dtype, N), *dz_now = room(dtype, N);
                for (size_t start = 0, n = 1; start < N; start += n, n = n % 40 + 1) {
                    if (n > N - start) n = N - start;
                    nnc_activate(dtype, f_, a_now + start * item, (char *)z + start * item, n);
                    nnc_activation_gradient(dtype, f_, dz_now + start * item,
                                            (char *)da + start * item, (char *)z + start * item, n);
                }
                if (!any) {
                    nnc_activate(dtype, f_, a, z, N);
                    nnc_activation_gradient(dtype, f_, dz, da, z, N);
                }
                any = true;
                CHECK(same(dtype, a, a_now, N) && same(dtype, dz, dz_now, N));
                free(a_now), free(dz_now);
            }
        }
        free(z), free(da), free(a), free(dz);
    }
    nnc_select_isa(NULL);
}

SUITE()
{
    RUN(values);
    RUN(slopes);
    RUN(limits);
    RUN(kinks);
    RUN(lengths_and_isas_do_not_change_the_bits);
}
