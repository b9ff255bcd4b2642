/* load.h - from the caller's data, as nnc.h describes them, to panels of the network's dtype. */
#ifndef NNC_CORE_LOAD_H
#define NNC_CORE_LOAD_H

#include "kernels/kernels.h"
#include "nnc.h"

/* x (n_in, cols) and y (n_out, cols), with rows NNC_PANEL apart: the samples index (cols) of data.
 * cols is a whole number of logical vectors. */
void nnc_load_x(const nnc_kernels *kernels, nnc_dtype dtype, void *x, const nnc_data *data,
                const size_t *index, size_t n_in, size_t cols);
void nnc_load_y(const nnc_kernels *kernels, nnc_dtype dtype, void *y, const nnc_data *data,
                nnc_loss loss, const size_t *index, size_t n_out, size_t cols);

/* to (n) = the weights of the samples index (n), and their sum. */
void nnc_load_weights(nnc_dtype dtype, void *to, double *sum, const double *weights,
                      const size_t *index, size_t n);

#endif
