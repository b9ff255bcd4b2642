/* outer_tmpl.h - the gradient by the weights from a batch in panels: sums over samples in which
 * each element is one chain in the order of the samples. Vector lanes are input features, so that
 * it needs its inputs by samples: see transpose. */

/* The tile dw (rows, vectors) = dz x, whose last vector has `last` elements, or dw += dz x where
 * `resume`; or, where rate is not 0, dw = fma(-rate, dz x, dw). */
static NNC_ALWAYS_INLINE void NNC_FN(outer_tile)(size_t rows, size_t vectors, real *dw,
                                                 const real *dz, const real *x, size_t n,
                                                 size_t dz_panel, size_t dw_ld, size_t last,
                                                 bool resume, real rate)
{
    vreal acc[NNC_TILE_ROWS][NNC_TILE_VECTORS];
#pragma GCC unroll 12
    for (size_t i = 0; i < rows; i++) {
#pragma GCC unroll 12
        for (size_t j = 0; j < vectors; j++) acc[i][j] = (vreal){0};
    }
#define NNC_COUNT(j) ((j) + 1 < vectors ? VLEN : last)
    if (resume) {
        /* else GCC computes all the addresses without it, too, and keeps them for the end */
        const real *sums = dw;
        size_t ld = dw_ld;
        NNC_OPAQUE(sums);
        NNC_OPAQUE(ld);
#pragma GCC unroll 12
        for (size_t i = 0; i < rows; i++) {
#pragma GCC unroll 12
            for (size_t j = 0; j < vectors; j++)
                acc[i][j] = at(sums + i * ld + j * VLEN, NNC_COUNT(j));
        }
    }
    for (size_t start = 0; start < n; start += NNC_PANEL) {
        size_t depth = nnc_min(n - start, NNC_PANEL);
        NNC_FN(multiply)(rows, vectors, acc, dz, x + start * NNC_PANEL, depth, NNC_PANEL, NNC_PANEL,
                         1);
        dz += dz_panel;
    }
    /* all loads before the first store, or each row would wait for the masked store of the last */
    const vreal step = v_set1(-rate);
    if (rate != 0) {
#pragma GCC unroll 12
        for (size_t i = 0; i < rows; i++) {
#pragma GCC unroll 12
            for (size_t j = 0; j < vectors; j++)
                acc[i][j] = v_fma(step, acc[i][j], at(dw + i * dw_ld + j * VLEN, NNC_COUNT(j)));
        }
    }
#pragma GCC unroll 12
    for (size_t i = 0; i < rows; i++) {
#pragma GCC unroll 12
        for (size_t j = 0; j < vectors; j++)
            put(dw + i * dw_ld + j * VLEN, acc[i][j], NNC_COUNT(j));
    }
#undef NNC_COUNT
}

typedef void (*NNC_FN(outer_function))(real *dw, const real *dz, const real *x, size_t n,
                                       size_t dz_panel, size_t dw_ld, size_t last, bool resume,
                                       real rate);

#define NNC_DEFINE_OUTER(rows, vectors)                                                       \
    static void NNC_FN(outer_##rows##x##vectors)(real * dw, const real *dz, const real *x,    \
                                                 size_t n, size_t dz_panel, size_t dw_ld,     \
                                                 size_t last, bool resume, real rate)         \
    {                                                                                         \
        NNC_FN(outer_tile)(rows, vectors, dw, dz, x, n, dz_panel, dw_ld, last, resume, rate); \
    }
NNC_TILE_GRID(NNC_DEFINE_OUTER)

#define NNC_OUTER_ENTRY(rows, vectors) [rows - 1][vectors - 1] = NNC_FN(outer_##rows##x##vectors),
static const NNC_FN(outer_function)
    NNC_FN(outers)[NNC_TILE_ROWS][NNC_TILE_VECTORS] = {NNC_TILE_GRID(NNC_OUTER_ENTRY)};

/* Where nothing is fused, many samples are taken in parts that the second cache holds, and dw keeps
 * the sums between them. */
static void NNC_FN(outer)(void *dw_, const void *dz_, const void *x_, size_t n_out, size_t n_in,
                          size_t n, size_t dz_panel, size_t dw_ld, double rate)
{
    real *dw = dw_;
    const real *dz = dz_, *x = x_;
    nnc_split across = nnc_split_evenly(nnc_ceil_div(n_in, VLEN), NNC_TILE_VECTORS);
    while (nnc_split_next(&across)) {
        const size_t col = across.start * VLEN;
        const size_t last = nnc_min(n_in - col - (across.length - 1) * VLEN, VLEN);
        const size_t panel_bytes = NNC_PANEL * across.length * VLEN * sizeof(real);
        const size_t most = rate != 0 ? nnc_max(n, 1) : NNC_L2_BYTES / panel_bytes * NNC_PANEL;
        for (size_t start = 0; start == 0 || start < n; start += most) {
            const real *deltas = dz + start / NNC_PANEL * dz_panel;
            nnc_split down = nnc_split_evenly(n_out, NNC_FN(most_rows)[across.length - 1]);
            while (nnc_split_next(&down)) {
                NNC_FN(outer_function) tile = NNC_FN(outers)[down.length - 1][across.length - 1];
                tile(dw + down.start * dw_ld + col, deltas + down.start * NNC_PANEL,
                     x + start * NNC_PANEL + col, nnc_min(n - start, most), dz_panel, dw_ld, last,
                     start > 0, (real)rate);
            }
        }
    }
}
