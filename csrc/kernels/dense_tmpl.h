/* dense_tmpl.h - the products of a dense layer that keep the samples apart: forward, and the
 * gradient by the layer's input. Vector lanes are samples.
 *
 * A register tile computes `rows` features of `vectors` vectors of samples, as NNC_TILE_GRID
 * lists; a matrix is cut into near-equal tiles, so that few of them are much smaller than the
 * registers allow. Columns of tiles come outermost: one column of inputs stays in the first
 * cache while all the weights pass over it. */

/* What ends a product: the layer's activation on the way forward, its derivative on the way back,
 * where y (rows, vectors) holds the activations that the gradient belongs to. */
static NNC_ALWAYS_INLINE vreal NNC_FN(finished)(nnc_activation f, bool backward, vreal c,
                                                const real *y)
{
#define NNC_FINISH(id, name, ...) \
    case NNC_ACT_##id:            \
        return backward ? NNC_FN(back_##name)(c, v_load(y)) : NNC_FN(f_##name)(c);
    switch (f) {
        NNC_ACTIVATION_LIST(NNC_FINISH)
        case NNC_ACT_COUNT:
            break;
    }
#undef NNC_FINISH
    return c;
}

/* The same for a tile (rows, vectors) in memory, from raw to c: for activations too long to stand
 * in every tile's code. */
static void NNC_FN(finish)(nnc_activation f, bool backward, real *c, const vreal *raw,
                           const real *y, size_t rows, size_t vectors, size_t ld)
{
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < vectors; j++) {
            size_t at = i * ld + j * VLEN;
            v_store(c + at, NNC_FN(finished)(f, backward, raw[i * vectors + j], y + at));
        }
    }
}

/* acc (rows, vectors) += w x: w's element (i, k) lies at w[i w_row + k w_col]. Always inlined, with
 * constants for rows, vectors and one stride. */
static NNC_ALWAYS_INLINE void NNC_FN(multiply)(size_t rows, size_t vectors,
                                               vreal acc[][NNC_TILE_VECTORS], const real *w,
                                               const real *x, size_t depth, size_t ld, size_t w_row,
                                               size_t w_col)
{
    for (size_t k = 0; k < depth; k++) {
        vreal xs[NNC_TILE_VECTORS];
#pragma GCC unroll 12
        for (size_t j = 0; j < vectors; j++) xs[j] = v_load(x + k * ld + j * VLEN);
#pragma GCC unroll 12
        for (size_t i = 0; i < rows; i++) {
            vreal weight = v_set1(w[i * w_row + k * w_col]);
#pragma GCC unroll 12
            for (size_t j = 0; j < vectors; j++) acc[i][j] = v_fma(weight, xs[j], acc[i][j]);
        }
    }
}

/* c (rows, vectors) = w x, started at b (or 0) and finished by f. Always inlined, with constants
 * for rows, vectors, one stride and backward. Short activations are applied in registers. */
static NNC_ALWAYS_INLINE void NNC_FN(tile)(size_t rows, size_t vectors, real *c, const real *w,
                                           const real *b, const real *x, size_t depth, size_t ld,
                                           size_t w_row, size_t w_col, nnc_activation f,
                                           bool backward, const real *y)
{
    vreal acc[NNC_TILE_ROWS][NNC_TILE_VECTORS];
#pragma GCC unroll 12
    for (size_t i = 0; i < rows; i++) {
        vreal start = v_set1(b ? b[i] : 0);
#pragma GCC unroll 12
        for (size_t j = 0; j < vectors; j++) acc[i][j] = start;
    }
    NNC_FN(multiply)(rows, vectors, acc, w, x, depth, ld, w_row, w_col);
    /* one copy of the stores for each short activation, so that the choice is outside of them */
#define NNC_STORE_TILE(end)                                                      \
    _Pragma("GCC unroll 12") for (size_t i = 0; i < rows; i++)                   \
    {                                                                            \
        _Pragma("GCC unroll 12") for (size_t j = 0; j < vectors; j++)            \
        {                                                                        \
            size_t at = i * ld + j * VLEN;                                       \
            v_store(c + at, NNC_FN(finished)(end, backward, acc[i][j], y + at)); \
        }                                                                        \
    }
#define NNC_SHORT(id)  \
    case NNC_ACT_##id: \
        NNC_STORE_TILE(NNC_ACT_##id) break;
#define NNC_LONG(id)
#define NNC_CASE(id, name, length) NNC_##length(id)
    switch (f) {
        NNC_ACTIVATION_LIST(NNC_CASE)
        default: {
            vreal raw[NNC_TILE_ROWS * NNC_TILE_VECTORS];
#pragma GCC unroll 12
            for (size_t i = 0; i < rows; i++) {
#pragma GCC unroll 12
                for (size_t j = 0; j < vectors; j++) raw[i * vectors + j] = acc[i][j];
            }
            NNC_FN(finish)(f, backward, c, raw, y, rows, vectors, ld);
        }
    }
#undef NNC_CASE
#undef NNC_LONG
#undef NNC_SHORT
#undef NNC_STORE_TILE
}

typedef void (*NNC_FN(tile_function))(real *c, const real *w, const real *b, const real *x,
                                      size_t depth, size_t ld, size_t w_ld, nnc_activation f,
                                      const real *y);

#define NNC_DEFINE_TILE(rows, vectors)                                                          \
    static void NNC_FN(tile_##rows##x##vectors)(real * c, const real *w, const real *b,         \
                                                const real *x, size_t depth, size_t ld,         \
                                                size_t w_ld, nnc_activation f, const real *y)   \
    {                                                                                           \
        (void)y;                                                                                \
        NNC_FN(tile)(rows, vectors, c, w, b, x, depth, ld, w_ld, 1, f, false, c);               \
    }                                                                                           \
    static void NNC_FN(tile_t_##rows##x##vectors)(real * c, const real *w, const real *b,       \
                                                  const real *x, size_t depth, size_t ld,       \
                                                  size_t w_ld, nnc_activation f, const real *y) \
    {                                                                                           \
        (void)b;                                                                                \
        NNC_FN(tile)(rows, vectors, c, w, NULL, x, depth, ld, 1, w_ld, f, true, y);             \
    }
NNC_TILE_GRID(NNC_DEFINE_TILE)

#define NNC_TILE_ENTRY(rows, vectors) [rows - 1][vectors - 1] = NNC_FN(tile_##rows##x##vectors),
#define NNC_TILE_T_ENTRY(rows, vectors) [rows - 1][vectors - 1] = NNC_FN(tile_t_##rows##x##vectors),
static const NNC_FN(tile_function)
    NNC_FN(tiles)[NNC_TILE_ROWS][NNC_TILE_VECTORS] = {NNC_TILE_GRID(NNC_TILE_ENTRY)};
static const NNC_FN(tile_function)
    NNC_FN(tiles_t)[NNC_TILE_ROWS][NNC_TILE_VECTORS] = {NNC_TILE_GRID(NNC_TILE_T_ENTRY)};

/* By the number of vectors. */
static const unsigned char NNC_FN(most_rows)[NNC_TILE_VECTORS] = NNC_TILE_MOST_ROWS;

static void NNC_FN(dense_forward)(void *a_, const void *w_, const void *b_, const void *x_,
                                  nnc_activation f, size_t n_out, size_t n_in, size_t cols,
                                  size_t ld)
{
    real *a = a_;
    const real *w = w_, *b = b_, *x = x_;
    nnc_split across = nnc_split_evenly(cols / VLEN, NNC_TILE_VECTORS);
    while (nnc_split_next(&across)) {
        size_t col = across.start * VLEN;
        nnc_split down = nnc_split_evenly(n_out, NNC_FN(most_rows)[across.length - 1]);
        while (nnc_split_next(&down)) {
            size_t row = down.start;
            NNC_FN(tile_function) tile = NNC_FN(tiles)[down.length - 1][across.length - 1];
            tile(a + row * ld + col, w + row * n_in, b ? b + row : NULL, x + col, n_in, ld, n_in, f,
                 NULL);
        }
    }
}

static void NNC_FN(dense_backward)(void *dx_, const void *w_, const void *dz_, const void *x_,
                                   nnc_activation f, size_t n_rows, size_t n_out, size_t w_ld,
                                   size_t cols, size_t ld)
{
    real *dx = dx_;
    const real *w = w_, *dz = dz_, *x = x_ ? x_ : dx; /* not read for identity */
    nnc_split across = nnc_split_evenly(cols / VLEN, NNC_TILE_VECTORS);
    while (nnc_split_next(&across)) {
        size_t col = across.start * VLEN;
        nnc_split down = nnc_split_evenly(n_rows, NNC_FN(most_rows)[across.length - 1]);
        while (nnc_split_next(&down)) {
            size_t row = down.start, corner = row * ld + col;
            NNC_FN(tile_function) tile = NNC_FN(tiles_t)[down.length - 1][across.length - 1];
            tile(dx + corner, w + row, NULL, dz + col, n_out, ld, w_ld, f, x + corner);
        }
    }
}
