/* base.h - compiler portability and checked size arithmetic; no domain types. */
#ifndef NNC_CORE_BASE_H
#define NNC_CORE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A cache line, and the width of a logical vector: see kernels/kernels.h. */
#define NNC_LINE ((size_t)64)

#define NNC_ALWAYS_INLINE inline __attribute__((always_inline))

/* Nobody knows any more what the variable was computed from: what follows cannot be moved ahead of
 * a branch, or be computed anew in each round of a loop. */
#define NNC_OPAQUE(x) __asm__("" : "+r"(x))

static inline size_t nnc_min(size_t a, size_t b)
{
    return a < b ? a : b;
}
static inline size_t nnc_max(size_t a, size_t b)
{
    return a > b ? a : b;
}
static inline size_t nnc_ceil_div(size_t a, size_t b)
{
    return a / b + (a % b != 0);
}

/* *out = a * b, or false where the product exceeds PTRDIFF_MAX. */
static inline bool nnc_mul(size_t *out, size_t a, size_t b)
{
    return !__builtin_mul_overflow(a, b, out) && *out <= (size_t)PTRDIFF_MAX;
}

/* a * b, or SIZE_MAX where that is absurd. */
static inline size_t nnc_work(size_t a, size_t b)
{
    size_t work;
    return nnc_mul(&work, a, b) ? work : SIZE_MAX;
}

static inline bool nnc_add(size_t *out, size_t a, size_t b)
{
    return !__builtin_add_overflow(a, b, out) && *out <= (size_t)PTRDIFF_MAX;
}

/* n things cut into near-equal parts of at most `most`: [start, start + length) is the next. Most
 * splits have one part, and cost no division. */
typedef struct {
    size_t parts, shorter, longer; /* the first `longer` parts have one more than `shorter` */
    size_t index, start, length;
} nnc_split;

static inline nnc_split nnc_split_evenly(size_t n, size_t most)
{
    if (n <= most) return (nnc_split){.parts = n > 0, .shorter = n};
    size_t parts = nnc_ceil_div(n, most);
    return (nnc_split){.parts = parts, .shorter = n / parts, .longer = n % parts};
}

static inline bool nnc_split_next(nnc_split *split)
{
    if (split->index == split->parts) return false;
    split->start += split->length;
    split->length = split->shorter + (split->index < split->longer);
    split->index++;
    return true;
}

#endif
