/* loss.h - the loss of a network's output, for whatever drives it. */
#ifndef NNC_CORE_LOSS_H
#define NNC_CORE_LOSS_H

#include "core/arena.h"
#include "kernels/kernels.h"
#include "nnc.h"

/* What the sum of a loss is divided by. weight: the number of samples, or the sum of their
 * weights. */
double nnc_loss_divisor(nnc_loss loss, double weight, size_t n_out);

/* Whether the loss after f wants f's argument. */
bool nnc_loss_takes_logits(nnc_loss loss, nnc_activation f);

/* Whether labels are classes, and not numbers. */
bool nnc_loss_has_classes(nnc_loss loss);

/* Whether the kernel for tiny networks knows the loss. */
bool nnc_loss_is_tiny(nnc_loss loss);

/* z (n_out, cols; ld) = f(z), for an f of NNC_SOFTMAX_LIST. */
void nnc_apply_softmax(const nnc_kernels *kernels, nnc_activation f, void *z, size_t n_out,
                       size_t cols, size_t ld);

/* The output of n samples: matrices (n_out, n) with rows ld elements apart. */
typedef struct {
    void *dz;      /* in: the output, or its logits; out: the derivative of the loss by them */
    const void *z; /* what f' is written from: its argument for activations OF_Z, else dz */
    const void *y; /* the labels */
    const void *weights; /* (n), or NULL */
    void *y_hat, *hit;   /* (n): work space */
    size_t n_out, n, ld; /* elements */
    size_t item;         /* bytes in an element */
    double parameter;    /* of the loss */
    bool smoothed;       /* labels of 0 and 1 are only near them */
} nnc_output;

/* *cost is the loss summed over the samples, *hits the number of samples classified right (hits may
 * be NULL); weights multiply them all. f is the output layer's activation; those of
 * NNC_SOFTMAX_LIST want logits too. */
void nnc_loss_rows(const nnc_kernels *kernels, nnc_loss loss, nnc_activation f, double *cost,
                   double *hits, const nnc_output *output);

/* Work space of nnc_store_rows. */
typedef struct {
    void *outputs, *rows; /* (n_out, NNC_PANEL), and its transpose */
} nnc_rows;
void nnc_rows_lay_out(nnc_rows *rows, nnc_arena *arena, size_t n_out, size_t item);

/* Rows of y (m, n_out): the network's outputs, from output->dz as nnc_loss_rows will take it. n
 * samples, which are order[start …], or start … where order is NULL. */
void nnc_store_rows(const nnc_kernels *kernels, nnc_loss loss, nnc_activation f,
                    const nnc_output *output, const nnc_rows *rows, const size_t *order,
                    size_t start, void *y);

#endif
