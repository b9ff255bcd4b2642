/* rng.c - the legacy random numbers of NumPy: MT19937, and the polar method for normals.
 *
 * Equal to numpy.random.RandomState bit for bit: the same recurrences, the same libm log, and no
 * fused multiply-add (-ffp-contract=off), which would change the last bits of the normals.
 * Source: Matsumoto and Nishimura, "Mersenne Twister", ACM TOMACS 8 (1998); Marsaglia and Bray,
 * "A convenient method for generating normal variables", SIAM Review 6 (1964). */
#include <math.h>

#include "nnc.h"

enum { WORDS = 624, MIDDLE = 397 };

void nnc_rng_seed(nnc_rng *rng, uint32_t seed)
{
    for (uint32_t i = 0; i < WORDS; i++) {
        rng->state[i] = seed;
        seed = 1812433253u * (seed ^ (seed >> 30)) + i + 1;
    }
    rng->position = WORDS;
    rng->has_gauss = false;
    rng->gauss = 0.0;
}

void nnc_rng_seed_array(nnc_rng *rng, const uint32_t *words, size_t n)
{
    nnc_rng_seed(rng, 19650218u);
    uint32_t *mt = rng->state;
    size_t i = 1, j = 0;
    for (size_t k = n > WORDS ? n : WORDS; k > 0; k--) {
        mt[i] = (mt[i] ^ ((mt[i - 1] ^ (mt[i - 1] >> 30)) * 1664525u)) + words[j] + (uint32_t)j;
        if (++i == WORDS) {
            mt[0] = mt[WORDS - 1];
            i = 1;
        }
        if (++j == n) j = 0;
    }
    for (size_t k = WORDS - 1; k > 0; k--) {
        mt[i] = (mt[i] ^ ((mt[i - 1] ^ (mt[i - 1] >> 30)) * 1566083941u)) - (uint32_t)i;
        if (++i == WORDS) {
            mt[0] = mt[WORDS - 1];
            i = 1;
        }
    }
    mt[0] = 0x80000000u;
}

static uint32_t twisted(uint32_t word, uint32_t next, uint32_t middle)
{
    uint32_t y = (word & 0x80000000u) | (next & 0x7fffffffu);
    return middle ^ (y >> 1) ^ (-(y & 1) & 0x9908b0dfu);
}

static void refill(nnc_rng *rng)
{
    uint32_t *mt = rng->state;
    for (int i = 0; i < WORDS - MIDDLE; i++) mt[i] = twisted(mt[i], mt[i + 1], mt[i + MIDDLE]);
    for (int i = WORDS - MIDDLE; i < WORDS - 1; i++)
        mt[i] = twisted(mt[i], mt[i + 1], mt[i + MIDDLE - WORDS]);
    mt[WORDS - 1] = twisted(mt[WORDS - 1], mt[0], mt[MIDDLE - 1]);
    rng->position = 0;
}

static inline uint32_t next_word(nnc_rng *rng)
{
    if (rng->position == WORDS) refill(rng);
    uint32_t y = rng->state[rng->position++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

/* 53 random bits over 2^53; the high word is drawn first. */
static double next_double(nnc_rng *rng)
{
    uint32_t high = next_word(rng) >> 5, low = next_word(rng) >> 6;
    return (high * 67108864.0 + low) / 9007199254740992.0;
}

/* A point (x1, x2) in the unit disc gives two normals; the one of x2 is returned first, the
 * other is kept for the next call. */
static double next_normal(nnc_rng *rng)
{
    if (rng->has_gauss) {
        rng->has_gauss = false;
        return rng->gauss;
    }
    double x1, x2, r2;
    do {
        x1 = 2.0 * next_double(rng) - 1.0;
        x2 = 2.0 * next_double(rng) - 1.0;
        r2 = x1 * x1 + x2 * x2;
    } while (r2 >= 1.0 || r2 == 0.0);
    double factor = sqrt(-2.0 * log(r2) / r2);
    rng->gauss = factor * x1;
    rng->has_gauss = true;
    return factor * x2;
}

void nnc_rng_uniform(nnc_rng *rng, double *x, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] = next_double(rng);
}

void nnc_rng_normal(nnc_rng *rng, double *x, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] = next_normal(rng);
}

/* places (up to n): for i from *last down, a number from 0 to i, each the first word below a mask
 * that is not too large; *last ends below the last i served. Without branches, as none could be
 * predicted: a number that is too large is overwritten. */
static size_t draw_places(nnc_rng *rng, uint32_t *places, size_t n, uint32_t *last)
{
    size_t drawn = 0;
    uint32_t i = *last, mask = i > 0 ? UINT32_MAX >> __builtin_clz(i) : 0;
    while (drawn < n && i > 0) {
        places[drawn] = next_word(rng) & mask;
        uint32_t fits = places[drawn] <= i;
        drawn += fits;
        i -= fits;
        mask >>= i <= mask >> 1;
    }
    *last = i;
    return drawn;
}

/* From the last place down, each element changes places with one at or before it. */
size_t nnc_rng_shuffle_some(nnc_rng *rng, size_t *order, size_t n, size_t most)
{
    enum { CHUNK = 256 };
    uint32_t places[CHUNK], i = n > 0 ? (uint32_t)(n - 1) : 0, last = i;
    uint32_t end = i > most ? i - (uint32_t)most : 0;
    while (i > end) {
        size_t drawn = draw_places(rng, places, i - end < CHUNK ? i - end : CHUNK, &last);
        for (size_t k = 0; k < drawn; k++, i--) {
            size_t moved = order[i];
            order[i] = order[places[k]];
            order[places[k]] = moved;
        }
    }
    return i > 0 ? (size_t)i + 1 : 0;
}

void nnc_rng_shuffle(nnc_rng *rng, size_t *order, size_t n)
{
    nnc_rng_shuffle_some(rng, order, n, n);
}
