/* loss.h - the loss of a network's output, for whatever drives it. */
#ifndef NNC_CORE_LOSS_H
#define NNC_CORE_LOSS_H

#include "kernels/kernels.h"
#include "nnc.h"

/* What the sum of a loss over m samples is divided by. */
double nnc_loss_divisor(nnc_loss loss, size_t m, size_t n_out);

/* Whether the loss after f wants f's argument: cross-entropy after sigmoid. */
bool nnc_loss_takes_logits(nnc_loss loss, nnc_activation f);

/* The output of n samples: matrices (n_out, n) with rows ld elements apart. */
typedef struct {
    void *dz;          /* in: the output, or its logits; out: the derivative of the loss by them */
    const void *y;     /* the labels */
    void *y_hat, *hit; /* (n): work space */
    size_t n_out, n, ld; /* elements */
    size_t item;         /* bytes in an element */
} nnc_output;

/* *cost is the loss summed over the samples, *hits the number of samples classified right (hits may
 * be NULL). f is the output layer's activation; softmax wants logits too. */
void nnc_loss_rows(const nnc_kernels *kernels, nnc_loss loss, nnc_activation f, double *cost,
                   double *hits, const nnc_output *output);

#endif
