/* random_tmpl.h - dropout, and the random numbers behind it: Philox4x32-10, in which the numbers
 * are a function of a counter and a key, so that any element's can be had at any time, in any
 * order. Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3"
 * (2011).
 *
 * A vector of 64-bit lanes carries one 32-bit word of as many counters; a multiplication of low
 * halves leaves the two words that a round wants. What else is in high halves does no harm. */
typedef uint64_t NNC_FN(words) __attribute__((vector_size(NNC_VECTOR_BYTES)));
typedef int64_t NNC_FN(signed_words) __attribute__((vector_size(NNC_VECTOR_BYTES)));

/* Elements for one 64-bit lane. */
#define NNC_HALVES (sizeof(uint64_t) / sizeof(real))

/* The low half of each lane of a, times b. */
static NNC_ALWAYS_INLINE NNC_FN(words) NNC_FN(low_product)(NNC_FN(words) a, uint32_t b)
{
    NNC_FN(words) factor = (NNC_FN(words)){0} + b;
#if !NNC_FMA
    return (a & UINT32_MAX) * factor;
#elif NNC_AARCH64
    return (NNC_FN(words))vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)factor));
#elif NNC_VECTOR_BYTES == 16
    return (NNC_FN(words))_mm_mul_epu32((__m128i)a, (__m128i)factor);
#elif NNC_VECTOR_BYTES == 32
    return (NNC_FN(words))_mm256_mul_epu32((__m256i)a, (__m256i)factor);
#else
    return (NNC_FN(words))_mm512_mul_epu32((__m512i)a, (__m512i)factor);
#endif
}

/* counter (4 words) becomes 4 random words. */
static NNC_ALWAYS_INLINE void NNC_FN(philox)(NNC_FN(words) *counter, uint64_t key)
{
    enum { ROUNDS = 10 };
    NNC_FN(words) a = counter[0], b = counter[1], c = counter[2], d = counter[3];
    uint32_t low = (uint32_t)key, high = (uint32_t)(key >> 32);
#pragma GCC unroll 10
    for (int round = 0; round < ROUNDS; round++) {
        NNC_FN(words) p = NNC_FN(low_product)(a, 0xD2511F53u);
        NNC_FN(words) q = NNC_FN(low_product)(c, 0xCD9E8D57u);
        a = (q >> 32) ^ b ^ low;
        b = q;
        c = (p >> 32) ^ d ^ high;
        d = p;
        low += 0x9E3779B9u;
        high += 0xBB67AE85u;
    }
    counter[0] = a & UINT32_MAX;
    counter[1] = b & UINT32_MAX;
    counter[2] = c & UINT32_MAX;
    counter[3] = d & UINT32_MAX;
}

/* keep (4): masks of the elements to keep, of four features and the samples at place, place + 1, …,
 * none beyond `last`. */
static NNC_ALWAYS_INLINE void NNC_FN(kept)(vint *keep, const nnc_dropout *d, uint64_t block,
                                           uint64_t place, uint64_t last)
{
    static const uint64_t lanes[] = {0, 1, 2, 3, 4, 5, 6, 7};
    const NNC_FN(words) zero = {0};
    NNC_FN(words) lane, all[4] = {zero, zero, zero, zero};
    memcpy(&lane, lanes, sizeof lane);
#pragma GCC unroll 2
    for (size_t half = 0; half < NNC_HALVES; half++) { /* every second sample, in float */
        NNC_FN(words) places = lane * NNC_HALVES + (place + half);
        NNC_FN(words) over = (NNC_FN(words))((NNC_FN(signed_words))places > (int64_t)last);
        NNC_FN(words) words[] = {
            (places & ~over) | (over & last),
            zero + block,
            zero + (d->step & UINT32_MAX),
            zero + ((uint64_t)d->layer << 16 | (d->step >> 32 & 0xffff)),
        };
        NNC_FN(philox)(words, d->seed);
        const uint64_t part = NNC_HALVES == 1 ? UINT64_MAX : (uint64_t)UINT32_MAX << 32 * half;
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; i++) {
            NNC_FN(signed_words) large = (NNC_FN(signed_words))words[i] >= (int64_t)d->threshold;
            all[i] |= (NNC_FN(words))large & part;
        }
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) keep[i] = (vint)all[i];
}

static void NNC_FN(dropout)(void *y_, const void *x_, const nnc_dropout *d, const void *a_,
                            nnc_activation f, size_t features, size_t first, size_t n, size_t cols)
{
    real *y = y_;
    const real *x = x_, *a = a_ ? a_ : y_; /* not read for identity */
    const vreal scale = v_set1((real)d->scale);
    for (size_t i = 0; i < features; i += 4) {
        for (size_t j = 0; j < cols; j += VLEN) {
            vint keep[4];
            NNC_FN(kept)(keep, d, i / 4, first + j, first + n - 1);
            for (size_t k = 0; k < nnc_min(features - i, 4); k++) {
                size_t place = (i + k) * NNC_PANEL + j;
                vreal value = v_keep(keep[k], v_load(x + place) * scale);
                NNC_FN(hand_back)(f, y + place, value, a + place);
            }
        }
    }
}

#undef NNC_HALVES
