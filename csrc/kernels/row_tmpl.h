/* row_tmpl.h - a layer's output for one sample. Vector lanes are inputs: VLEN dot products at a
 * time, whose lanes are then folded together into one vector of results. */

/* The rows that share a load of x. */
#define NNC_ROW_GROUP (VLEN < 4 ? 2 : 4)

/* acc (NNC_ROW_GROUP) = the lanes of w x, for rows of w `row` elements apart. */
static NNC_ALWAYS_INLINE void NNC_FN(row_dots)(vreal *acc, const real *const *w, const real *x,
                                               size_t n_in)
{
    vreal lanes[4][PARTS];
#pragma GCC unroll 4
    for (size_t i = 0; i < NNC_ROW_GROUP; i++) {
#pragma GCC unroll 4
        for (size_t part = 0; part < PARTS; part++) lanes[i][part] = (vreal){0};
    }
    size_t whole = n_in - n_in % LANES;
    for (size_t k = 0; k < whole; k += LANES) {
#pragma GCC unroll 4
        for (size_t part = 0; part < PARTS; part++) {
            vreal xs = v_load(x + k + part * VLEN);
#pragma GCC unroll 4
            for (size_t i = 0; i < NNC_ROW_GROUP; i++)
                lanes[i][part] = v_fma(v_load(w[i] + k + part * VLEN), xs, lanes[i][part]);
        }
    }
    for (size_t k = whole, part = 0; k < n_in; k += VLEN, part++) {
        size_t count = nnc_min(n_in - k, VLEN);
        for (size_t i = 0; i < NNC_ROW_GROUP; i++)
            lanes[i][part] = v_fma(at(w[i] + k, count), at(x + k, count), lanes[i][part]);
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < NNC_ROW_GROUP; i++) {
        acc[i] = v_fold_parts(lanes[i]);
    }
}

/* LONG activations come after the whole row: their constants, and calls, would take the registers
 * of the products. */
#define NNC_SHORT(name) NULL
#define NNC_LONG(name) NNC_FN(activate_##name)
#define NNC_CASE(id, name, length, ...) [NNC_ACT_##id] = NNC_##length(name),
typedef void (*NNC_FN(row_end))(void *a, const void *z, size_t n);
static const NNC_FN(row_end) NNC_FN(row_ends)[NNC_ACT_COUNT] = {NNC_ACTIVATION_LIST(NNC_CASE)};
#undef NNC_CASE
#undef NNC_LONG
#undef NNC_SHORT

/* f(z) of a SHORT f, else z. */
static NNC_ALWAYS_INLINE vreal NNC_FN(short_end)(nnc_activation f, vreal z)
{
#define NNC_SHORT(id, name) \
    case NNC_ACT_##id:      \
        return NNC_FN(f_##name)(z);
#define NNC_LONG(id, name)
#define NNC_CASE(id, name, length, ...) NNC_##length(id, name)
    switch (f) {
        NNC_ACTIVATION_LIST(NNC_CASE)
        default:
            return z;
    }
#undef NNC_CASE
#undef NNC_LONG
#undef NNC_SHORT
}

static void NNC_FN(dense_row)(void *a_, const void *w_, const void *b_, const void *x_,
                              nnc_activation f, size_t n_out, size_t n_in)
{
    real *a = a_;
    const real *w = w_, *b = b_, *x = x_;
    for (size_t row = 0; row < n_out; row += VLEN) {
        vreal sums[VLEN];
        size_t count = nnc_min(n_out - row, VLEN);
        for (size_t i = 0; i < VLEN; i += NNC_ROW_GROUP) {
            const real *rows[4];
            for (size_t j = 0; j < NNC_ROW_GROUP; j++)
                rows[j] = w + nnc_min(row + i + j, n_out - 1) * n_in;
            NNC_FN(row_dots)(sums + i, rows, x, n_in);
        }
        vreal z = v_fold_all(sums);
        if (b) z += at(b + row, count);
        put(a + row, NNC_FN(short_end)(f, z), count);
    }
    if (NNC_FN(row_ends)[f]) NNC_FN(row_ends)[f](a, a, n_out);
}

#undef NNC_ROW_GROUP
