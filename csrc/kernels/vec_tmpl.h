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

/* Folds groups of 2 h lanes of a and b to groups of h lanes, upper half onto lower: the groups
 * of a come first in the result, then those of b. h divides VLEN / 2. */
static NNC_ALWAYS_INLINE vreal v_fold(vreal a, vreal b, int h)
{
#define FOLD(low, high) \
    (__builtin_shufflevector(a, b, NNC_LANES low) + __builtin_shufflevector(a, b, NNC_LANES high))
#define NNC_LANES(...) __VA_ARGS__
    switch (h) {
#if NNC_VECTOR_BYTES == 64 && !NNC_REAL_IS_DOUBLE
        case 8:
            return FOLD((0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
                        (8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31));
        case 4:
            return FOLD((0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27),
                        (4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31));
        case 2:
            return FOLD((0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29),
                        (2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31));
        default:
            return FOLD((0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30),
                        (1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31));
#elif NNC_VECTOR_BYTES == 64 || (NNC_VECTOR_BYTES == 32 && !NNC_REAL_IS_DOUBLE)
        case 4:
            return FOLD((0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15));
        case 2:
            return FOLD((0, 1, 4, 5, 8, 9, 12, 13), (2, 3, 6, 7, 10, 11, 14, 15));
        default:
            return FOLD((0, 2, 4, 6, 8, 10, 12, 14), (1, 3, 5, 7, 9, 11, 13, 15));
#elif NNC_VECTOR_BYTES == 32 || !NNC_REAL_IS_DOUBLE
        case 2:
            return FOLD((0, 1, 4, 5), (2, 3, 6, 7));
        default:
            return FOLD((0, 2, 4, 6), (1, 3, 5, 7));
#else
        default:
            return FOLD((0, 2), (1, 3));
#endif
    }
#undef FOLD
#undef NNC_LANES
}

/* sums (4): the folded lanes of the logical vectors a, b, c, d, each given in PARTS vectors. */
static NNC_ALWAYS_INLINE void v_fold4(real *sums, vreal *a, vreal *b, vreal *c, vreal *d)
{
    for (size_t half = PARTS / 2; half > 0; half /= 2) {
        for (size_t i = 0; i < half; i++) {
            a[i] += a[i + half];
            b[i] += b[i + half];
            c[i] += c[i + half];
            d[i] += d[i + half];
        }
    }
    vreal ab = v_fold(*a, *b, VLEN / 2);
    vreal cd = v_fold(*c, *d, VLEN / 2);
#if NNC_VECTOR_BYTES == 16 && NNC_REAL_IS_DOUBLE
    v_store(sums, ab);
    v_store(sums + 2, cd);
#else
    vreal all = v_fold(ab, cd, VLEN / 4);
    for (int h = VLEN / 8; h > 0; h /= 2) all = v_fold(all, all, h);
    /* a plain store of what is wanted: what a masked one wrote, the next load would wait for */
    typedef real four __attribute__((vector_size(4 * sizeof(real))));
    four first = __builtin_shufflevector(all, all, 0, 1, 2, 3);
    memcpy(sums, &first, sizeof first);
#endif
}
