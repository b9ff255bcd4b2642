/* dense_tmpl.h - the products of a dense layer that keep the samples apart: forward, and the
 * gradient by the layer's input. Vector lanes are samples.
 *
 * A register tile computes `rows` features of `vectors` vectors of samples, as NNC_TILE_GRID
 * lists; a matrix is cut into near-equal tiles, so that few of them are much smaller than the
 * registers allow. Columns of tiles come outermost: one column of inputs stays in the first
 * cache while all the weights pass over it. */

/* c (rows, vectors) = w x, started at b (or 0): w's element (i, k) lies at w[i w_row + k w_col].
 * Always inlined, with constants for rows, vectors and one stride. */
static NNC_ALWAYS_INLINE void NNC_FN(tile)(size_t rows, size_t vectors, real *c, const real *w,
                                           const real *b, const real *x, size_t depth, size_t ld,
                                           size_t w_row, size_t w_col)
{
    vreal acc[NNC_TILE_ROWS][NNC_TILE_VECTORS];
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; i++) {
        vreal start = v_set1(b ? b[i] : 0);
#pragma GCC unroll 8
        for (size_t j = 0; j < vectors; j++) acc[i][j] = start;
    }
    for (size_t k = 0; k < depth; k++) {
        vreal xs[NNC_TILE_VECTORS];
#pragma GCC unroll 8
        for (size_t j = 0; j < vectors; j++) xs[j] = v_load(x + k * ld + j * VLEN);
#pragma GCC unroll 8
        for (size_t i = 0; i < rows; i++) {
            vreal weight = v_set1(w[i * w_row + k * w_col]);
#pragma GCC unroll 8
            for (size_t j = 0; j < vectors; j++) acc[i][j] = v_fma(weight, xs[j], acc[i][j]);
        }
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; i++) {
#pragma GCC unroll 8
        for (size_t j = 0; j < vectors; j++) v_store(c + i * ld + j * VLEN, acc[i][j]);
    }
}

typedef void (*NNC_FN(tile_function))(real *c, const real *w, const real *b, const real *x,
                                      size_t depth, size_t ld, size_t w_ld);

#define NNC_DEFINE_TILE(rows, vectors)                                                    \
    static void NNC_FN(tile_##rows##x##vectors)(real * c, const real *w, const real *b,   \
                                                const real *x, size_t depth, size_t ld,   \
                                                size_t w_ld)                              \
    {                                                                                     \
        NNC_FN(tile)(rows, vectors, c, w, b, x, depth, ld, w_ld, 1);                      \
    }                                                                                     \
    static void NNC_FN(tile_t_##rows##x##vectors)(real * c, const real *w, const real *b, \
                                                  const real *x, size_t depth, size_t ld, \
                                                  size_t w_ld)                            \
    {                                                                                     \
        (void)b;                                                                          \
        NNC_FN(tile)(rows, vectors, c, w, NULL, x, depth, ld, 1, w_ld);                   \
    }
NNC_TILE_GRID(NNC_DEFINE_TILE)

#define NNC_TILE_ENTRY(rows, vectors) [rows - 1][vectors - 1] = NNC_FN(tile_##rows##x##vectors),
#define NNC_TILE_T_ENTRY(rows, vectors) [rows - 1][vectors - 1] = NNC_FN(tile_t_##rows##x##vectors),
static const NNC_FN(tile_function)
    NNC_FN(tiles)[NNC_TILE_ROWS][NNC_TILE_VECTORS] = {NNC_TILE_GRID(NNC_TILE_ENTRY)};
static const NNC_FN(tile_function)
    NNC_FN(tiles_t)[NNC_TILE_ROWS][NNC_TILE_VECTORS] = {NNC_TILE_GRID(NNC_TILE_T_ENTRY)};

/* The activation of a tile just stored, and its derivative: a switch outside the loops. */
static void NNC_FN(finish_forward)(nnc_activation f, real *a, size_t rows, size_t vectors,
                                   size_t ld)
{
#define NNC_FINISH(id, name)                                                       \
    case NNC_ACT_##id:                                                             \
        for (size_t i = 0; i < rows; i++)                                          \
            for (real *p = a + i * ld; p < a + i * ld + vectors * VLEN; p += VLEN) \
                v_store(p, NNC_FN(f_##name)(v_load(p)));                           \
        break;
    if (f == NNC_ACT_IDENTITY) return;
    switch (f) {
        NNC_ACTIVATION_LIST(NNC_FINISH)
        case NNC_ACT_COUNT:
            break;
    }
#undef NNC_FINISH
}

static void NNC_FN(finish_backward)(nnc_activation f, real *dx, const real *x, size_t rows,
                                    size_t vectors, size_t ld)
{
#define NNC_FINISH(id, name)                                                         \
    case NNC_ACT_##id:                                                               \
        for (size_t i = 0; i < rows; i++)                                            \
            for (size_t j = i * ld; j < i * ld + vectors * VLEN; j += VLEN)          \
                v_store(dx + j, NNC_FN(back_##name)(v_load(dx + j), v_load(x + j))); \
        break;
    if (f == NNC_ACT_IDENTITY) return;
    switch (f) {
        NNC_ACTIVATION_LIST(NNC_FINISH)
        case NNC_ACT_COUNT:
            break;
    }
#undef NNC_FINISH
}

static void NNC_FN(dense_forward)(void *a_, const void *w_, const void *b_, const void *x_,
                                  nnc_activation f, size_t n_out, size_t n_in, size_t cols,
                                  size_t ld)
{
    real *a = a_;
    const real *w = w_, *b = b_, *x = x_;
    nnc_split across = nnc_split_evenly(cols / VLEN, NNC_TILE_VECTORS);
    while (nnc_split_next(&across)) {
        size_t col = across.start * VLEN, vectors = across.length;
        nnc_split down = nnc_split_evenly(n_out, NNC_TILE_ROWS);
        while (nnc_split_next(&down)) {
            size_t row = down.start, rows = down.length;
            real *corner = a + row * ld + col;
            NNC_FN(tiles)
            [rows - 1][vectors - 1](corner, w + row *n_in, b ? b + row : NULL, x + col, n_in, ld,
                                    n_in);
            NNC_FN(finish_forward)(f, corner, rows, vectors, ld);
        }
    }
}

static void NNC_FN(dense_backward)(void *dx_, const void *w_, const void *dz_, const void *x_,
                                   nnc_activation f, size_t n_rows, size_t n_out, size_t w_ld,
                                   size_t cols, size_t ld)
{
    real *dx = dx_;
    const real *w = w_, *dz = dz_, *x = x_;
    nnc_split across = nnc_split_evenly(cols / VLEN, NNC_TILE_VECTORS);
    while (nnc_split_next(&across)) {
        size_t col = across.start * VLEN, vectors = across.length;
        nnc_split down = nnc_split_evenly(n_rows, NNC_TILE_ROWS);
        while (nnc_split_next(&down)) {
            size_t row = down.start, rows = down.length, offset = row * ld + col;
            NNC_FN(tiles_t)
            [rows - 1][vectors - 1](dx + offset, w + row, NULL, dz + col, n_out, ld, w_ld);
            if (x) NNC_FN(finish_backward)(f, dx + offset, x + offset, rows, vectors, ld);
        }
    }
}
