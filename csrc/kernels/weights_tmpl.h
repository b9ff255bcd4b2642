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

/* dw (columns) = sums (4), or what is added to it. Few moves, none of them through other registers.
 */
static NNC_ALWAYS_INLINE void NNC_FN(put_sums)(real *dw, const real *sums, size_t columns,
                                               bool more)
{
    typedef real four __attribute__((vector_size(4 * sizeof(real))));
    typedef real two __attribute__((vector_size(2 * sizeof(real))));
    four all;
    memcpy(&all, sums, sizeof all);
    if (more) {
#pragma GCC unroll 4
        for (size_t j = 0; j < columns; j++) all[j] += dw[j];
    }
    if (columns == 4) {
        memcpy(dw, &all, sizeof all);
        return;
    }
    two pair = __builtin_shufflevector(all, all, 0, 1);
    if (columns > 1) memcpy(dw, &pair, sizeof pair);
    if (columns != 2) dw[columns - 1] = all[columns - 1];
}

/* dw (rows, columns) = dz x^T, for the tile that NNC_DOT_GRID lists. Always inlined, with
 * constants for rows and columns. NNC_DOT_PASSES over the samples, each for a part of the lanes. */
static NNC_ALWAYS_INLINE void NNC_FN(dot)(size_t rows, size_t columns, real *dw, const real *dz,
                                          const real *x, const nnc_layout *samples, size_t dw_ld)
{
    enum { MOST = NNC_DOT_ROWS * NNC_DOT_COLUMNS };
    const size_t ld = samples->ld, parts = PARTS / NNC_DOT_PASSES, count = rows * columns;
    vreal lanes[MOST][PARTS]; /* row by row */
    for (size_t first = 0; first < PARTS; first += parts) {
        vreal acc[MOST][PARTS / NNC_DOT_PASSES];
#pragma GCC unroll 32
        for (size_t i = 0; i < count; i++) {
#pragma GCC unroll 4
            for (size_t part = 0; part < parts; part++) acc[i][part] = (vreal){0};
        }
        const real *d = dz + first * VLEN, *c = x + first * VLEN;
        for (size_t left = samples->cols, run; left > 0; left -= run) {
            run = nnc_min(left, samples->length);
            for (size_t s = 0; s < run; s += LANES) {
#pragma GCC unroll 4
                for (size_t part = 0; part < parts; part++) {
                    vreal ds[NNC_DOT_ROWS];
#pragma GCC unroll 8
                    for (size_t i = 0; i < rows; i++) {
                        vreal row = v_load(d + i * ld + s + part * VLEN);
                        NNC_PIN(row);
                        ds[i] = row;
                    }
#pragma GCC unroll 4
                    for (size_t j = 0; j < columns; j++) {
                        vreal xs = v_load(c + j * ld + s + part * VLEN);
                        NNC_PIN(xs);
#pragma GCC unroll 8
                        for (size_t i = 0; i < rows; i++)
                            acc[i * columns + j][part] =
                                v_fma(ds[i], xs, acc[i * columns + j][part]);
                    }
                }
            }
            d += samples->dz_panel;
            c += samples->x_panel;
        }
#pragma GCC unroll 32
        for (size_t i = 0; i < count; i++) {
#pragma GCC unroll 4
            for (size_t part = 0; part < parts; part++) lanes[i][first + part] = acc[i][part];
        }
    }
    /* four lanes for each row, of which the last ones may be of no use */
    real sums[NNC_DOT_ROWS * 4 + VLEN];
#pragma GCC unroll 16
    for (size_t first = 0; first < rows * 4; first += VLEN) {
        vreal group[VLEN];
#pragma GCC unroll 16
        for (size_t k = 0; k < VLEN; k++) {
            const size_t i = nnc_min((first + k) / 4, rows - 1);
            const size_t j = nnc_min((first + k) % 4, columns - 1);
            group[k] = v_fold_parts(lanes[i * columns + j]);
        }
        v_store(sums + first, v_fold_all(group));
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; i++)
        NNC_FN(put_sums)(dw + i * dw_ld, sums + i * 4, columns, samples->more);
}

typedef void (*NNC_FN(dot_function))(real *dw, const real *dz, const real *x,
                                     const nnc_layout *samples, size_t dw_ld);

#define NNC_DEFINE_DOT(rows, columns)                                                    \
    static void NNC_FN(dot_##rows##x##columns)(real * dw, const real *dz, const real *x, \
                                               const nnc_layout *samples, size_t dw_ld)  \
    {                                                                                    \
        NNC_FN(dot)(rows, columns, dw, dz, x, samples, dw_ld);                           \
    }
NNC_DOT_GRID(NNC_DEFINE_DOT)

#define NNC_DOT_ENTRY(rows, columns) [rows - 1][columns - 1] = NNC_FN(dot_##rows##x##columns),
static const NNC_FN(dot_function)
    NNC_FN(dots)[NNC_DOT_ROWS][NNC_DOT_COLUMNS] = {NNC_DOT_GRID(NNC_DOT_ENTRY)};

/* The tile at a column of dw whose last input is the row of ones: its gradient belongs to db. */
static void NNC_FN(dot_with_bias)(real *dw, real *db, const real *dz, const real *x, size_t rows,
                                  size_t columns, const nnc_layout *samples, size_t dw_ld)
{
    real sums[NNC_DOT_ROWS][NNC_DOT_COLUMNS];
    for (size_t i = 0; samples->more && i < rows; i++) {
        memcpy(sums[i], dw + i * dw_ld, (columns - 1) * sizeof(real));
        sums[i][columns - 1] = db[i];
    }
    NNC_FN(dots)[rows - 1][columns - 1](sums[0], dz, x, samples, NNC_DOT_COLUMNS);
    for (size_t i = 0; i < rows; i++) {
        memcpy(dw + i * dw_ld, sums[i], (columns - 1) * sizeof(real));
        db[i] = sums[i][columns - 1];
    }
}

/* The inputs are taken in groups that the first cache holds beside a tile's rows of dz, while all
 * of dz passes over them. */
static void NNC_FN(dense_weights)(void *dw_, void *db_, const void *dz_, const void *x_,
                                  size_t n_out, size_t n_in, const nnc_layout *samples)
{
    real *dw = dw_, *db = db_;
    const real *dz = dz_, *x = x_;
    const size_t ld = samples->ld;
    const size_t tile_bytes = NNC_DOT_COLUMNS * nnc_max(samples->cols, 1) * sizeof(real);
    const size_t group = nnc_max(NNC_L1_BYTES / tile_bytes, 1);
    nnc_split next = nnc_split_evenly(n_in + (db != NULL), NNC_DOT_COLUMNS), across = next;
    while (n_out > 0 && next.index < next.parts) {
        nnc_split down = nnc_split_evenly(n_out, NNC_DOT_ROWS);
        while (nnc_split_next(&down)) {
            size_t row = down.start, rows = down.length;
            across = next;
            for (size_t i = 0; i < group && nnc_split_next(&across); i++) {
                size_t col = across.start, columns = across.length;
                real *corner = dw + row * n_in + col;
                const real *ds = dz + row * ld, *xs = x + col * ld;
                if (col + columns > n_in)
                    NNC_FN(dot_with_bias)(corner, db + row, ds, xs, rows, columns, samples, n_in);
                else
                    NNC_FN(dots)[rows - 1][columns - 1](corner, ds, xs, samples, n_in);
            }
        }
        next = across;
    }
}

/* place = sum, or fma(-rate, sum, place) where rate is not 0. */
static NNC_ALWAYS_INLINE void NNC_FN(settle)(real *place, real sum, real rate)
{
    *place = rate != 0 ? s_fma(-rate, sum, *place) : sum;
}

/* sums (4) = rows (4, cols) of dz times x (cols), or times 1 where x is NULL; both in panels. */
static NNC_ALWAYS_INLINE void NNC_FN(rest_sums)(real *sums, const real *const *dz, const real *x,
                                                size_t cols, size_t dz_panel)
{
    vreal lanes[4][PARTS];
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
#pragma GCC unroll 4
        for (size_t part = 0; part < PARTS; part++) lanes[i][part] = (vreal){0};
    }
    for (size_t start = 0, jump = 0; start < cols; start += NNC_PANEL, jump += dz_panel) {
        const real *inputs = x ? x + start * NNC_REST : NULL;
        for (size_t s = 0; s < nnc_min(cols - start, NNC_PANEL); s += LANES) {
#pragma GCC unroll 4
            for (size_t part = 0; part < PARTS; part++) {
                vreal xs = x ? v_load(inputs + s + part * VLEN) : v_set1(1);
#pragma GCC unroll 4
                for (size_t i = 0; i < 4; i++) {
                    vreal ds = v_load(dz[i] + jump + s + part * VLEN);
                    lanes[i][part] = v_fma(ds, xs, lanes[i][part]);
                }
            }
        }
    }
    v_fold4(sums, lanes[0], lanes[1], lanes[2], lanes[3]);
}

/* Four rows of dz at a time. */
static void NNC_FN(dense_rest)(void *dw_, void *db_, const void *dz_, const void *x_, size_t n_out,
                               size_t columns, size_t cols, size_t dz_panel, size_t dw_ld,
                               double rate)
{
    real *dw = dw_, *db = db_;
    const real *dz = dz_, *x = x_;
    for (size_t row = 0; row < n_out; row += 4) {
        real sums[4];
        const real *rows[4];
        size_t count = nnc_min(n_out - row, 4);
        for (size_t i = 0; i < 4; i++) rows[i] = dz + nnc_min(row + i, n_out - 1) * NNC_PANEL;
        for (size_t c = 0; c < columns; c++) {
            NNC_FN(rest_sums)(sums, rows, x + c * NNC_PANEL, cols, dz_panel);
            for (size_t i = 0; i < count; i++)
                NNC_FN(settle)(dw + (row + i) * dw_ld + c, sums[i], (real)rate);
        }
        if (!db) continue;
        NNC_FN(rest_sums)(sums, rows, NULL, cols, dz_panel);
        for (size_t i = 0; i < count; i++) NNC_FN(settle)(db + row + i, sums[i], (real)rate);
    }
}

#undef NNC_PIN
