/* test_plan.c - how a batch is cut into slices, and how they are packed. */
#include "core/plan.h"
#include "nnc.h"
#include "reference.h"
#include "test.h"

static void check_plan(nnc_dtype dtype, size_t m)
{
    nnc_plan plan;
    size_t lanes = NNC_LINE / nnc_dtype_size(dtype), next = 0, longest = 0, shortest = SIZE_MAX;
    CASE("%s m %zu", dtype_name(dtype), m);
    CHECK(nnc_plan_init(&plan, dtype, m) == NNC_OK);
    CHECK(plan.dtype == dtype && plan.item == nnc_dtype_size(dtype) && plan.m == m);
    CHECK(plan.lanes == lanes);
    CHECK(plan.kernels == nnc_kernels_for(dtype));
    CHECK(plan.n_slices >= 1 && plan.n_slices <= NNC_MAX_SLICES);
    CHECK((plan.n_slices & (plan.n_slices - 1)) == 0);
    CHECK(plan.ld % lanes == 0 && plan.ld / lanes % 2 == 1);
    for (size_t s = 0; s < plan.n_slices; s++) {
        nnc_slice slice = plan.slices[s];
        CHECK(slice.start == next);
        CHECK(slice.cols % lanes == 0 && slice.cols >= lanes && slice.cols <= plan.ld);
        CHECK(slice.n <= slice.cols && (slice.cols - slice.n < lanes || m == 0));
        next = slice.start + slice.n;
        longest = nnc_max(longest, slice.cols);
        shortest = nnc_min(shortest, slice.cols);
    }
    CHECK(next == m);
    CHECK(longest - shortest <= lanes);
    CHECK(plan.ld - longest <= lanes);
}

TEST(slices_cover_the_samples_once)
{
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        for (size_t m = 0; m <= 2000; m++) check_plan((nnc_dtype)dtype, m);
        for (size_t m = 2001; m < SIZE_MAX / 64; m = m * 3 + m % 7) check_plan((nnc_dtype)dtype, m);
        check_plan((nnc_dtype)dtype, (size_t)PTRDIFF_MAX / nnc_dtype_size((nnc_dtype)dtype));
    }
}

TEST(absurd_sizes_are_refused)
{
    for (int i = 0; i < NNC_DTYPE_COUNT; i++) {
        nnc_dtype dtype = (nnc_dtype)i;
        nnc_plan plan;
        CHECK(nnc_plan_init(&plan, dtype, SIZE_MAX) == NNC_ERR_SIZE);
        CHECK(nnc_plan_init(&plan, dtype, PTRDIFF_MAX) == NNC_ERR_SIZE);
        CHECK(nnc_plan_init(&plan, dtype, PTRDIFF_MAX / nnc_dtype_size(dtype) + 1) == NNC_ERR_SIZE);
    }
}

/* The cut is the order of arithmetic: it must not know the ISA. */
TEST(every_isa_has_the_same_plan)
{
    nnc_cpu cpu = nnc_cpu_info();
    for (size_t m = 0; m < 3000; m += 13) {
        nnc_plan first, plan;
        CASE("m %zu", m);
        for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
            nnc_select_isa(cpu.available[0]);
            CHECK(nnc_plan_init(&first, (nnc_dtype)dtype, m) == NNC_OK);
            for (size_t i = 1; cpu.available[i]; i++) {
                nnc_select_isa(cpu.available[i]);
                CHECK(nnc_plan_init(&plan, (nnc_dtype)dtype, m) == NNC_OK);
                CHECK(plan.n_slices == first.n_slices && plan.ld == first.ld);
                CHECK(memcmp(plan.slices, first.slices, plan.n_slices * sizeof *plan.slices) == 0);
            }
        }
    }
    nnc_select_isa(NULL);
}

/* Sums of slices add neighbours first: the numbers of n rows at x[0], x[stride], … in the dtype. */
static wide neighbours(nnc_dtype dtype, const void *x, size_t n, size_t stride)
{
    if (n == 1) return get(dtype, x, 0);
    const char *half = (const char *)x + n / 2 * stride * nnc_dtype_size(dtype);
    wide low = neighbours(dtype, x, n / 2, stride), high = neighbours(dtype, half, n / 2, stride);
    return minus(dtype, low, -high);
}

TEST(sums_of_slices_are_a_tree)
{
    double x[8], swapped[8];
    size_t telling = 0; /* cases where another order gives another sum */
    for (uint64_t seed = 0; seed < 200; seed++) {
        scatter(NNC_F64, x, 8, 0, 1, seed);
        for (size_t n = 1; n <= 8; n *= 2) {
            nnc_plan plan = {.n_slices = n};
            CASE("seed %d n %zu", (int)seed, n);
            CHECK(nnc_sum_slices(&plan, x) == (double)neighbours(NNC_F64, x, n, 1));
            for (size_t s = 0; s < n; s++) swapped[s] = x[s % 2 * (n / 2) + s / 2];
            telling += neighbours(NNC_F64, x, n, 1) != neighbours(NNC_F64, swapped, n, 1);
        }
    }
    CHECK(telling > 50);
}

static void check_kernel_trees(nnc_dtype dtype)
{
    enum { N = 67, STRIDE = 70 };
    const nnc_kernels *kernels = nnc_kernels_for(dtype);
    void *parts = room(dtype, NNC_MAX_SLICES * STRIDE), *params = room(dtype, N);
    void *out = room(dtype, N + 1), *next = room(dtype, N + 1);
    scatter(dtype, parts, NNC_MAX_SLICES * STRIDE, -1, 1, 1);
    scatter(dtype, params, N, -1, 1, 2);
    wide step = rounded(dtype, -0.3);
    for (size_t n_parts = 1; n_parts <= NNC_MAX_SLICES; n_parts *= 2) {
        for (size_t n = 0; n <= N; n++) {
            bool sums = true, steps = true;
            CASE("%s %s parts %zu n %zu", nnc_cpu_info().isa, dtype_name(dtype), n_parts, n);
            set(dtype, out, n, 77), set(dtype, next, n, 77);
            kernels->add_slices(out, parts, n_parts, STRIDE, n);
            kernels->descend(next, params, parts, n_parts, STRIDE, 0.3, n);
            for (size_t i = 0; i < n; i++) {
                const void *column = (char *)parts + i * nnc_dtype_size(dtype);
                wide sum = neighbours(dtype, column, n_parts, STRIDE), p = get(dtype, params, i);
                sums &= get(dtype, out, i) == sum;
                wide expected;
                if (nnc_cpu_info().fma)
                    expected = dtype == NNC_F32 ? fmaf((float)step, (float)sum, (float)p)
                                                : fma((double)step, (double)sum, (double)p);
                else
                    expected = dtype == NNC_F32 ? (float)step * (float)sum + (float)p
                                                : (double)step * (double)sum + (double)p;
                steps &= get(dtype, next, i) == expected;
            }
            CHECK(sums);
            CHECK(steps);
            CHECK(get(dtype, out, n) == 77 && get(dtype, next, n) == 77);
        }
    }
    free(parts), free(params), free(out), free(next);
}

TEST(kernels_sum_slices_the_same_way)
{
    for_each_isa(check_kernel_trees);
}

/* The sum of a row: each lane of a logical vector on its own, then the upper half of the lanes
 * folds onto the lower, in double. */
static void check_row_sums(nnc_dtype dtype)
{
    enum { N = 67 };
    size_t lanes = NNC_LINE / nnc_dtype_size(dtype);
    void *x = room(dtype, N);
    for (size_t n = 0; n <= N; n++) {
        wide acc[16] = {0};
        double folded[16], sum;
        CASE("%s %s n %zu", nnc_cpu_info().isa, dtype_name(dtype), n);
        scatter(dtype, x, N, -1, 1, n);
        for (size_t i = 0; i < n; i++)
            acc[i % lanes] = minus(dtype, acc[i % lanes], -get(dtype, x, i));
        for (size_t i = 0; i < lanes; i++) folded[i] = (double)acc[i];
        for (size_t half = lanes / 2; half > 0; half /= 2)
            for (size_t i = 0; i < half; i++) folded[i] += folded[i + half];
        nnc_kernels_for(dtype)->sum(&sum, x, n);
        CHECK(sum == folded[0]);
    }
    free(x);
}

TEST(sums_of_rows_fold_their_lanes)
{
    for_each_isa(check_row_sums);
}

/* x (features, m) read through strides arrives in the block, its columns beyond the samples
 * repeat the last one, and unpacking gives it back; nothing else is written. */
static void check_packing(nnc_dtype dtype, size_t m, size_t features, ptrdiff_t feature_stride,
                          ptrdiff_t sample_stride, size_t origin, size_t span)
{
    nnc_plan plan;
    CHECK(nnc_plan_init(&plan, dtype, m) == NNC_OK);
    void *x = room(dtype, span), *back = room(dtype, features * m);
    void *block = room(dtype, features * plan.ld);
    scatter(dtype, x, span, -1, 1, m + features);
    bool packed = true, padded = true, cleared = true, untouched = true;
    for (size_t s = 0; s < plan.n_slices; s++) {
        nnc_slice slice = plan.slices[s];
        for (size_t i = 0; i < features * plan.ld; i++) set(dtype, block, i, 77);
        nnc_pack(&plan, slice, block, nnc_at(&plan, x, origin), features, feature_stride,
                 sample_stride);
        for (size_t i = 0; i < features; i++) {
            for (size_t j = 0; j < slice.cols; j++) {
                size_t sample = slice.start + nnc_min(j, slice.n - (slice.n > 0));
                ptrdiff_t from = (ptrdiff_t)origin + (ptrdiff_t)i * feature_stride +
                                 (ptrdiff_t)sample * sample_stride;
                wide expected = slice.n > 0 ? get(dtype, x, (size_t)from) : 0;
                bool equal = get(dtype, block, i * plan.ld + j) == expected;
                if (j < slice.n)
                    packed &= equal;
                else
                    padded &= equal;
            }
            for (size_t j = slice.cols; j < plan.ld; j++)
                untouched &= get(dtype, block, i * plan.ld + j) == 77;
        }
        nnc_unpack(&plan, slice, back, block, features);
        nnc_clear_padding(&plan, slice, block, features);
        for (size_t i = 0; i < features; i++)
            for (size_t j = 0; j < slice.cols; j++)
                cleared &= (get(dtype, block, i * plan.ld + j) == 0) == (j >= slice.n);
    }
    bool round_trip = true;
    for (size_t i = 0; i < features; i++)
        for (size_t j = 0; j < m; j++)
            round_trip &= get(dtype, back, i * m + j) ==
                          get(dtype, x,
                              (size_t)((ptrdiff_t)origin + (ptrdiff_t)i * feature_stride +
                                       (ptrdiff_t)j * sample_stride));
    CHECK(packed);
    CHECK(padded);
    CHECK(untouched);
    CHECK(cleared);
    CHECK(round_trip);
    free(x);
    free(back);
    free(block);
}

TEST(packing_follows_the_strides)
{
    static const size_t sizes[] = {0, 1, 2, 7, 8, 9, 15, 16, 17, 65, 255, 256, 257, 511, 1031};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t features = 1; features <= 3; features++) {
            for (int d = 0; d < NNC_DTYPE_COUNT; d++) {
                nnc_dtype dtype = (nnc_dtype)d;
                size_t m = sizes[i], all = m * features;
                ptrdiff_t rows = (ptrdiff_t)m, columns = (ptrdiff_t)features;
                CASE("%s m %zu features %zu", dtype_name(dtype), m, features);
                check_packing(dtype, m, features, rows, 1, 0, all);
                check_packing(dtype, m, features, 1, columns, 0, all);
                check_packing(dtype, m, features, 2 * rows, 2, 0, 2 * all);
                check_packing(dtype, m, features, rows, 0, 0, all);
                if (m == 0) continue;
                check_packing(dtype, m, features, -rows, -1, all - 1, all);
                check_packing(dtype, m, features, -1, -columns, all - 1, all);
                check_packing(dtype, m, features, rows, -1, m - 1, all);
            }
        }
    }
}

TEST(splits_are_near_equal)
{
    for (size_t most = 1; most <= 9; most++) {
        for (size_t n = 0; n <= 200; n++) {
            CASE("n %zu most %zu", n, most);
            nnc_split split = nnc_split_evenly(n, most);
            size_t next = 0, shortest = SIZE_MAX, longest = 0, parts = 0;
            while (nnc_split_next(&split)) {
                CHECK(split.start == next);
                CHECK(split.length >= 1 && split.length <= most);
                next = split.start + split.length;
                shortest = nnc_min(shortest, split.length);
                longest = nnc_max(longest, split.length);
                parts++;
            }
            CHECK(next == n);
            CHECK(n == 0 || longest - shortest <= 1);
            CHECK(parts == (n + most - 1) / most);
            CHECK(!nnc_split_next(&split));
        }
    }
}

TEST(checked_arithmetic)
{
    const size_t most = PTRDIFF_MAX;
    size_t x;
    CHECK(nnc_mul(&x, 3, 5) && x == 15);
    CHECK(nnc_mul(&x, most, 1) && x == most);
    CHECK(nnc_mul(&x, 0, SIZE_MAX) && x == 0);
    CHECK(!nnc_mul(&x, most / 2 + 1, 2));
    CHECK(!nnc_mul(&x, (size_t)1 << 32, (size_t)1 << 32));
    CHECK(nnc_add(&x, most - 1, 1) && x == most);
    CHECK(!nnc_add(&x, most, 1));
    CHECK(!nnc_add(&x, SIZE_MAX, 1));
    CHECK(nnc_ceil_div(0, 3) == 0 && nnc_ceil_div(7, 3) == 3 && nnc_ceil_div(SIZE_MAX, 2) > most);
}

SUITE()
{
    RUN(slices_cover_the_samples_once);
    RUN(absurd_sizes_are_refused);
    RUN(every_isa_has_the_same_plan);
    RUN(sums_of_slices_are_a_tree);
    RUN(kernels_sum_slices_the_same_way);
    RUN(sums_of_rows_fold_their_lanes);
    RUN(packing_follows_the_strides);
    RUN(splits_are_near_equal);
    RUN(checked_arithmetic);
}
