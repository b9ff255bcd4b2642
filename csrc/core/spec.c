/* spec.c - checks a network's layers and lays out its parameter block: the one place that knows
 * where W and b of a layer lie. */
#include "core/base.h"
#include "nnc.h"

nnc_status nnc_net_init(nnc_net *net, nnc_layer *layers, size_t n_layers)
{
    if (n_layers == 0) return NNC_ERR_EMPTY;
    size_t offset = 0;
    for (size_t i = 0; i < n_layers; i++) {
        nnc_layer *layer = &layers[i];
        size_t weights, bytes;
        if (layer->n_in == 0 || layer->n_out == 0) return NNC_ERR_EMPTY;
        if (i > 0 && layer->n_in != layers[i - 1].n_out) return NNC_ERR_CHAIN;
        layer->w = offset;
        if (!nnc_mul(&weights, layer->n_out, layer->n_in)) return NNC_ERR_SIZE;
        if (!nnc_add(&offset, offset, weights)) return NNC_ERR_SIZE;
        layer->b = offset;
        if (layer->has_bias && !nnc_add(&offset, offset, layer->n_out)) return NNC_ERR_SIZE;
        if (!nnc_mul(&bytes, offset, sizeof(double))) return NNC_ERR_SIZE;
    }
    *net = (nnc_net){.layers = layers, .n_layers = n_layers, .n_params = offset};
    return NNC_OK;
}
