/* transpose_tmpl.h - between samples as rows and samples as columns. Whole blocks of VLEN x VLEN
 * elements turn in registers, the rest goes one by one. */

/* From the lanes of a, then those of b: pairs of groups of h lanes change places. Every second
 * group of the low result comes from b, and of the high result from a. */
#define NNC_LOW_LANE(l, h) ((l) & (h) ? (int)VLEN + (l) - (h) : (l))
#define NNC_HIGH_LANE(l, h) ((l) & (h) ? (int)VLEN + (l) : (l) + (h))
#define NNC_LANES_2(F, l, h) F(l, h), F(l + 1, h)
#define NNC_LANES_4(F, l, h) NNC_LANES_2(F, l, h), NNC_LANES_2(F, l + 2, h)
#define NNC_LANES_8(F, l, h) NNC_LANES_4(F, l, h), NNC_LANES_4(F, l + 4, h)
#define NNC_LANES_16(F, l, h) NNC_LANES_8(F, l, h), NNC_LANES_8(F, l + 8, h)
#if NNC_VECTOR_BYTES == 64 && !NNC_REAL_IS_DOUBLE
#define NNC_LANES NNC_LANES_16
#elif NNC_VECTOR_BYTES == 64 || (NNC_VECTOR_BYTES == 32 && !NNC_REAL_IS_DOUBLE)
#define NNC_LANES NNC_LANES_8
#elif NNC_VECTOR_BYTES == 32 || !NNC_REAL_IS_DOUBLE
#define NNC_LANES NNC_LANES_4
#else
#define NNC_LANES NNC_LANES_2
#endif

/* The step of a transposition that swaps the h x h blocks off the diagonal. */
#define NNC_EXCHANGE(h)                                                                      \
    if ((h) < VLEN) {                                                                        \
        _Pragma("GCC unroll 16") for (size_t i = 0; i < VLEN; i++)                           \
        {                                                                                    \
            if (i & (h)) continue;                                                           \
            vreal a = rows[i], b = rows[(i + (h)) % VLEN];                                   \
            rows[i] = __builtin_shufflevector(a, b, NNC_LANES(NNC_LOW_LANE, 0, (h) % VLEN)); \
            rows[(i + (h)) % VLEN] =                                                         \
                __builtin_shufflevector(a, b, NNC_LANES(NNC_HIGH_LANE, 0, (h) % VLEN));      \
        }                                                                                    \
    }

/* rows (VLEN, VLEN) = its transpose. */
static NNC_ALWAYS_INLINE void NNC_FN(turn)(vreal *rows)
{
    NNC_EXCHANGE(8)
    NNC_EXCHANGE(4)
    NNC_EXCHANGE(2)
    NNC_EXCHANGE(1)
}

/* out (VLEN, VLEN; out_ld) = the transpose of the vectors at rows[0], rows[1], … */
static NNC_ALWAYS_INLINE void NNC_FN(turn_block)(real *out, const real *const *rows, size_t offset,
                                                 size_t out_ld)
{
    vreal block[VLEN];
#pragma GCC unroll 16
    for (size_t r = 0; r < VLEN; r++) block[r] = v_load(rows[r] + offset);
    NNC_FN(turn)(block);
#pragma GCC unroll 16
    for (size_t r = 0; r < VLEN; r++) v_store(out + r * out_ld, block[r]);
}

/* Rows beyond the last repeat it: their columns of out are there to be written, not to be read. */
static void NNC_FN(turn_panel)(void *out_, const void *x_, size_t rows, size_t cols)
{
    real *out = out_;
    const real *x = x_;
    for (size_t i = 0; i < rows; i += VLEN) {
        const real *from[VLEN];
        for (size_t r = 0; r < VLEN; r++) from[r] = x + nnc_min(i + r, rows - 1) * NNC_PANEL;
        for (size_t j = 0; j < cols; j += VLEN)
            NNC_FN(turn_block)(out + j * NNC_PANEL + i, from, j, NNC_PANEL);
    }
}

static void NNC_FN(transpose)(void *out_, const void *x_, size_t rows, size_t cols, size_t out_ld,
                              size_t ld)
{
    real *out = out_;
    const real *x = x_;
    size_t whole_rows = rows - rows % VLEN, whole_cols = cols - cols % VLEN;
    for (size_t i = 0; i < whole_rows; i += VLEN) {
        const real *from[VLEN];
        for (size_t r = 0; r < VLEN; r++) from[r] = x + (i + r) * ld;
        for (size_t j = 0; j < whole_cols; j += VLEN)
            NNC_FN(turn_block)(out + j * out_ld + i, from, j, out_ld);
    }
    for (size_t j = 0; j < cols; j++) {
        for (size_t i = j < whole_cols ? whole_rows : 0; i < rows; i++)
            out[j * out_ld + i] = x[i * ld + j];
    }
}

static void NNC_FN(gather)(void *out_, const void *x_, const size_t *index, size_t features,
                           size_t cols, ptrdiff_t feature_stride, ptrdiff_t sample_stride,
                           size_t ld)
{
    real *out = out_;
    const real *x = x_;
    size_t whole = feature_stride == 1 ? features - features % VLEN : 0;
    for (size_t j = 0; j < cols; j += VLEN) {
        const real *from[VLEN];
        for (size_t r = 0; r < VLEN; r++) from[r] = x + (ptrdiff_t)index[j + r] * sample_stride;
        for (size_t i = 0; i < whole; i += VLEN) NNC_FN(turn_block)(out + i * ld + j, from, i, ld);
        for (size_t i = whole; i < features; i++) {
            for (size_t r = 0; r < VLEN; r++)
                out[i * ld + j + r] = from[r][(ptrdiff_t)i * feature_stride];
        }
    }
}

#undef NNC_EXCHANGE
#undef NNC_LANES
#undef NNC_LANES_2
#undef NNC_LANES_4
#undef NNC_LANES_8
#undef NNC_LANES_16
#undef NNC_LOW_LANE
#undef NNC_HIGH_LANE
