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
    bool loss_takes_logits;
} nnc_network_plan;

/* The activations of one slice; a thread has one work space. */
typedef struct {
    void **a; /* a[0]: the input, borrowed; a[l] (n_out of layer l, cols): its output, and on the
               * way back its dZ. One more row, of ones, follows each */
    void **z; /* z[l], l >= 1: what f' of layer l is written from: a[l] itself, or its argument in
               * a place of its own, for activations OF_Z */
    void *y_hat; /* (cols): a row of probabilities */
    void *hit;   /* (cols): 1 where all classes of a sample are right */
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

/* nnc_train, which takes the short way for tiny networks, or else the long way for all. */
nnc_status nnc_train_either_way(const nnc_training *training, void *params, double *cost,
                                double *accuracy, size_t *done, bool short_way);

#endif
