/* test_dense.c - the matrix kernels of each ISA: against plain loops in long double, and against
 * the order of arithmetic that kernels.h promises, bit for bit. */
#include "core/base.h"
#include "kernels/kernels.h"
#include "nnc.h"
#include "reference.h"
#include "test.h"

/* One problem: rows of outputs, depth of inputs, and both of its directions.
 *   forward    a (rows, cols) = f(w x + b)      w (rows, depth), x (depth, cols), then ones
 *   backward   dx (rows, cols) = (wt^T dz) f'   wt (depth, rows) with w_ld, dz (depth, cols)
 *   weights    dw (rows, depth) = dz x^T        both with ld
 *              db (rows) */
typedef struct {
    nnc_dtype dtype;
    size_t rows, depth, cols, ld, w_ld;
    void *w, *wt, *b, *x, *y, *out, *db;
} problem;

#define SENTINEL 77

static problem make_problem(nnc_dtype dtype, size_t rows, size_t depth, size_t cols, size_t ld)
{
    problem p = {.dtype = dtype,
                 .rows = rows,
                 .depth = depth,
                 .cols = cols,
                 .ld = ld,
                 .w_ld = rows + rows % 3};
    uint64_t seed = rows * 1000003 + depth * 1009 + cols;
    p.w = room(dtype, rows * depth);
    p.wt = room(dtype, depth * p.w_ld);
    p.b = room(dtype, rows);
    p.x = room(dtype, (depth + 1) * ld);
    p.y = room(dtype, rows * ld);
    p.out = room(dtype, rows * nnc_max(ld, depth) + 1);
    p.db = room(dtype, rows + 1);
    scatter(dtype, p.w, rows * depth, -1, 1, seed);
    scatter(dtype, p.wt, depth * p.w_ld, -1, 1, seed + 1);
    scatter(dtype, p.b, rows, -1, 1, seed + 2);
    scatter(dtype, p.x, depth * ld, -1, 1, seed + 3);
    scatter(dtype, p.y, rows * ld, -1, 1, seed + 4);
    for (size_t j = 0; j < ld; j++) set(dtype, p.x, depth * ld + j, 1);
    return p;
}

static void free_problem(problem *p)
{
    free(p->w), free(p->wt), free(p->b), free(p->x), free(p->y), free(p->out), free(p->db);
}

static void clear(problem *p)
{
    size_t n = p->rows * nnc_max(p->ld, p->depth) + 1;
    for (size_t i = 0; i < n; i++) set(p->dtype, p->out, i, SENTINEL);
    for (size_t i = 0; i < p->rows + 1; i++) set(p->dtype, p->db, i, SENTINEL);
}

/* acc + a b as the chosen ISA does it: rounded once, or with the product rounded too. */
static wide multiply_add(nnc_dtype dtype, wide a, wide b, wide acc, bool fma_)
{
    if (dtype == NNC_F32) {
        if (fma_) return fmaf((float)a, (float)b, (float)acc);
        return (float)a * (float)b + (float)acc;
    }
    if (fma_) return fma((double)a, (double)b, (double)acc);
    return (double)a * (double)b + (double)acc;
}

/* The sum over k of u[k u_step] v[k v_step], from start: its chain in the dtype, in *exact its
 * value, in *scale what its error is measured by. */
static wide chain(const problem *p, bool fma_, wide start, const void *u, size_t u_at,
                  size_t u_step, const void *v, size_t v_at, size_t v_step, wide *exact,
                  wide *scale)
{
    wide acc = start;
    *exact = start;
    *scale = fabsl(start);
    for (size_t k = 0; k < p->depth; k++) {
        wide a = get(p->dtype, u, u_at + k * u_step), b = get(p->dtype, v, v_at + k * v_step);
        acc = multiply_add(p->dtype, a, b, acc, fma_);
        *exact += a * b;
        *scale += fabsl(a * b);
    }
    return acc;
}

static bool near(const problem *p, wide value, wide exact, wide scale, size_t terms)
{
    return fabsl(value - exact) <= (wide)(terms + 2) * 2 * epsilon(p->dtype) * scale;
}

/* Nothing but the (rows, cols) of out was written. */
static bool gaps_untouched(const problem *p)
{
    for (size_t i = 0; i < p->rows; i++)
        for (size_t j = p->cols; j < p->ld; j++)
            if (get(p->dtype, p->out, i * p->ld + j) != SENTINEL) return false;
    return get(p->dtype, p->out, p->rows * nnc_max(p->ld, p->depth)) == SENTINEL;
}

#define LONG false
#define SHORT true
#define IS_SHORT(id, name, length, origin) [NNC_ACT_##id] = length,
static bool is_short(nnc_activation f)
{
    static const bool lengths[] = {NNC_ACTIVATION_LIST(IS_SHORT)};
    return lengths[f];
}

static void check_forward(problem *p, nnc_activation f, bool with_bias)
{
    bool fused = nnc_cpu_info().fma, bits = true, close = true;
    clear(p);
    nnc_kernels_for(p->dtype)->dense_forward(p->out, p->w, with_bias ? p->b : NULL, p->x, f,
                                             p->rows, p->depth, p->cols, p->ld);
    for (size_t i = 0; i < p->rows; i++) {
        for (size_t j = 0; j < p->cols; j++) {
            wide exact, scale, start = with_bias ? get(p->dtype, p->b, i) : 0;
            wide z = chain(p, fused, start, p->w, i * p->depth, 1, p->x, j, p->ld, &exact, &scale);
            wide a = get(p->dtype, p->out, i * p->ld + j);
            if (is_short(f))
                bits &= a == activation(f, z);
            else
                bits &= ulps(p->dtype, a, activation(f, z)) <= 6;
            exact = activation(f, exact);
            close &= near(p, a, exact, (scale + 1) * fmaxl(1, fabsl(exact)), p->depth);
        }
    }
    CHECK(bits);
    CHECK(close);
    CHECK(gaps_untouched(p));
}

/* in_place: dx takes the place of the activations that its f' needs. */
static void check_backward_to(problem *p, nnc_activation f, bool in_place)
{
    bool fused = nnc_cpu_info().fma, bits = true, close = true;
    const void *y = in_place ? p->out : f == NNC_ACT_IDENTITY ? NULL : p->y;
    clear(p);
    for (size_t i = 0; in_place && i < p->rows; i++)
        for (size_t j = 0; j < p->cols; j++)
            set(p->dtype, p->out, i * p->ld + j, get(p->dtype, p->y, i * p->ld + j));
    nnc_kernels_for(p->dtype)->dense_backward(p->out, p->wt, p->x, y, f, p->rows, p->depth, p->w_ld,
                                              p->cols, p->ld);
    for (size_t i = 0; i < p->rows; i++) {
        for (size_t j = 0; j < p->cols; j++) {
            wide exact, scale;
            wide da = chain(p, fused, 0, p->wt, i, p->w_ld, p->x, j, p->ld, &exact, &scale);
            wide a = get(p->dtype, p->y, i * p->ld + j);
            wide dx = get(p->dtype, p->out, i * p->ld + j);
            if (f == NNC_ACT_SIGMOID) {
                da = multiply_add(p->dtype, da, a, 0, false);
                da = multiply_add(p->dtype, da, minus(p->dtype, 1, a), 0, false);
                bits &= dx == da;
            } else if (is_short(f)) {
                bits &= dx == da * slope(f, a);
            } else {
                bits &= fabsl(dx - da * slope(f, a)) <= 16 * epsilon(p->dtype) * fabsl(da);
            }
            close &= near(p, dx, exact * slope(f, a), 2 * scale, p->depth);
        }
    }
    CHECK(bits);
    CHECK(close);
    CHECK(gaps_untouched(p));
}

static void check_backward(problem *p, nnc_activation f)
{
    check_backward_to(p, f, false);
    check_backward_to(p, f, true);
}

/* The promised sum over samples: a chain for each lane of a logical vector, then halves fold.
 * v may be NULL: a sum of u. */
static wide lane_sum(const problem *p, bool fused, const void *u, size_t u_at, const void *v,
                     size_t v_at, wide *exact, wide *scale)
{
    enum { MOST = 16 };
    size_t lanes = NNC_LINE / nnc_dtype_size(p->dtype);
    wide acc[MOST] = {0};
    *exact = *scale = 0;
    for (size_t s = 0; s < p->cols; s++) {
        wide a = get(p->dtype, u, u_at + s), b = v ? get(p->dtype, v, v_at + s) : 1;
        acc[s % lanes] = multiply_add(p->dtype, a, b, acc[s % lanes], fused);
        *exact += a * b;
        *scale += fabsl(a * b);
    }
    for (size_t half = lanes / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++)
            acc[i] = multiply_add(p->dtype, acc[i], 1, acc[i + half], fused);
    return acc[0];
}

static void check_weights_and(problem *p, void *db)
{
    bool fused = nnc_cpu_info().fma, bits = true, close = true;
    wide exact, scale;
    clear(p);
    const nnc_layout samples = nnc_one_panel(p->cols, p->ld);
    nnc_kernels_for(p->dtype)->dense_weights(p->out, db, p->y, p->x, p->rows, p->depth, &samples);
    for (size_t i = 0; i < p->rows; i++) {
        for (size_t k = 0; k < p->depth; k++) {
            wide dw = get(p->dtype, p->out, i * p->depth + k);
            bits &= dw == lane_sum(p, fused, p->y, i * p->ld, p->x, k * p->ld, &exact, &scale);
            close &= near(p, dw, exact, scale, p->cols);
        }
    }
    CHECK(bits);
    CHECK(close);
    CHECK(get(p->dtype, p->out, p->rows * p->depth) == SENTINEL);
    for (size_t i = 0; db && i < p->rows; i++) {
        wide sum = get(p->dtype, db, i);
        bits &= sum == lane_sum(p, fused, p->y, i * p->ld, NULL, 0, &exact, &scale);
        close &= near(p, sum, exact, scale, p->cols);
    }
    CHECK(bits);
    CHECK(close);
    CHECK(get(p->dtype, p->db, db ? p->rows : 0) == SENTINEL);
}

static void check_weights(problem *p)
{
    check_weights_and(p, p->db);
    check_weights_and(p, NULL);
}

/* Fills seen with what the three kernels give, padding included. */
static size_t all_outputs(problem *p, char *seen)
{
    const nnc_kernels *kernels = nnc_kernels_for(p->dtype);
    size_t bytes = p->rows * nnc_max(p->ld, p->depth) * nnc_dtype_size(p->dtype), used = 0;
    for (int kind = 0; kind < 6; kind++) {
        nnc_activation f = (nnc_activation)(kind % 3);
        clear(p);
        if (kind < 3)
            kernels->dense_forward(p->out, p->w, p->b, p->x, f, p->rows, p->depth, p->cols, p->ld);
        else
            kernels->dense_backward(p->out, p->wt, p->x, p->y, f, p->rows, p->depth, p->w_ld,
                                    p->cols, p->ld);
        memcpy(seen + used, p->out, bytes);
        used += bytes;
    }
    const nnc_layout samples = nnc_one_panel(p->cols, p->ld);
    kernels->dense_weights(p->out, p->db, p->y, p->x, p->rows, p->depth, &samples);
    memcpy(seen + used, p->out, bytes);
    used += bytes;
    bytes = p->rows * nnc_dtype_size(p->dtype);
    memcpy(seen + used, p->db, bytes);
    return used + bytes;
}

/* Calls body with every shape around the edges of the tiles. */
static void for_each_shape(nnc_dtype dtype, void (*body)(problem *p))
{
    static const size_t depths[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 17, 60}; /* rows up to 14 */
    static const size_t vectors[] = {1, 2, 3, 6, 11};
    size_t lanes = NNC_LINE / nnc_dtype_size(dtype);
    for (size_t rows = 1; rows <= 14; rows++) {
        for (size_t d = 0; d < sizeof depths / sizeof *depths; d++) {
            for (size_t v = 0; v < sizeof vectors / sizeof *vectors; v++) {
                if (depths[d] > 9 && (rows % 5 != 3 || v % 2)) continue;
                size_t cols = vectors[v] * lanes, ld = (vectors[v] | 1) * lanes;
                problem p = make_problem(dtype, rows, depths[d], cols, ld);
                CASE("%s %s rows %zu depth %zu cols %zu", nnc_cpu_info().isa, dtype_name(dtype),
                     rows, depths[d], cols);
                body(&p);
                free_problem(&p);
            }
        }
    }
}

static void forward_shape(problem *p)
{
    check_forward(p, NNC_ACT_IDENTITY, true);
    check_forward(p, NNC_ACT_RELU, false);
}

static void forward_dtype(nnc_dtype dtype)
{
    for_each_shape(dtype, forward_shape);
}

TEST(forward)
{
    for_each_isa(forward_dtype);
}

static void backward_shape(problem *p)
{
    check_backward(p, NNC_ACT_IDENTITY);
    check_backward(p, NNC_ACT_RELU);
}

static void backward_dtype(nnc_dtype dtype)
{
    for_each_shape(dtype, backward_shape);
}

TEST(backward)
{
    for_each_isa(backward_dtype);
}

static void weights_dtype(nnc_dtype dtype)
{
    for_each_shape(dtype, check_weights);
}

TEST(weights_and_bias)
{
    for_each_isa(weights_dtype);
}

/* long double makes these slow, so with fewer shapes */
static void epilogues_dtype(nnc_dtype dtype)
{
    size_t lanes = NNC_LINE / nnc_dtype_size(dtype);
    for (size_t rows = 1; rows <= 7; rows++) {
        for (size_t vectors = 1; vectors <= 7; vectors++) {
            problem p = make_problem(dtype, rows, 4, vectors * lanes, (vectors | 1) * lanes);
            CASE("%s %s rows %zu cols %zu", nnc_cpu_info().isa, dtype_name(dtype), rows, p.cols);
            for (int f = 0; f < NNC_ACT_COUNT; f++) {
                if (f > NNC_ACT_SIGMOID && (rows + vectors + (size_t)f) % 4) continue;
                check_forward(&p, (nnc_activation)f, false);
                check_forward(&p, (nnc_activation)f, true);
                check_backward(&p, (nnc_activation)f);
            }
            free_problem(&p);
        }
    }
}

TEST(epilogues)
{
    for_each_isa(epilogues_dtype);
}

/* Inputs deeper than the first cache, which tiles take in parts, and more tiles than a group. */
static void deep_dtype(nnc_dtype dtype)
{
    static const size_t rows[] = {3, 150}, depths[] = {650, 1400};
    size_t lanes = NNC_LINE / nnc_dtype_size(dtype);
    for (size_t i = 0; i < 4; i++) {
        problem p = make_problem(dtype, rows[i / 2], depths[i % 2], (1 + i % 2) * lanes, 3 * lanes);
        CASE("%s %s rows %zu depth %zu", nnc_cpu_info().isa, dtype_name(dtype), p.rows, p.depth);
        check_forward(&p, NNC_ACT_RELU, true);
        check_forward(&p, NNC_ACT_IDENTITY, false);
        check_backward(&p, NNC_ACT_RELU);
        free_problem(&p);
    }
}

TEST(deep_inputs)
{
    for_each_isa(deep_dtype);
}

static void agree_shape(problem *p)
{
    nnc_cpu cpu = nnc_cpu_info();
    size_t bytes = p->rows * (7 * nnc_max(p->ld, p->depth) + 1) * nnc_dtype_size(p->dtype);
    char *first = NULL, *seen = malloc(bytes);
    if (!seen) abort();
    for (size_t i = 0; cpu.available[i]; i++) {
        nnc_select_isa(cpu.available[i]);
        if (!nnc_cpu_info().fma) continue;
        CASE("%s %s rows %zu depth %zu cols %zu", cpu.available[i], dtype_name(p->dtype), p->rows,
             p->depth, p->cols);
        size_t used = all_outputs(p, seen);
        CHECK(used == bytes);
        if (!first) {
            first = malloc(bytes);
            if (!first) abort();
            memcpy(first, seen, bytes);
        }
        CHECK(memcmp(first, seen, bytes) == 0);
    }
    free(first);
    free(seen);
}

TEST(fma_isas_agree)
{
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++)
        for_each_shape((nnc_dtype)dtype, agree_shape);
    nnc_select_isa(NULL);
}

/* Sizes of zero are legal: no output, or an output of no terms. */
static void check_empty(nnc_dtype dtype)
{
    const nnc_kernels *kernels = nnc_kernels_for(dtype);
    size_t lanes = NNC_LINE / nnc_dtype_size(dtype);
    problem p = make_problem(dtype, 5, 3, 2 * lanes, 3 * lanes);
    const nnc_layout all = nnc_one_panel(p.cols, p.ld), none = nnc_one_panel(0, p.ld);
    CASE("%s %s", nnc_cpu_info().isa, dtype_name(dtype));
    clear(&p);
    kernels->dense_forward(p.out, p.w, p.b, p.x, NNC_ACT_RELU, 0, 3, p.cols, p.ld);
    kernels->dense_forward(p.out, p.w, p.b, p.x, NNC_ACT_RELU, 5, 3, 0, p.ld);
    kernels->dense_backward(p.out, p.wt, p.x, NULL, NNC_ACT_IDENTITY, 0, 3, 5, p.cols, p.ld);
    kernels->dense_weights(p.out, p.db, p.y, p.x, 0, 3, &all);
    kernels->dense_weights(p.out, NULL, p.y, p.x, 5, 0, &all);
    CHECK(get(dtype, p.out, 0) == SENTINEL);
    CHECK(get(dtype, p.db, 0) == SENTINEL);
    p.depth = 0;
    check_forward(&p, NNC_ACT_IDENTITY, true);
    check_forward(&p, NNC_ACT_IDENTITY, false);
    check_backward(&p, NNC_ACT_IDENTITY);
    p.depth = 3;
    kernels->dense_weights(p.out, p.db, p.y, p.x, 5, 3, &none);
    for (size_t i = 0; i < 15; i++) CHECK(get(dtype, p.out, i) == 0);
    for (size_t i = 0; i < 5; i++) CHECK(get(dtype, p.db, i) == 0);
    free_problem(&p);
}

TEST(empty_sizes)
{
    for_each_isa(check_empty);
}

SUITE()
{
    RUN(forward);
    RUN(backward);
    RUN(weights_and_bias);
    RUN(epilogues);
    RUN(deep_inputs);
    RUN(fma_isas_agree);
    RUN(empty_sizes);
}
