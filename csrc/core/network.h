/* network.h - one training step on one block of samples: the work space, and the verbs that use it.
 *
 * A slice is worked on block by block, so that its activations stay in the caches. The verbs are
 * called in the order forward, loss, backprop; slices.c does so. A verb returns false where the
 * pacer says stop: the block's results are then worthless. */
#ifndef NNC_CORE_NETWORK_H
#define NNC_CORE_NETWORK_H

#include "core/loss.h"
#include "core/pacer.h"
#include "core/plan.h"
#include "nnc.h"

typedef struct {
    nnc_plan plan;   /* ld is that of blocks */
    size_t n_blocks; /* of the longest slice */
    const nnc_net *net;
    nnc_loss loss;
    double loss_parameter;
    bool loss_takes_logits;
    bool weighted, smoothed; /* what the loss reads of the data: see nnc_data */
} nnc_network_plan;

/* The activations of one block; a thread has one work space. Rows are the plan's ld apart. */
typedef struct {
    void **a; /* a[0]: the input, borrowed; a[l] (n_out of layer l, cols): its output, and on the
               * way back its dZ. Room for one more row follows each, for ones */
    void **z; /* z[l], l >= 1: what f' of layer l is written from: a[l] itself, or its argument in
               * a place of its own, for activations OF_Z */
    void *y_hat; /* (cols): a row of probabilities */
    void *hit;   /* (cols): 1 where all classes of a sample are right */
} nnc_workspace;

/* Products that keep samples apart are cut by logical vectors of samples, sums over samples by
 * rows of their result. */
enum { NNC_LEAST_VECTORS = 5, NNC_LEAST_ROWS = 6 };

bool nnc_forward_block(const nnc_network_plan *network, nnc_workspace *work, nnc_slice block,
                       const void *params, nnc_pacer *pacer);

/* work->a of the last layer (logits, where loss_takes_logits) with its labels ys (n_out, cols) and
 * weights (cols) or NULL. */
nnc_output nnc_output_of_block(const nnc_network_plan *network, const nnc_workspace *work,
                               nnc_slice block, const void *ys, const void *weights);

/* From such an output: *cost is the loss summed over the block, *hits the number of samples
 * classified right (hits may be NULL), and work->a of the last layer becomes dZ. */
void nnc_loss_block(const nnc_network_plan *network, nnc_slice block, const nnc_output *output,
                    double *cost, double *hits);

/* From dZ of the last layer in work->a: grads, laid out as the parameters, or what is added to them
 * where there are more. */
bool nnc_backprop_block(const nnc_network_plan *network, nnc_workspace *work, nnc_slice block,
                        const void *params, void *grads, bool more, nnc_pacer *pacer);

/* Whether one kernel does whole epochs: a question of the sizes, activations and loss alone. */
bool nnc_is_tiny(const nnc_network_plan *network);

/* 1 to NNC_TINY_EPOCHS epochs of a tiny network on packed xs and ys, with the bits that single
 * steps would have. params are trained in place, `before` gets those before the last update, cost
 * and accuracy (or NULL) an entry per epoch. False, with nothing written, where anything was not
 * finite. */
enum { NNC_TINY_EPOCHS = 512 };
bool nnc_tiny_epochs(const nnc_network_plan *network, const void *xs, const void *ys, void *params,
                     void *before, double learning_rate, size_t epochs, double *cost,
                     double *accuracy);
enum { NNC_TINY_PARAMS = NNC_TINY_HIDDEN * (NNC_TINY_INPUTS + 2) + 1 };

#endif
