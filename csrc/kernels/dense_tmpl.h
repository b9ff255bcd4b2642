/* dense_tmpl.h - the products of a dense layer that keep the samples apart: forward, and the
 * gradient by the layer's input. Vector lanes are samples.
 *
 * A register tile computes `rows` features of `vectors` vectors of samples, as NNC_TILE_GRID
 * lists; a matrix is cut into near-equal tiles, so that few of them are much smaller than the
 * registers allow. Columns of tiles come outermost: one column of inputs stays in the
 * caches while all the weights pass over it. Where it is too deep for that, it is taken in parts,
 * and a group of tiles puts its sums aside between them. */

/* About two thirds of the smallest first cache, and a sixth of the smallest second one. */
#define NNC_L1_BYTES ((size_t)20 << 10)
#define NNC_L2_BYTES ((size_t)80 << 10)

/* So many tiles put their sums aside together. */
#define NNC_TILE_GROUP ((size_t)12)

/* How a tile begins and ends. */
typedef struct {
    const real *side; /* forward: b (rows) or NULL; backward: y (rows, vectors), see finished */
    nnc_activation f;
    real *sums;           /* (rows, vectors): the sums so far of a product that is taken in parts */
    bool resume, suspend; /* begins with sums; ends in sums, and leaves c alone */
} NNC_FN(ends);

/* What ends a product: the layer's activation on the way forward, its derivative on the way back,
 * from y (rows, vectors), which kernels.h's dense_backward calls x. */
#define NNC_FINISHED(name, backward, c, y) \
    ((backward) ? NNC_FN(back_##name)(c, v_load(y)) : NNC_FN(f_##name)(c))

/* The same for a tile (rows, vectors) in memory, from raw to c: for activations too long to stand
 * in every tile's code. */
typedef void (*NNC_FN(finish))(real *c, const vreal *raw, const real *y, size_t rows,
                               size_t vectors, size_t ld);

#define NNC_SHORT(...)
#define NNC_LONG(id, name)                  \
    NNC_DEFINE_FINISH(forward, name, false) \
    NNC_DEFINE_FINISH(backward, name, true)
#define NNC_DEFINE_FINISH(way, name, backward)                                               \
    static void NNC_FN(finish_##way##_##name)(real * c, const vreal *raw, const real *y,     \
                                              size_t rows, size_t vectors, size_t ld)        \
    {                                                                                        \
        for (size_t i = 0; i < rows; i++) {                                                  \
            for (size_t j = 0; j < vectors; j++) {                                           \
                size_t at = i * ld + j * VLEN;                                               \
                v_store(c + at, NNC_FINISHED(name, backward, raw[i * vectors + j], y + at)); \
            }                                                                                \
        }                                                                                    \
        (void)y; /* not read on the way forward */                                           \
    }
#define NNC_CASE(id, name, length, ...) NNC_##length(id, name)
NNC_ACTIVATION_LIST(NNC_CASE)
#undef NNC_LONG
#undef NNC_DEFINE_FINISH

#define NNC_LONG(id, name) \
    [NNC_ACT_##id] = {NNC_FN(finish_forward_##name), NNC_FN(finish_backward_##name)},
static const NNC_FN(finish) NNC_FN(finishes)[NNC_ACT_COUNT][2] = {NNC_ACTIVATION_LIST(NNC_CASE)};
#undef NNC_LONG
#undef NNC_SHORT

/* One vector of what a layer that is not dense hands back: value times f', from y. */
static NNC_ALWAYS_INLINE void NNC_FN(hand_back)(nnc_activation f, real *c, vreal value,
                                                const real *y)
{
#define NNC_SHORT(id, name)                             \
    case NNC_ACT_##id:                                  \
        v_store(c, NNC_FINISHED(name, true, value, y)); \
        break;
#define NNC_LONG(id, name)
    switch (f) {
        NNC_ACTIVATION_LIST(NNC_CASE)
        default:
            NNC_FN(finishes)[f][true](c, &value, y, 1, 1, 0);
    }
}
#undef NNC_CASE
#undef NNC_LONG
#undef NNC_SHORT

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

/* The tile c (rows, vectors) = w x, started at b (or 0) and finished by f. Always inlined, with
 * constants for rows, vectors, one stride and backward. Short activations are applied in registers.
 */
static NNC_ALWAYS_INLINE void NNC_FN(tile)(size_t rows, size_t vectors, real *c, const real *w,
                                           const real *x, size_t depth, size_t ld, size_t w_row,
                                           size_t w_col, bool backward, const NNC_FN(ends) *ends)
{
    const real *b = backward ? NULL : ends->side, *y = backward ? ends->side : c;
    vreal acc[NNC_TILE_ROWS][NNC_TILE_VECTORS];
#pragma GCC unroll 12
    for (size_t i = 0; i < rows; i++) {
        vreal start = v_set1(b ? b[i] : 0);
#pragma GCC unroll 12
        for (size_t j = 0; j < vectors; j++) acc[i][j] = start;
    }
    if (ends->resume) {
#pragma GCC unroll 12
        for (size_t i = 0; i < rows; i++) {
#pragma GCC unroll 12
            for (size_t j = 0; j < vectors; j++)
                acc[i][j] = v_load(ends->sums + (i * vectors + j) * VLEN);
        }
    }
    NNC_FN(multiply)(rows, vectors, acc, w, x, depth, ld, w_row, w_col);
    if (ends->suspend) {
#pragma GCC unroll 12
        for (size_t i = 0; i < rows; i++) {
#pragma GCC unroll 12
            for (size_t j = 0; j < vectors; j++)
                v_store(ends->sums + (i * vectors + j) * VLEN, acc[i][j]);
        }
        return;
    }
    /* one copy of the stores for each short activation, so that the choice is outside of them */
#define NNC_STORE_TILE(name)                                                  \
    _Pragma("GCC unroll 12") for (size_t i = 0; i < rows; i++)                \
    {                                                                         \
        _Pragma("GCC unroll 12") for (size_t j = 0; j < vectors; j++)         \
        {                                                                     \
            size_t at = i * ld + j * VLEN;                                    \
            v_store(c + at, NNC_FINISHED(name, backward, acc[i][j], y + at)); \
        }                                                                     \
    }
#define NNC_SHORT(id, name) \
    case NNC_ACT_##id:      \
        NNC_STORE_TILE(name) break;
#define NNC_LONG(id, name)
#define NNC_CASE(id, name, length, ...) NNC_##length(id, name)
    switch (ends->f) {
        NNC_ACTIVATION_LIST(NNC_CASE)
        default: {
            vreal raw[NNC_TILE_ROWS * NNC_TILE_VECTORS];
#pragma GCC unroll 12
            for (size_t i = 0; i < rows; i++) {
#pragma GCC unroll 12
                for (size_t j = 0; j < vectors; j++) raw[i * vectors + j] = acc[i][j];
            }
            NNC_FN(finishes)[ends->f][backward](c, raw, y, rows, vectors, ld);
        }
    }
#undef NNC_CASE
#undef NNC_LONG
#undef NNC_SHORT
#undef NNC_STORE_TILE
#undef NNC_FINISHED
}

typedef void (*NNC_FN(tile_function))(real *c, const real *w, const real *x, size_t depth,
                                      size_t ld, size_t w_ld, const NNC_FN(ends) *ends);

#define NNC_DEFINE_TILE(rows, vectors)                                                    \
    static void NNC_FN(tile_##rows##x##vectors)(real * c, const real *w, const real *x,   \
                                                size_t depth, size_t ld, size_t w_ld,     \
                                                const NNC_FN(ends) *ends)                 \
    {                                                                                     \
        NNC_FN(tile)(rows, vectors, c, w, x, depth, ld, w_ld, 1, false, ends);            \
    }                                                                                     \
    static void NNC_FN(tile_t_##rows##x##vectors)(real * c, const real *w, const real *x, \
                                                  size_t depth, size_t ld, size_t w_ld,   \
                                                  const NNC_FN(ends) *ends)               \
    {                                                                                     \
        NNC_FN(tile)(rows, vectors, c, w, x, depth, ld, 1, w_ld, true, ends);             \
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

/* The tiles of a product: its column of c, and what comes with it. */
typedef struct {
    real *c;
    const real *w, *x, *side; /* side: see ends */
    size_t depth, ld, w_ld;
    size_t w_row, w_col, side_row; /* from one row of the product to the next */
    const NNC_FN(tile_function) *tiles;
    nnc_split down; /* rows */
} NNC_FN(column);

/* The whole product in parts of `most`, a group of tiles after the other. */
static void NNC_FN(run_deep_column)(NNC_FN(column) column, nnc_activation f, size_t most)
{
    real sums[NNC_TILE_GROUP][NNC_TILE_ROWS * NNC_TILE_VECTORS * VLEN];
    nnc_split group = column.down;
    while (column.down.index < column.down.parts) {
        nnc_split parts = nnc_split_evenly(column.depth, most);
        while (nnc_split_next(&parts)) {
            NNC_FN(ends) ends = {
                .f = f, .resume = parts.start > 0, .suspend = parts.index < parts.parts};
            group = column.down;
            for (size_t i = 0; i < NNC_TILE_GROUP && nnc_split_next(&group); i++) {
                size_t row = group.start;
                ends.side = column.side + row * column.side_row;
                ends.sums = sums[i];
                column.tiles[(group.length - 1) * NNC_TILE_VECTORS](
                    column.c + row * column.ld,
                    column.w + row * column.w_row + parts.start * column.w_col,
                    column.x + parts.start * column.ld, parts.length, column.ld, column.w_ld,
                    &ends);
            }
        }
        column.down = group;
    }
}

/* A column of tiles, n_rows high and `vectors` wide. */
static NNC_ALWAYS_INLINE void NNC_FN(run_column)(bool backward, real *c, const real *w,
                                                 const real *x, size_t n_rows, size_t vectors,
                                                 size_t depth, size_t ld, size_t w_ld,
                                                 const real *side, nnc_activation f)
{
    const size_t row_bytes = vectors * VLEN * sizeof(real);
    const size_t w_row = backward ? 1 : w_ld, side_row = !side ? 0 : backward ? ld : 1;
    const NNC_FN(tile_function) *tiles =
        &(backward ? NNC_FN(tiles_t) : NNC_FN(tiles))[0][vectors - 1];
    nnc_split down = nnc_split_evenly(n_rows, NNC_FN(most_rows)[vectors - 1]);
    if (depth * row_bytes > NNC_L2_BYTES) {
        NNC_FN(column) column = {
            c, w, x, side, depth, ld, w_ld, w_row, backward ? w_ld : 1, side_row, tiles, down};
        NNC_FN(run_deep_column)(column, f, NNC_L2_BYTES / row_bytes);
        return;
    }
    NNC_FN(ends) ends = {.f = f};
    while (nnc_split_next(&down)) {
        ends.side = side + down.start * side_row;
        tiles[(down.length - 1) * NNC_TILE_VECTORS](c + down.start * ld, w + down.start * w_row, x,
                                                    depth, ld, w_ld, &ends);
    }
}

static void NNC_FN(dense_forward)(void *a, const void *w, const void *b, const void *x,
                                  nnc_activation f, size_t n_out, size_t n_in, size_t cols,
                                  size_t ld)
{
    nnc_split across = nnc_split_evenly(cols / VLEN, NNC_TILE_VECTORS);
    while (nnc_split_next(&across)) {
        size_t col = across.start * VLEN;
        NNC_FN(run_column)(false, (real *)a + col, w, (const real *)x + col, n_out, across.length,
                           n_in, ld, n_in, b, f);
    }
}

static void NNC_FN(dense_backward)(void *dx, const void *w, const void *dz, const void *x,
                                   nnc_activation f, size_t n_rows, size_t n_out, size_t w_ld,
                                   size_t cols, size_t ld)
{
    const real *y = x ? x : dx; /* not read for identity */
    nnc_split across = nnc_split_evenly(cols / VLEN, NNC_TILE_VECTORS);
    while (nnc_split_next(&across)) {
        size_t col = across.start * VLEN;
        NNC_FN(run_column)(true, (real *)dx + col, w, (const real *)dz + col, n_rows, across.length,
                           n_out, ld, w_ld, y + col, f);
    }
}
