/* tiny.c - networks and batches so small that one kernel does whole epochs. */
#include "core/network.h"

#include <string.h>

/* Of NNC_TINY_ACTIVATION_LIST. */
static bool is_tiny(nnc_activation f)
{
#define NNC_IS(id, name) || f == NNC_ACT_##id
    return false NNC_TINY_ACTIVATION_LIST(NNC_IS);
#undef NNC_IS
}

bool nnc_is_tiny(const nnc_network_plan *network)
{
    const nnc_net *net = network->net;
    return net->n_layers == 2 && net->layers[0].n_in <= NNC_TINY_INPUTS &&
           net->layers[0].n_out <= NNC_TINY_HIDDEN && net->layers[1].n_out == 1 &&
           is_tiny(net->layers[0].activation) && is_tiny(net->layers[1].activation) &&
           network->plan.m > 0 && network->plan.m <= NNC_TINY_SAMPLES &&
           nnc_loss_is_tiny(network->loss);
}

bool nnc_tiny_epochs(const nnc_network_plan *network, const void *xs, const void *ys, void *params,
                     void *before, double learning_rate, size_t epochs, double *cost,
                     double *accuracy)
{
    const nnc_plan *plan = &network->plan;
    const nnc_net *net = network->net;
    size_t bytes = net->n_params * plan->item, bad;
    double m = (double)plan->m, divisor = nnc_loss_divisor(network->loss, m, 1), finite = 0;
    double rate = learning_rate / divisor, costs[NNC_TINY_EPOCHS], hits[NNC_TINY_EPOCHS];
    double last[NNC_TINY_PARAMS], next[NNC_TINY_PARAMS]; /* of either dtype */

    memcpy(last, params, bytes);
    if (epochs > 1) /* a call costs as much as an epoch */
        plan->kernels->train_tiny(last, net->layers, network->loss, xs, ys, plan->m, plan->ld, rate,
                                  epochs - 1, costs, accuracy ? hits : NULL);
    memcpy(next, last, bytes);
    plan->kernels->train_tiny(next, net->layers, network->loss, xs, ys, plan->m, plan->ld, rate, 1,
                              &costs[epochs - 1], accuracy ? &hits[epochs - 1] : NULL);
    plan->kernels->first_nonfinite(&bad, next, net->n_params);
    for (size_t i = 0; i < epochs; i++) {
        costs[i] /= divisor;
        finite += costs[i] - costs[i]; /* 0, or NaN for good */
    }
    if (bad < net->n_params || finite != 0) return false;
    memcpy(params, next, bytes);
    memcpy(before, last, bytes);
    memcpy(cost, costs, epochs * sizeof *cost);
    for (size_t i = 0; accuracy && i < epochs; i++) accuracy[i] = hits[i] / m;
    return true;
}
