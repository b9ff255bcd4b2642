/* load.h - from the caller's data, as nnc.h describes them, to matrices of the network's dtype that
 * have samples as columns. */
#ifndef NNC_CORE_LOAD_H
#define NNC_CORE_LOAD_H

#include "kernels/kernels.h"
#include "nnc.h"

/* Where samples go: x (n_in, cols; ld), y (n_out, cols; ld), weights (cols). */
typedef struct {
    const nnc_kernels *kernels;
    nnc_dtype dtype;
    nnc_loss loss;
    size_t n_in, n_out, ld;
    void *x, *y, *weights;
} nnc_load_place;

/* n samples of data, which are order[start …], or start … where order is NULL; the last one fills
 * up to cols, a whole number of logical vectors and at most NNC_PANEL. y and weights get what data
 * has of them. Returns the sum of the weights, as the dtype has them. */
double nnc_load_samples(const nnc_load_place *to, const nnc_data *data, const size_t *order,
                        size_t start, size_t n, size_t cols);

#endif
