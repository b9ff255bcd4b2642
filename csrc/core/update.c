/* update.c - the tutorial's step on a block of parameters. */
#include "core/fpmode.h"
#include "kernels/kernels.h"

void nnc_update(nnc_dtype dtype, void *params, const void *grads, double learning_rate, size_t n)
{
    nnc_fpmode caller = nnc_fpmode_enter();
    nnc_kernels_for(dtype)->update(params, grads, learning_rate, n);
    nnc_fpmode_leave(caller);
}

size_t nnc_first_nonfinite(nnc_dtype dtype, const void *x, size_t n)
{
    size_t index;
    nnc_fpmode caller = nnc_fpmode_enter();
    nnc_kernels_for(dtype)->first_nonfinite(&index, x, n);
    nnc_fpmode_leave(caller);
    return index;
}
