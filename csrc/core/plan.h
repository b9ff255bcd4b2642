/* plan.h - how a batch of m samples is cut, and where its pieces lie: computed once, so that a
 * step allocates nothing.
 *
 * Samples are grouped into logical vectors of NNC_LINE bytes, and these into slices. Both depend
 * on m and the dtype alone: the slices define the order of the sums over samples, and with it the
 * bits of the result. Training cuts slices once more, into blocks (slices.c). A slice of an
 * activation matrix is a (features, cols) block whose rows are `ld` elements apart: an odd number
 * of cache lines, so that neighbours do not share a set. */
#ifndef NNC_CORE_PLAN_H
#define NNC_CORE_PLAN_H

#include "core/base.h"
#include "kernels/kernels.h"
#include "nnc.h"

/* The samples of one slice: [start, start + n), in cols = whole logical vectors of columns. */
typedef struct {
    size_t start, n, cols;
} nnc_slice;

typedef struct {
    nnc_dtype dtype;
    size_t item;  /* bytes in an element */
    size_t lanes; /* elements in a logical vector */
    const nnc_kernels *kernels;
    size_t m;        /* samples */
    size_t n_slices; /* a power of two, at most NNC_MAX_SLICES */
    size_t ld;       /* of every slice: room for the longest */
    nnc_slice slices[NNC_MAX_SLICES];
} nnc_plan;

/* NNC_ERR_SIZE where m is absurd. */
nnc_status nnc_plan_init(nnc_plan *plan, nnc_dtype dtype, size_t m);

/* The sum of one number per slice, neighbours first: ((0 + 1) + (2 + 3)) + … */
double nnc_sum_slices(const nnc_plan *plan, const double *parts);

/* Elements `index` after p. */
static inline void *nnc_at(const nnc_plan *plan, const void *p, size_t index)
{
    return (char *)(uintptr_t)p + index * plan->item;
}

/* block (features, cols) = the slice's samples of x, read through strides. The columns beyond
 * the samples repeat the last one, so that they hold nothing the samples don't. */
void nnc_pack(const nnc_plan *plan, nnc_slice slice, void *block, const void *x, size_t features,
              ptrdiff_t feature_stride, ptrdiff_t sample_stride);
/* x (features, m), samples of the slice only = block. */
void nnc_unpack(const nnc_plan *plan, nnc_slice slice, void *x, const void *block, size_t features);
/* The columns of block (features, cols) beyond the samples become 0. */
void nnc_clear_padding(const nnc_plan *plan, nnc_slice slice, void *block, size_t features);

#endif
