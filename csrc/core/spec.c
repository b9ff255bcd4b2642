/* spec.c - checks a network's layers and lays out its parameter block: the one place that knows
 * where W and b of a layer lie, or gamma, beta and the running moments. */
#include <math.h>

#include "core/base.h"
#include "nnc.h"

/* What only layers that are not dense must fulfil. */
static bool keeps_the_rules(const nnc_layer *layer)
{
    if (layer->n_in != layer->n_out || layer->activation != NNC_ACT_IDENTITY) return false;
    if (layer->kind == NNC_DROPOUT) return layer->rate >= 0 && layer->rate < 1;
    if (!(layer->epsilon > 0) || !isfinite(layer->epsilon)) return false;
    return layer->kind == NNC_LAYER_NORM || (layer->momentum >= 0 && layer->momentum <= 1);
}

/* How many elements `first` and `second` have in the parameter block: W and b, gamma and beta. */
static bool count_parameters(const nnc_layer *layer, size_t *first, size_t *second)
{
    *first = *second = layer->kind == NNC_DROPOUT ? 0 : layer->n_out;
    if (layer->kind != NNC_DENSE) return true;
    if (!layer->has_bias) *second = 0;
    return nnc_mul(first, layer->n_out, layer->n_in);
}

nnc_status nnc_net_init(nnc_net *net, nnc_layer *layers, size_t n_layers)
{
    if (n_layers == 0) return NNC_ERR_EMPTY;
    size_t offset = 0, n_params, bytes;
    for (size_t i = 0; i < n_layers; i++) {
        nnc_layer *layer = &layers[i];
        size_t first, second;
        if (layer->n_in == 0 || layer->n_out == 0) return NNC_ERR_EMPTY;
        if (i > 0 && layer->n_in != layers[i - 1].n_out) return NNC_ERR_CHAIN;
        if (layer->kind != NNC_DENSE && !keeps_the_rules(layer)) return NNC_ERR_LAYER;
        if (layer->kind != NNC_DENSE) layer->has_bias = layer->kind != NNC_DROPOUT;
        layer->w = offset;
        if (!count_parameters(layer, &first, &second)) return NNC_ERR_SIZE;
        if (!nnc_add(&offset, offset, first)) return NNC_ERR_SIZE;
        layer->b = offset;
        if (!nnc_add(&offset, offset, second)) return NNC_ERR_SIZE;
        if (!nnc_mul(&bytes, offset, sizeof(double))) return NNC_ERR_SIZE;
    }
    if (layers[n_layers - 1].kind != NNC_DENSE) return NNC_ERR_LAST;
    n_params = offset;
    for (size_t i = 0; i < n_layers; i++) {
        layers[i].state = offset;
        if (layers[i].kind == NNC_BATCH_NORM) offset += 2 * layers[i].n_in; /* as many parameters */
        if (!nnc_mul(&bytes, offset, sizeof(double))) return NNC_ERR_SIZE;
    }
    *net = (nnc_net){
        .layers = layers, .n_layers = n_layers, .n_params = n_params, .n_state = offset - n_params};
    return NNC_OK;
}
