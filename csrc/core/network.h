/* network.h - one training step on one slice: the work space, and the verbs that use it.
 *
 * The verbs are called in the order forward, loss, backprop; train.c does so. A verb returns
 * false where the pacer says stop: the slice's results are then worthless. */
#ifndef NNC_CORE_NETWORK_H
#define NNC_CORE_NETWORK_H

#include "core/loss.h"
#include "core/pacer.h"
#include "core/plan.h"
#include "nnc.h"

typedef struct {
    nnc_plan plan;
    const nnc_net *net;
    nnc_loss loss;
    bool loss_takes_logits; /* cross-entropy after sigmoid */
    size_t max_width;       /* of all layers' inputs and outputs */
} nnc_network_plan;

/* The activations of one slice; a thread has one work space. */
typedef struct {
    void **a;       /* a[0]: the input, borrowed; a[l] (n_out of layer l, cols) */
    void *delta[2]; /* (max_width, cols): dZ of this layer and of the one before, in turn */
    void *y_hat;    /* (cols): a row of probabilities */
    void *hit;      /* (cols): 1 where all classes of a sample are right */
} nnc_workspace;

/* Products that keep samples apart are cut by logical vectors of samples, sums over samples by
 * rows of their result. */
enum { NNC_LEAST_VECTORS = 5, NNC_LEAST_ROWS = 6 };

bool nnc_forward_slice(const nnc_network_plan *network, nnc_workspace *work, nnc_slice slice,
                       const void *params, nnc_pacer *pacer);

/* From work->a of the last layer (logits, where loss_takes_logits) and ys (n_out, cols):
 * *cost is the loss summed over the slice, *hits the number of samples classified right (hits may
 * be NULL), and work->a of the last layer becomes dZ. */
void nnc_loss_slice(const nnc_network_plan *network, nnc_workspace *work, nnc_slice slice,
                    const void *ys, double *cost, double *hits);

/* From dZ of the last layer in work->a: grads, a block laid out as the parameters. */
bool nnc_backprop_slice(const nnc_network_plan *network, nnc_workspace *work, nnc_slice slice,
                        const void *params, void *grads, nnc_pacer *pacer);

#endif
