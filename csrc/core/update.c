/* update.c - the tutorial's step on a block of parameters. */
#include "kernels/kernels.h"

void nnc_update(nnc_dtype dtype, void *params, const void *grads, double learning_rate, size_t n)
{
    nnc_kernels_for(dtype)->update(params, grads, learning_rate, n);
}

size_t nnc_first_nonfinite(nnc_dtype dtype, const void *x, size_t n)
{
    size_t index;
    nnc_kernels_for(dtype)->first_nonfinite(&index, x, n);
    return index;
}
