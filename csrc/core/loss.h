/* loss.h - the loss of a network's output, for whatever drives it. */
#ifndef NNC_CORE_LOSS_H
#define NNC_CORE_LOSS_H

#include "kernels/kernels.h"
#include "nnc.h"

/* What the sum of a loss over m samples is divided by. */
double nnc_loss_divisor(nnc_loss loss, size_t m, size_t n_out);

/* Whether the loss after f wants f's argument: cross-entropy after sigmoid. */
bool nnc_loss_takes_logits(nnc_loss loss, nnc_activation f);

/* z (n_out, cols; ld) = f(z), for an f of NNC_SOFTMAX_LIST. */
void nnc_apply_softmax(const nnc_kernels *kernels, nnc_activation f, void *z, size_t n_out,
                       size_t cols, size_t ld);

/* The output of n samples: matrices (n_out, n) with rows ld elements apart. */
typedef struct {
    void *dz;          /* in: the output, or its logits; out: the derivative of the loss by them */
    const void *z;     /* what f' is written from: its argument for activations OF_Z, else dz */
    const void *y;     /* the labels */
    void *y_hat, *hit; /* (n): work space */
    size_t n_out, n, ld; /* elements */
    size_t item;         /* bytes in an element */
} nnc_output;

/* *cost is the loss summed over the samples, *hits the number of samples classified right (hits may
 * be NULL). f is the output layer's activation; those of NNC_SOFTMAX_LIST want logits too. */
void nnc_loss_rows(const nnc_kernels *kernels, nnc_loss loss, nnc_activation f, double *cost,
                   double *hits, const nnc_output *output);

#endif
