/* vec_tmpl.h - the vector type of one ISA and dtype, and the operations on it that C's operators
 * don't have. Written on the vector extensions of GCC and clang; only FMA is an intrinsic,
 * because compilers contract a * b + c each in their own way, and so are masked moves. */
#if NNC_REAL_IS_DOUBLE
typedef int64_t NNC_FN(int);
typedef uint64_t NNC_FN(uint);
#else
typedef int32_t NNC_FN(int);
typedef uint32_t NNC_FN(uint);
#endif
typedef real vreal __attribute__((vector_size(NNC_VECTOR_BYTES)));
typedef NNC_FN(int) vint __attribute__((vector_size(NNC_VECTOR_BYTES)));
typedef NNC_FN(uint) vuint __attribute__((vector_size(NNC_VECTOR_BYTES)));
typedef real vunaligned
    __attribute__((vector_size(NNC_VECTOR_BYTES), aligned(sizeof(real)), may_alias));

/* A mask of the first n lanes. */
static NNC_ALWAYS_INLINE vint v_first(size_t n)
{
    static const NNC_FN(int) lanes[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    vint lane;
    memcpy(&lane, lanes, sizeof lane);
    return lane < (NNC_FN(int))n;
}

static NNC_ALWAYS_INLINE vreal v_load(const real *p)
{
    return *(const vunaligned *)p;
}

static NNC_ALWAYS_INLINE void v_store(real *p, vreal x)
{
    *(vunaligned *)p = x;
}

/* The first n < VLEN elements of p, then zeros. Masked instructions where there are: a detour
 * through memory would stall the vector load behind narrower stores. */
static NNC_ALWAYS_INLINE vreal v_load_part(const real *p, size_t n)
{
#if NNC_VECTOR_BYTES == 64 && NNC_REAL_IS_DOUBLE
    return (vreal)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p);
#elif NNC_VECTOR_BYTES == 64
    return (vreal)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#elif NNC_VECTOR_BYTES == 32 && NNC_REAL_IS_DOUBLE
    return (vreal)_mm256_maskload_pd(p, (__m256i)v_first(n));
#elif NNC_VECTOR_BYTES == 32
    return (vreal)_mm256_maskload_ps(p, (__m256i)v_first(n));
#else
    vreal x = {0};
    memcpy(&x, p, n * sizeof(real));
    return x;
#endif
}

static NNC_ALWAYS_INLINE void v_store_part(real *p, vreal x, size_t n)
{
#if NNC_VECTOR_BYTES == 64 && NNC_REAL_IS_DOUBLE
    _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)x);
#elif NNC_VECTOR_BYTES == 64
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)x);
#elif NNC_VECTOR_BYTES == 32 && NNC_REAL_IS_DOUBLE
    _mm256_maskstore_pd(p, (__m256i)v_first(n), (__m256d)x);
#elif NNC_VECTOR_BYTES == 32
    _mm256_maskstore_ps(p, (__m256i)v_first(n), (__m256)x);
#else
    memcpy(p, &x, n * sizeof(real));
#endif
}

/* The next `count` elements, VLEN or fewer. */
static NNC_ALWAYS_INLINE vreal at(const real *p, size_t count)
{
    return count == VLEN ? v_load(p) : v_load_part(p, count);
}

static NNC_ALWAYS_INLINE void put(real *p, vreal x, size_t count)
{
    if (count == VLEN)
        v_store(p, x);
    else
        v_store_part(p, x, count);
}

/* A loop over n elements, `count` at a time: VLEN in all but the last round. */
#define NNC_FOR_VECTORS(i, count, n) \
    for (size_t i = 0, count; count = nnc_min((n) - i, VLEN), i < (n); i += count)

/* x in every lane; x - 0 is x for every x, -0 and NaN included. */
static NNC_ALWAYS_INLINE vreal v_set1(real x)
{
    return x - (vreal){0};
}

/* mask ? a : b, lane by lane; the lanes of a mask are 0 or -1, as comparisons make them. */
static NNC_ALWAYS_INLINE vreal v_select(vint mask, vreal a, vreal b)
{
    return (vreal)(((vint)a & mask) | ((vint)b & ~mask));
}

/* x where mask, else +0. */
static NNC_ALWAYS_INLINE vreal v_keep(vint mask, vreal x)
{
    return (vreal)((vint)x & mask);
}

/* Whether any lane of a mask is set. */
static NNC_ALWAYS_INLINE bool v_any(vint mask)
{
    uint64_t words[NNC_VECTOR_BYTES / 8], any = 0;
    memcpy(words, &mask, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) any |= words[i];
    return any != 0;
}

static NNC_ALWAYS_INLINE vreal v_abs(vreal x)
{
    return (vreal)((vuint)x << 1 >> 1);
}

/* Correctly rounded on every ISA. */
static NNC_ALWAYS_INLINE vreal v_sqrt(vreal x)
{
#if NNC_VECTOR_BYTES == 64 && NNC_REAL_IS_DOUBLE
    return (vreal)_mm512_sqrt_pd((__m512d)x);
#elif NNC_VECTOR_BYTES == 64
    return (vreal)_mm512_sqrt_ps((__m512)x);
#elif NNC_VECTOR_BYTES == 32 && NNC_REAL_IS_DOUBLE
    return (vreal)_mm256_sqrt_pd((__m256d)x);
#elif NNC_VECTOR_BYTES == 32
    return (vreal)_mm256_sqrt_ps((__m256)x);
#elif NNC_REAL_IS_DOUBLE
    for (size_t i = 0; i < VLEN; i++) x[i] = __builtin_sqrt(x[i]);
    return x;
#else
    for (size_t i = 0; i < VLEN; i++) x[i] = __builtin_sqrtf(x[i]);
    return x;
#endif
}

/* a * b + c, rounded once where the ISA can. */
static NNC_ALWAYS_INLINE vreal v_fma(vreal a, vreal b, vreal c)
{
#if !NNC_FMA
    return a * b + c;
#elif NNC_AARCH64 && NNC_REAL_IS_DOUBLE
    return (vreal)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#elif NNC_AARCH64
    return (vreal)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#elif NNC_VECTOR_BYTES == 16 && NNC_REAL_IS_DOUBLE
    return (vreal)_mm_fmadd_pd((__m128d)a, (__m128d)b, (__m128d)c);
#elif NNC_VECTOR_BYTES == 16
    return (vreal)_mm_fmadd_ps((__m128)a, (__m128)b, (__m128)c);
#elif NNC_VECTOR_BYTES == 32 && NNC_REAL_IS_DOUBLE
    return (vreal)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif NNC_VECTOR_BYTES == 32
    return (vreal)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif NNC_REAL_IS_DOUBLE
    return (vreal)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#else
    return (vreal)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#endif
}

/* The same for single elements: one instruction where the ISA has it, and no libm. */
static NNC_ALWAYS_INLINE real s_fma(real a, real b, real c)
{
#if !NNC_FMA
    return a * b + c;
#elif NNC_REAL_IS_DOUBLE
    return __builtin_fma(a, b, c);
#else
    return __builtin_fmaf(a, b, c);
#endif
}

/* ------------------------------------------------------------------------------- folding
 *
 * Sums over lanes: the upper half of a group of lanes is added to the lower one, until one is left.
 * Two vectors are folded to one at a time, in such an arrangement that each shuffle is cheap. */

/* Elements in 128 bits, which shuffles do not like to leave. */
#define QUAD (16 / sizeof(real))

/* name(a, b): the lanes `low` of both, plus the lanes `high`. Groups of a come first in the result,
 * or in each 128 bits of it, then those of b:
 *   halves     the halves of a vector
 *   quarters   neighbouring quarters
 *   fours      in each 128 bits, four lanes to two
 *   twos       in each 128 bits, neighbouring lanes */
#define NNC_LANES(...) __VA_ARGS__
#define NNC_DEFINE_FOLD(name, low, high)                      \
    static NNC_ALWAYS_INLINE vreal name(vreal a, vreal b)     \
    {                                                         \
        return __builtin_shufflevector(a, b, NNC_LANES low) + \
               __builtin_shufflevector(a, b, NNC_LANES high); \
    }

#if NNC_VECTOR_BYTES == 64 && !NNC_REAL_IS_DOUBLE
NNC_DEFINE_FOLD(v_fold_halves, (0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
                (8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
NNC_DEFINE_FOLD(v_fold_quarters, (0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27),
                (4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31))
NNC_DEFINE_FOLD(v_fold_fours, (0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
                (2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))
NNC_DEFINE_FOLD(v_fold_twos, (0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30),
                (1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29, 31))
#elif NNC_VECTOR_BYTES == 64
NNC_DEFINE_FOLD(v_fold_halves, (0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15))
NNC_DEFINE_FOLD(v_fold_quarters, (0, 1, 4, 5, 8, 9, 12, 13), (2, 3, 6, 7, 10, 11, 14, 15))
NNC_DEFINE_FOLD(v_fold_twos, (0, 8, 2, 10, 4, 12, 6, 14), (1, 9, 3, 11, 5, 13, 7, 15))
#elif NNC_VECTOR_BYTES == 32 && !NNC_REAL_IS_DOUBLE
NNC_DEFINE_FOLD(v_fold_halves, (0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15))
NNC_DEFINE_FOLD(v_fold_fours, (0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15))
NNC_DEFINE_FOLD(v_fold_twos, (0, 2, 8, 10, 4, 6, 12, 14), (1, 3, 9, 11, 5, 7, 13, 15))
#elif NNC_VECTOR_BYTES == 32
NNC_DEFINE_FOLD(v_fold_halves, (0, 1, 4, 5), (2, 3, 6, 7))
NNC_DEFINE_FOLD(v_fold_twos, (0, 4, 2, 6), (1, 5, 3, 7))
#elif !NNC_REAL_IS_DOUBLE
NNC_DEFINE_FOLD(v_fold_fours, (0, 1, 4, 5), (2, 3, 6, 7))
NNC_DEFINE_FOLD(v_fold_twos, (0, 2, 4, 6), (1, 3, 5, 7))
#else
NNC_DEFINE_FOLD(v_fold_twos, (0, 2), (1, 3))
#endif
#undef NNC_DEFINE_FOLD
#undef NNC_LANES

/* The folded lanes of each of x (VLEN). */
static NNC_ALWAYS_INLINE vreal v_fold_all(const vreal *x)
{
    vreal quads[QUAD]; /* in their i-th 128 bits, what is left of x[i QUAD + …] */
#pragma GCC unroll 4
    for (size_t i = 0; i < QUAD; i++) {
#if NNC_VECTOR_BYTES == 64
        quads[i] = v_fold_quarters(v_fold_halves(x[i], x[i + QUAD]),
                                   v_fold_halves(x[i + 2 * QUAD], x[i + 3 * QUAD]));
#elif NNC_VECTOR_BYTES == 32
        quads[i] = v_fold_halves(x[i], x[i + QUAD]);
#else
        quads[i] = x[i];
#endif
    }
#if NNC_REAL_IS_DOUBLE
    return v_fold_twos(quads[0], quads[1]);
#else
    return v_fold_twos(v_fold_fours(quads[0], quads[1]), v_fold_fours(quads[2], quads[3]));
#endif
}

/* One vector of the lanes of a logical one, given in PARTS vectors. */
static NNC_ALWAYS_INLINE vreal v_fold_parts(const vreal *x)
{
#if NNC_VECTOR_BYTES == 64
    return x[0];
#elif NNC_VECTOR_BYTES == 32
    return x[0] + x[1];
#else
    return (x[0] + x[2]) + (x[1] + x[3]);
#endif
}

/* sums (4): the folded lanes of the logical vectors a, b, c, d, each given in PARTS vectors. */
static NNC_ALWAYS_INLINE void v_fold4(real *sums, const vreal *a, const vreal *b, const vreal *c,
                                      const vreal *d)
{
    vreal x[4] = {v_fold_parts(a), v_fold_parts(b), v_fold_parts(c), v_fold_parts(d)}, all;
    /* a plain store of what is wanted: what a masked one wrote, the next load would wait for */
    typedef real four __attribute__((vector_size(4 * sizeof(real))));
    four first;
#if NNC_VECTOR_BYTES == 64
    all = v_fold_quarters(v_fold_halves(x[0], x[1]), v_fold_halves(x[2], x[3]));
#if !NNC_REAL_IS_DOUBLE
    all = v_fold_fours(all, all);
#endif
    all = v_fold_twos(all, all);
    first = __builtin_shufflevector(all, all, 0, QUAD, 2 * QUAD, 3 * QUAD);
#elif NNC_VECTOR_BYTES == 32 && !NNC_REAL_IS_DOUBLE
    all = v_fold_fours(v_fold_halves(x[0], x[2]), v_fold_halves(x[1], x[3]));
    all = v_fold_twos(all, all);
    first = __builtin_shufflevector(all, all, 0, 1, 4, 5);
#elif NNC_VECTOR_BYTES == 16 && NNC_REAL_IS_DOUBLE
    all = v_fold_all(x + 2);
    first = __builtin_shufflevector(v_fold_all(x), all, 0, 1, 2, 3);
#else
    all = v_fold_all(x);
    first = all;
#endif
    memcpy(sums, &first, sizeof first);
}
