/* plan.c - see plan.h. */
#include "core/plan.h"

#include <string.h>

/* At least this many logical vectors make a slice: shorter ones lose time to folding lanes. */
enum { SLICE_VECTORS = 16 };

nnc_status nnc_plan_init(nnc_plan *plan, nnc_dtype dtype, size_t m)
{
    size_t item = nnc_dtype_size(dtype), lanes = NNC_LINE / item, bytes;
    if (!nnc_mul(&bytes, m, item)) return NNC_ERR_SIZE;
    size_t vectors = nnc_max(nnc_ceil_div(m, lanes), 1), n_slices = 1;
    while (n_slices < NNC_MAX_SLICES && vectors / (2 * n_slices) >= SLICE_VECTORS) n_slices *= 2;
    size_t longest = nnc_ceil_div(vectors, n_slices);
    *plan = (nnc_plan){.dtype = dtype,
                       .item = item,
                       .lanes = lanes,
                       .kernels = nnc_kernels_for(dtype),
                       .m = m,
                       .n_slices = n_slices,
                       .ld = (longest | 1) * lanes};
    nnc_split split = nnc_split_evenly(vectors, longest);
    for (nnc_slice *slice = plan->slices; nnc_split_next(&split); slice++) {
        size_t start = split.start * lanes, end = start + split.length * lanes;
        *slice = (nnc_slice){start, nnc_min(end, m) - start, split.length * lanes};
    }
    return NNC_OK;
}

double nnc_sum_slices(const nnc_plan *plan, const double *parts)
{
    double tree[NNC_MAX_SLICES];
    memcpy(tree, parts, plan->n_slices * sizeof *parts);
    for (size_t width = plan->n_slices / 2; width > 0; width /= 2)
        for (size_t s = 0; s < width; s++) tree[s] = tree[2 * s] + tree[2 * s + 1];
    return tree[0];
}

void nnc_pack(const nnc_plan *plan, nnc_slice slice, void *block, const void *x, size_t features,
              ptrdiff_t feature_stride, ptrdiff_t sample_stride)
{
    size_t item = plan->item;
    for (size_t i = 0; i < features; i++) {
        char *row = nnc_at(plan, block, i * plan->ld);
        const char *from = x;
        if (slice.n > 0)
            from += ((ptrdiff_t)i * feature_stride + (ptrdiff_t)slice.start * sample_stride) *
                    (ptrdiff_t)item;
        if (sample_stride == 1) {
            memcpy(row, from, slice.n * item);
        } else {
            for (size_t j = 0; j < slice.n; j++)
                memcpy(row + j * item, from + (ptrdiff_t)j * sample_stride * (ptrdiff_t)item, item);
        }
        if (slice.n == 0) memset(row, 0, slice.cols * item);
        for (size_t j = slice.n; slice.n > 0 && j < slice.cols; j++)
            memcpy(row + j * item, row + (slice.n - 1) * item, item);
    }
}

void nnc_unpack(const nnc_plan *plan, nnc_slice slice, void *x, const void *block, size_t features)
{
    for (size_t i = 0; i < features; i++)
        memcpy(nnc_at(plan, x, i * plan->m + slice.start), nnc_at(plan, block, i * plan->ld),
               slice.n * plan->item);
}

void nnc_clear_padding(const nnc_plan *plan, nnc_slice slice, void *block, size_t features)
{
    for (size_t i = 0; i < features; i++)
        memset(nnc_at(plan, block, i * plan->ld + slice.n), 0, (slice.cols - slice.n) * plan->item);
}
