/* load.h - from the caller's data, as nnc.h describes them, to matrices of the network's dtype that
 * have samples as columns. */
#ifndef NNC_CORE_LOAD_H
#define NNC_CORE_LOAD_H

#include "core/base.h"
#include "kernels/kernels.h"
#include "nnc.h"

/* x (n_in, cols; ld) and y (n_out, cols; ld): the samples index (cols) of data. cols is a whole
 * number of logical vectors, and at most NNC_PANEL. */
void nnc_load_x(const nnc_kernels *kernels, nnc_dtype dtype, void *x, const nnc_data *data,
                const size_t *index, size_t n_in, size_t cols, size_t ld);
void nnc_load_y(const nnc_kernels *kernels, nnc_dtype dtype, void *y, const nnc_data *data,
                nnc_loss loss, const size_t *index, size_t n_out, size_t cols, size_t ld);

/* index (cols) = the places in data of n samples from `start` on, by their order or, where that is
 * NULL, as they are; the last one fills up. */
static inline void nnc_find_samples(size_t *index, const size_t *order, size_t start, size_t n,
                                    size_t cols)
{
    for (size_t j = 0; j < cols; j++) {
        size_t place = start + nnc_min(j, n - 1);
        index[j] = order ? order[place] : place;
    }
}

/* to (n) = the weights of the samples index (n), and their sum. */
void nnc_load_weights(nnc_dtype dtype, void *to, double *sum, const double *weights,
                      const size_t *index, size_t n);

#endif
