/* weights_tmpl.h - the products of a dense layer that sum over samples: the gradients by the
 * weights and biases. Each lane of a logical vector sums on its own, and the lanes are folded at
 * the end: the same bits for every width of real vectors. */

/* Keeps a loaded vector in a register: GCC would else fold the load into each FMA that uses it,
 * and make the loop wait for loads. */
#define NNC_PIN(x) __asm__("" : "+v"(x))
#if !NNC_X86_64 || NNC_VECTOR_BYTES == 16
#undef NNC_PIN
#define NNC_PIN(x) (void)(x)
#endif

/* dw (rows, columns) = dz x^T, for the tile that NNC_DOT_GRID lists. Always inlined, with
 * constants for rows and columns. One pass over the samples for each part of the lanes. */
static NNC_ALWAYS_INLINE void NNC_FN(dot)(size_t rows, size_t columns, real *dw, const real *dz,
                                          const real *x, size_t cols, size_t ld, size_t dw_ld)
{
    vreal lanes[NNC_DOT_ROWS][4][PARTS];
    for (size_t part = 0; part < PARTS; part++) {
        vreal acc[NNC_DOT_ROWS][4];
#pragma GCC unroll 8
        for (size_t i = 0; i < rows; i++) {
#pragma GCC unroll 4
            for (size_t j = 0; j < 4; j++) acc[i][j] = (vreal){0};
        }
        for (size_t s = part * VLEN; s < cols; s += LANES) {
            vreal ds[NNC_DOT_ROWS];
#pragma GCC unroll 8
            for (size_t i = 0; i < rows; i++) {
                ds[i] = v_load(dz + i * ld + s);
                NNC_PIN(ds[i]);
            }
#pragma GCC unroll 4
            for (size_t j = 0; j < columns; j++) {
                vreal xs = v_load(x + j * ld + s);
                NNC_PIN(xs);
#pragma GCC unroll 8
                for (size_t i = 0; i < rows; i++) acc[i][j] = v_fma(ds[i], xs, acc[i][j]);
            }
        }
#pragma GCC unroll 8
        for (size_t i = 0; i < rows; i++) {
#pragma GCC unroll 4
            for (size_t j = 0; j < 4; j++) lanes[i][j][part] = acc[i][j];
        }
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; i++) {
        real sums[4];
        v_fold4(sums, lanes[i][0], lanes[i][1], lanes[i][2], lanes[i][3]);
        memcpy(dw + i * dw_ld, sums, columns * sizeof(real));
    }
}

typedef void (*NNC_FN(dot_function))(real *dw, const real *dz, const real *x, size_t cols,
                                     size_t ld, size_t dw_ld);

#define NNC_DEFINE_DOT(rows, columns)                                                    \
    static void NNC_FN(dot_##rows##x##columns)(real * dw, const real *dz, const real *x, \
                                               size_t cols, size_t ld, size_t dw_ld)     \
    {                                                                                    \
        NNC_FN(dot)(rows, columns, dw, dz, x, cols, ld, dw_ld);                          \
    }
NNC_DOT_GRID(NNC_DEFINE_DOT)

#define NNC_DOT_ENTRY(rows, columns) [rows - 1][columns - 1] = NNC_FN(dot_##rows##x##columns),
static const NNC_FN(dot_function) NNC_FN(dots)[NNC_DOT_ROWS][4] = {NNC_DOT_GRID(NNC_DOT_ENTRY)};

static void NNC_FN(dense_weights)(void *dw_, const void *dz_, const void *x_, size_t n_out,
                                  size_t n_in, size_t cols, size_t ld)
{
    real *dw = dw_;
    const real *dz = dz_, *x = x_;
    nnc_split down = nnc_split_evenly(n_out, NNC_DOT_ROWS);
    while (nnc_split_next(&down)) {
        nnc_split across = nnc_split_evenly(n_in, 4);
        while (nnc_split_next(&across)) {
            NNC_FN(dot_function) dot = NNC_FN(dots)[down.length - 1][across.length - 1];
            dot(dw + down.start * n_in + across.start, dz + down.start * ld, x + across.start * ld,
                cols, ld, n_in);
        }
    }
}

/* Four rows share a fold; the last four may overlap those before. */
static void NNC_FN(dense_bias)(void *db_, const void *dz_, size_t n_out, size_t cols, size_t ld,
                               size_t panel)
{
    real *db = db_;
    const real *dz = dz_;
    const size_t width = panel ? NNC_PANEL : cols;
    for (size_t start = 0; start < n_out; start += 4) {
        vreal lanes[4][PARTS] = {{{0}}};
        size_t first = n_out < 4 ? 0 : nnc_min(start, n_out - 4), count = nnc_min(n_out, 4);
        for (size_t i = 0; i < count; i++) {
            const real *row = dz + (first + i) * ld;
            for (size_t at_col = 0; at_col < cols; at_col += width, row += panel) {
                for (size_t s = 0; s < nnc_min(width, cols - at_col); s += LANES)
                    for (size_t part = 0; part < PARTS; part++)
                        lanes[i][part] += v_load(row + s + part * VLEN);
            }
        }
        if (count == 4) {
            v_fold4(db + first, lanes[0], lanes[1], lanes[2], lanes[3]);
            continue;
        }
        real sums[4];
        v_fold4(sums, lanes[0], lanes[1], lanes[2], lanes[3]);
        memcpy(db, sums, count * sizeof(real));
    }
}

#undef NNC_PIN
