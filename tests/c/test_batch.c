/* test_batch.c - the kernels that batches add: against plain loops, and the same bits on all ISAs
 * with FMA. */
#include "core/base.h"
#include "kernels/kernels.h"
#include "nnc.h"
#include "reference.h"
#include "test.h"

#define N_OF(array) (sizeof(array) / sizeof *(array))

enum { SENTINEL = 77, MOST = 70 };

static void fill(nnc_dtype dtype, void *x, size_t n)
{
    for (size_t i = 0; i < n; i++) set(dtype, x, i, SENTINEL);
}

/* How far a sum of so many terms may be from `exact`, where `scale` is the sum of their sizes. */
static bool near(nnc_dtype dtype, wide got, wide exact, wide scale, size_t terms)
{
    return fabsl(got - exact) <= (wide)(terms + 8) * 2 * epsilon(dtype) * scale;
}

/* The first ISA with FMA decides, each with its own bytes for one case after the other. */
static struct {
    char *bytes;
    size_t used, room, at;
    bool first;
} seen;

static void check_bits(const void *x, size_t bytes)
{
    if (!nnc_cpu_info().fma) return;
    if (seen.first) {
        while (seen.used + bytes > seen.room) {
            seen.room = 2 * seen.room + 4096;
            seen.bytes = realloc(seen.bytes, seen.room);
            if (!seen.bytes) abort();
        }
        if (bytes > 0) memcpy(seen.bytes + seen.used, x, bytes);
        seen.used += bytes;
        return;
    }
    CHECK(seen.at + bytes <= seen.used && memcmp(seen.bytes + seen.at, x, bytes) == 0);
    seen.at += bytes;
}

static void each_isa(void (*body)(nnc_dtype dtype))
{
    nnc_cpu cpu = nnc_cpu_info();
    seen.used = 0, seen.first = true;
    for (size_t i = 0; cpu.available[i]; i++) {
        nnc_select_isa(cpu.available[i]);
        seen.at = 0;
        for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) body((nnc_dtype)dtype);
        if (nnc_cpu_info().fma) seen.first = false;
    }
    free(seen.bytes);
    seen.bytes = NULL, seen.room = 0;
    nnc_select_isa(NULL);
}

/* ------------------------------------------------------------------------ moving elements */

static void transpose_of(nnc_dtype dtype)
{
    for (size_t rows = 0; rows <= MOST; rows += rows < 35 ? 1 : 7) {
        for (size_t cols = 0; cols <= MOST; cols += cols < 35 ? 1 : 7) {
            size_t ld = cols + rows % 3, out_ld = rows + cols % 2;
            void *x = room(dtype, rows * ld), *out = room(dtype, cols * out_ld + 1);
            bool right = true, gaps = true;
            CASE("%s %s rows %zu cols %zu", nnc_cpu_info().isa, dtype_name(dtype), rows, cols);
            scatter(dtype, x, rows * ld, -1, 1, rows * 100 + cols);
            fill(dtype, out, cols * out_ld + 1);
            nnc_kernels_for(dtype)->transpose(out, x, rows, cols, out_ld, ld);
            for (size_t j = 0; j < cols; j++) {
                for (size_t i = 0; i < rows; i++)
                    right &= get(dtype, out, j * out_ld + i) == get(dtype, x, i * ld + j);
                for (size_t i = rows; i < out_ld; i++)
                    gaps &= get(dtype, out, j * out_ld + i) == SENTINEL;
            }
            CHECK(right);
            CHECK(gaps && get(dtype, out, cols * out_ld) == SENTINEL);
            free(x), free(out);
        }
    }
}

TEST(transpose)
{
    for_each_isa(transpose_of);
}

static void turn_of(nnc_dtype dtype)
{
    enum { ELEMENTS = NNC_PANEL * NNC_PANEL };
    void *x = room(dtype, ELEMENTS), *out = room(dtype, ELEMENTS + 1);
    scatter(dtype, x, ELEMENTS, -1, 1, 5);
    for (size_t rows = 1; rows <= NNC_PANEL; rows++) {
        for (size_t cols = 0; cols <= NNC_PANEL; cols++) {
            bool right = true;
            CASE("%s %s rows %zu cols %zu", nnc_cpu_info().isa, dtype_name(dtype), rows, cols);
            fill(dtype, out, ELEMENTS + 1);
            nnc_kernels_for(dtype)->turn_panel(out, x, rows, cols);
            for (size_t j = 0; j < cols; j++)
                for (size_t i = 0; i < rows; i++)
                    right &= get(dtype, out, j * NNC_PANEL + i) == get(dtype, x, i * NNC_PANEL + j);
            CHECK(right);
            CHECK(get(dtype, out, ELEMENTS) == SENTINEL);
        }
    }
    free(x), free(out);
}

TEST(turn_panel)
{
    for_each_isa(turn_of);
}

static void gather_of(nnc_dtype dtype)
{
    enum { SAMPLES = 50 };
    size_t lanes = NNC_LINE / nnc_dtype_size(dtype), index[NNC_PANEL];
    for (size_t features = 0; features <= 37; features++) {
        const ptrdiff_t n = (ptrdiff_t)features + 2;
        const ptrdiff_t strides[][2] = {{1, n}, {SAMPLES, 1}, {2, 2 * n}, {-1, n}, {1, -n}, {1, 0}};
        for (size_t s = 0; s < N_OF(strides); s++) {
            for (size_t cols = lanes; cols <= NNC_PANEL; cols += lanes) {
                size_t size = 2 * SAMPLES * (features + 2), ld = cols + lanes * (s % 2);
                void *block = room(dtype, 2 * size), *out = room(dtype, features * ld + 1);
                char *x = (char *)block + size * nnc_dtype_size(dtype); /* strides go either way */
                bool right = true;
                scatter(dtype, block, 2 * size, -1, 1, features);
                fill(dtype, out, features * ld + 1);
                for (size_t j = 0; j < cols; j++) index[j] = j * 17 % SAMPLES;
                CASE("%s %s features %zu cols %zu strides %zu", nnc_cpu_info().isa,
                     dtype_name(dtype), features, cols, s);
                nnc_kernels_for(dtype)->gather(out, x, index, features, cols, strides[s][0],
                                               strides[s][1], ld);
                for (size_t i = 0; i < features; i++) {
                    for (size_t j = 0; j < cols; j++) {
                        ptrdiff_t place =
                            (ptrdiff_t)i * strides[s][0] + (ptrdiff_t)index[j] * strides[s][1];
                        right &= get(dtype, out, i * ld + j) ==
                                 get(dtype, block, (size_t)((ptrdiff_t)size + place));
                    }
                    for (size_t j = cols; j < ld; j++)
                        right &= get(dtype, out, i * ld + j) == SENTINEL;
                }
                CHECK(right && get(dtype, out, features * ld) == SENTINEL);
                free(block), free(out);
            }
        }
    }
}

TEST(gather)
{
    for_each_isa(gather_of);
}

/* ------------------------------------------------------------------------------- products */

static void row_of(nnc_dtype dtype)
{
    for (size_t n_out = 1; n_out <= 35; n_out += n_out < 18 ? 1 : 5) {
        for (size_t n_in = 1; n_in <= MOST; n_in += n_in < 35 ? 1 : 9) {
            void *w = room(dtype, n_out * n_in), *b = room(dtype, n_out), *x = room(dtype, n_in);
            void *a = room(dtype, n_out + 1);
            scatter(dtype, w, n_out * n_in, -1, 1, n_in);
            scatter(dtype, b, n_out, -1, 1, n_out);
            scatter(dtype, x, n_in, -1, 1, n_in + 7);
            for (int f = 0; f < NNC_ACT_COUNT; f++) {
                bool close = true, bias = (n_in + (size_t)f) % 2;
                CASE("%s %s n_out %zu n_in %zu activation %d", nnc_cpu_info().isa,
                     dtype_name(dtype), n_out, n_in, f);
                fill(dtype, a, n_out + 1);
                nnc_kernels_for(dtype)->dense_row(a, w, bias ? b : NULL, x, (nnc_activation)f,
                                                  n_out, n_in);
                for (size_t i = 0; i < n_out; i++) {
                    wide exact = bias ? get(dtype, b, i) : 0, scale = 1;
                    for (size_t k = 0; k < n_in; k++) {
                        wide term = get(dtype, w, i * n_in + k) * get(dtype, x, k);
                        exact += term, scale += fabsl(term);
                    }
                    exact = activation((nnc_activation)f, exact);
                    scale *= fmaxl(1, fabsl(exact)); /* the slope of e^z */
                    close &= near(dtype, get(dtype, a, i), exact, scale, n_in);
                }
                CHECK(close);
                CHECK(get(dtype, a, n_out) == SENTINEL);
                check_bits(a, n_out * nnc_dtype_size(dtype));
            }
            free(w), free(b), free(x), free(a);
        }
    }
}

TEST(dense_row)
{
    each_isa(row_of);
}

/* dz (n_out, n) in panels times x (n, n_in): each element a chain in the order of the samples. */
static void outer_case(nnc_dtype dtype, size_t n_out, size_t n_in, size_t n)
{
    size_t panels = (n + NNC_PANEL - 1) / NNC_PANEL, dz_panel = n_out * NNC_PANEL + 16;
    size_t dw_ld = n_in + n % 3, size = n_out * dw_ld + 1, x_size = panels * NNC_PANEL * NNC_PANEL;
    void *dz = room(dtype, panels * dz_panel), *x = room(dtype, x_size);
    void *dw = room(dtype, size), *start = room(dtype, size);
    scatter(dtype, dz, panels * dz_panel, -1, 1, n_out);
    scatter(dtype, x, x_size, -1, 1, n_in);
    scatter(dtype, start, size, -1, 1, n);
    for (int k = 0; k < 2; k++) {
        double rate = k * 0.25;
        bool close = true;
        CASE("%s %s n_out %zu n_in %zu n %zu rate %g", nnc_cpu_info().isa, dtype_name(dtype), n_out,
             n_in, n, rate);
        memcpy(dw, start, size * nnc_dtype_size(dtype));
        nnc_kernels_for(dtype)->outer(dw, dz, x, n_out, n_in, n, dz_panel, dw_ld, rate);
        for (size_t i = 0; i < n_out; i++) {
            for (size_t j = 0; j < dw_ld; j++) {
                wide exact = 0, before = get(dtype, start, i * dw_ld + j);
                wide scale = 1 + fabsl(before), got = get(dtype, dw, i * dw_ld + j);
                for (size_t s = 0; s < n; s++) {
                    size_t place = s / NNC_PANEL * dz_panel + i * NNC_PANEL + s % NNC_PANEL;
                    wide term = get(dtype, dz, place) * get(dtype, x, s * NNC_PANEL + j);
                    exact += term, scale += fabsl(term);
                }
                if (rate != 0) exact = before - rate * exact;
                close &= j < n_in ? near(dtype, got, exact, scale, n) : got == before;
            }
        }
        CHECK(close);
        CHECK(get(dtype, dw, size - 1) == get(dtype, start, size - 1));
        check_bits(dw, size * nnc_dtype_size(dtype));
    }
    free(dz), free(x), free(dw), free(start);
}

static void outer_of(nnc_dtype dtype)
{
    static const size_t samples[] = {1, 5, 32, 33, 100};
    for (size_t s = 0; s < N_OF(samples); s++)
        for (size_t n_in = 1; n_in <= NNC_PANEL; n_in += n_in < 18 ? 1 : 7)
            for (size_t n_out = 1; n_out <= 26; n_out += n_out < 14 ? 1 : 6)
                outer_case(dtype, n_out, n_in, samples[s]);
    outer_case(dtype, 7, 32, 1000); /* more samples than the first cache holds */
    outer_case(dtype, 17, 9, 1399);
}

TEST(outer)
{
    each_isa(outer_of);
}

/* A sum over samples in panels; scale += its size. */
static wide sum_of(nnc_dtype dtype, const void *a, size_t a_panel, const void *b, size_t b_panel,
                   size_t cols, wide *scale)
{
    wide sum = 0;
    for (size_t s = 0; s < cols; s++) {
        wide term = get(dtype, a, s / NNC_PANEL * a_panel + s % NNC_PANEL) *
                    get(dtype, b, s / NNC_PANEL * b_panel + s % NNC_PANEL);
        sum += term, *scale += fabsl(term);
    }
    return sum;
}

/* dense_weights on panels: a first part of the samples, then the rest added to it. */
static void weights_case(nnc_dtype dtype, size_t n_out, size_t n_in, size_t panels, size_t extra)
{
    size_t item = nnc_dtype_size(dtype), dz_panel = (n_out + 1) * NNC_PANEL;
    size_t x_panel = (n_in + 1) * NNC_PANEL + 16, size = n_out * n_in + 1;
    size_t cols = panels * NNC_PANEL + extra;
    void *dz = room(dtype, (panels + 1) * dz_panel), *x = room(dtype, (panels + 1) * x_panel);
    void *dw = room(dtype, size), *db = room(dtype, n_out + 1);
    bool close = true;
    CASE("%s %s n_out %zu n_in %zu cols %zu", nnc_cpu_info().isa, dtype_name(dtype), n_out, n_in,
         cols);
    scatter(dtype, dz, (panels + 1) * dz_panel, -1, 1, n_out);
    scatter(dtype, x, (panels + 1) * x_panel, -1, 1, n_in);
    fill(dtype, dw, size), fill(dtype, db, n_out + 1);
    for (size_t p = 0; p <= panels; p++)
        nnc_kernels_for(dtype)->fill((char *)x + (p * x_panel + n_in * NNC_PANEL) * item, 1,
                                     NNC_PANEL);
    nnc_layout samples = {NNC_PANEL, NNC_PANEL, NNC_PANEL, dz_panel, x_panel, false};
    nnc_kernels_for(dtype)->dense_weights(dw, db, dz, x, n_out, n_in, &samples);
    samples.cols = cols - NNC_PANEL;
    samples.more = true;
    nnc_kernels_for(dtype)->dense_weights(dw, db, (char *)dz + dz_panel * item,
                                          (char *)x + x_panel * item, n_out, n_in, &samples);
    for (size_t i = 0; i < n_out; i++) {
        for (size_t j = 0; j <= n_in; j++) {
            wide scale = 0, got = get(dtype, j < n_in ? dw : db, j < n_in ? i * n_in + j : i);
            wide exact = sum_of(dtype, (char *)dz + i * NNC_PANEL * item, dz_panel,
                                (char *)x + j * NNC_PANEL * item, x_panel, cols, &scale);
            close &= near(dtype, got, exact, scale, cols);
        }
    }
    CHECK(close);
    CHECK(get(dtype, dw, size - 1) == SENTINEL && get(dtype, db, n_out) == SENTINEL);
    check_bits(dw, size * item), check_bits(db, n_out * item);
    free(dz), free(x), free(dw), free(db);
}

static void weights_of(nnc_dtype dtype)
{
    for (size_t n_in = 1; n_in <= 30; n_in += n_in < 10 ? 1 : 5)
        for (size_t n_out = 1; n_out <= 14; n_out++)
            for (size_t panels = 1; panels <= 9; panels += 4)
                weights_case(dtype, n_out, n_in, panels, n_out % 2 * NNC_LINE / 4);
}

TEST(weights_in_panels)
{
    each_isa(weights_of);
}

/* -------------------------------------------------------------------------------- softmax */

static void softmax_case(nnc_dtype dtype, size_t n_out, size_t cols, double range)
{
    size_t ld = cols + 3, item = nnc_dtype_size(dtype), n = n_out * ld;
    void *z = room(dtype, n), *p = room(dtype, n), *dz = room(dtype, n), *y = room(dtype, n);
    void *hit = room(dtype, cols + 1), *again = room(dtype, n), *log_p = room(dtype, n);
    bool close = true, hits = true, gaps = true;
    wide total = 0, scale = 1;
    size_t terms = n_out + 2 * (size_t)range; /* z less the largest z is rounded */
    double sum, alone;
    CASE("%s %s n_out %zu cols %zu range %g", nnc_cpu_info().isa, dtype_name(dtype), n_out, cols,
         range);
    scatter(dtype, z, n, -range, range, n);
    scatter(dtype, y, n, 0, 1, n + 1); /* their sums need not be 1 */
    memcpy(p, z, n * item), memcpy(dz, z, n * item), memcpy(again, z, n * item);
    memcpy(log_p, z, n * item);
    fill(dtype, hit, cols + 1);
    nnc_kernels_for(dtype)->softmax(p, n_out, cols, ld);
    nnc_kernels_for(dtype)->log_softmax(log_p, n_out, cols, ld);
    nnc_kernels_for(dtype)->softmax_loss(&sum, hit, dz, y, NULL, n_out, cols, ld);
    nnc_kernels_for(dtype)->softmax_loss(&alone, NULL, again, y, NULL, n_out, cols, ld);
    CHECK(sum == alone && same(dtype, dz, again, n));
    for (size_t j = 0; j < cols; j++) {
        wide most = -INFINITY, powers = 0, targets = 0;
        size_t guess = 0, truth = 0;
        for (size_t i = 0; i < n_out; i++) {
            most = fmaxl(most, get(dtype, z, i * ld + j));
            if (get(dtype, z, i * ld + j) > get(dtype, z, guess * ld + j)) guess = i;
            if (get(dtype, y, i * ld + j) > get(dtype, y, truth * ld + j)) truth = i;
            targets += get(dtype, y, i * ld + j);
        }
        for (size_t i = 0; i < n_out; i++) powers += expl(get(dtype, z, i * ld + j) - most);
        for (size_t i = 0; i < n_out; i++) {
            wide logit = get(dtype, z, i * ld + j) - most, target = get(dtype, y, i * ld + j);
            wide exact = expl(logit) / powers;
            close &= near(dtype, get(dtype, p, i * ld + j), exact, exact + 1e-30L, terms);
            close &= near(dtype, get(dtype, log_p, i * ld + j), logit - logl(powers),
                          fabsl(logit) + logl(powers) + 1, n_out); /* powers are rounded */
            close &= near(dtype, get(dtype, dz, i * ld + j), targets * exact - target,
                          targets * exact + target, 2 * terms);
            total += target * (logl(powers) - logit);
            scale += target * (logl(powers) + fabsl(logit));
        }
        hits &= get(dtype, hit, j) == (guess == truth);
    }
    for (size_t i = 0; i < n_out; i++)
        for (size_t j = cols; j < ld; j++)
            gaps &= get(dtype, p, i * ld + j) == get(dtype, z, i * ld + j) &&
                    get(dtype, log_p, i * ld + j) == get(dtype, z, i * ld + j) &&
                    get(dtype, dz, i * ld + j) == get(dtype, z, i * ld + j);
    CHECK(close);
    CHECK(hits && get(dtype, hit, cols) == SENTINEL);
    CHECK(gaps);
    CHECK(near(dtype, sum, total, scale, n_out + cols));
    check_bits(p, n * item), check_bits(dz, n * item), check_bits(&sum, sizeof sum);
    check_bits(log_p, n * item), free(log_p);
    free(z), free(p), free(dz), free(y), free(hit), free(again);
}

static void softmax_of(nnc_dtype dtype)
{
    static const size_t outputs[] = {1, 2, 3, 10, 37};
    for (size_t i = 0; i < N_OF(outputs); i++) {
        for (size_t cols = 0; cols <= 40; cols += cols < 18 ? 1 : 4) {
            softmax_case(dtype, outputs[i], cols, 3);
            softmax_case(dtype, outputs[i], cols, dtype == NNC_F32 ? 40 : 300);
        }
    }
}

TEST(softmax_and_its_loss)
{
    each_isa(softmax_of);
}

/* Where e^z alone would overflow, or all but one underflow; and the first of equals counts. */
static void extremes_of(nnc_dtype dtype)
{
    const nnc_kernels *kernels = nnc_kernels_for(dtype);
    double z[] = {1e30, -1e30, 1e30, 0}, y[] = {1, 0, 0, 0}, sum;
    float z_32[4], y_32[4], hit_32;
    double hit_64;
    void *zs = dtype == NNC_F32 ? (void *)z_32 : z, *ys = dtype == NNC_F32 ? (void *)y_32 : y;
    void *hit = dtype == NNC_F32 ? (void *)&hit_32 : &hit_64;
    for (int i = 0; i < 4; i++) z_32[i] = (float)z[i], y_32[i] = (float)y[i];
    CASE("%s %s", nnc_cpu_info().isa, dtype_name(dtype));
    kernels->softmax_loss(&sum, hit, zs, ys, NULL, 4, 1, 1);
    CHECK(fabs(sum - log(2)) <= 4 * (double)epsilon(dtype));
    CHECK(get(dtype, hit, 0) == 1);
    CHECK(get(dtype, zs, 0) == -0.5L && get(dtype, zs, 1) == 0 && get(dtype, zs, 2) == 0.5L);
    set(dtype, zs, 0, 1e30), set(dtype, zs, 1, -1e30);
    set(dtype, zs, 2, 0), set(dtype, zs, 3, -INFINITY);
    kernels->log_softmax(zs, 4, 1, 1);
    CHECK(get(dtype, zs, 0) == 0 && get(dtype, zs, 3) == -INFINITY);
    CHECK(fabsl(get(dtype, zs, 1) + 2e30L) <= 4e30L * epsilon(dtype));
    for (int i = 0; i < 2; i++) {
        set(dtype, zs, 1, NAN);
        (i ? kernels->log_softmax : kernels->softmax)(zs, 4, 1, 1);
        CHECK(isnan(get(dtype, zs, 0)) && isnan(get(dtype, zs, 3)));
        for (size_t k = 0; k < 4; k++) set(dtype, zs, k, 0);
    }
}

/* Outputs side by side go another way than those that lie apart. */
static void one_sample_of(nnc_dtype dtype)
{
    const nnc_kernels *kernels = nnc_kernels_for(dtype);
    size_t item = nnc_dtype_size(dtype);
    for (size_t n = 1; n <= 40; n++) {
        void *row = room(dtype, n + 1), *column = room(dtype, 3 * n);
        for (int logarithm = 0; logarithm < 2; logarithm++) {
            bool equal = true;
            CASE("%s %s n_out %zu, logarithm %d", nnc_cpu_info().isa, dtype_name(dtype), n,
                 logarithm);
            fill(dtype, row, n + 1);
            scatter(dtype, row, n, -9, 9, n);
            for (size_t i = 0; i < n; i++)
                memcpy((char *)column + 3 * i * item, (char *)row + i * item, item);
            (logarithm ? kernels->log_softmax : kernels->softmax)(row, n, 1, 1);
            (logarithm ? kernels->log_softmax : kernels->softmax)(column, n, 1, 3);
            for (size_t i = 0; i < n; i++) equal &= get(dtype, row, i) == get(dtype, column, 3 * i);
            CHECK(equal && get(dtype, row, n) == SENTINEL);
        }
        free(row), free(column);
    }
}

TEST(softmax_of_one_sample)
{
    each_isa(one_sample_of);
}

TEST(softmax_of_extremes)
{
    for_each_isa(extremes_of);
}

/* --------------------------------------------------------------------- losses and steps */

static void losses_of(nnc_dtype dtype)
{
    static const nnc_loss losses[] = {NNC_LOSS_CCE, NNC_LOSS_MSE, NNC_LOSS_SSE};
    for (size_t n = 0; n <= MOST; n++) {
        void *p = room(dtype, n), *y = room(dtype, n), *dy = room(dtype, n + 1);
        scatter(dtype, p, n, 0.01, 0.99, n);
        scatter(dtype, y, n, 0, 1, n + 1);
        for (size_t l = 0; l < N_OF(losses); l++) {
            double sum, alone;
            wide exact = 0, scale = 1;
            bool close = true;
            CASE("%s %s loss %d n %zu", nnc_cpu_info().isa, dtype_name(dtype), losses[l], n);
            set(dtype, dy, n, SENTINEL);
            nnc_kernels_for(dtype)->loss[losses[l]](&sum, dy, p, y, NULL, 0, n);
            nnc_kernels_for(dtype)->loss[losses[l]](&alone, NULL, p, y, NULL, 0, n);
            CHECK(sum == alone);
            for (size_t i = 0; i < n; i++) {
                wide p_i = get(dtype, p, i), y_i = get(dtype, y, i);
                wide loss =
                    losses[l] == NNC_LOSS_CCE ? -y_i * logl(p_i) : (p_i - y_i) * (p_i - y_i);
                wide by_p = losses[l] == NNC_LOSS_CCE ? -y_i / p_i : 2 * (p_i - y_i);
                exact += loss, scale += fabsl(loss);
                close &= ulps(dtype, get(dtype, dy, i), by_p) <= 1;
            }
            CHECK(close);
            CHECK(near(dtype, sum, exact, scale, n));
            CHECK(get(dtype, dy, n) == SENTINEL);
            check_bits(dy, n * nnc_dtype_size(dtype)), check_bits(&sum, sizeof sum);
        }
        free(p), free(y), free(dy);
    }
}

TEST(losses)
{
    each_isa(losses_of);
}

SUITE()
{
    RUN(transpose);
    RUN(turn_panel);
    RUN(gather);
    RUN(dense_row);
    RUN(outer);
    RUN(weights_in_panels);
    RUN(softmax_and_its_loss);
    RUN(softmax_of_one_sample);
    RUN(softmax_of_extremes);
    RUN(losses);
}
