/* keepers.h - the layers that keep the width: dropout, layer norm, batch norm. panels.c calls these
 * where a layer is not dense; panels.h says what a batch holds, and when. */
#ifndef NNC_CORE_KEEPERS_H
#define NNC_CORE_KEEPERS_H

#include "core/panels.h"

/* batch->norms and ->coupled, from ->net. */
void nnc_keepers_lay_out(nnc_batch *batch, nnc_arena *arena);

/* Layer l of panels [first, first + count), which are all of them for batch norm in training. Where
 * not in training, dropout does nothing: a[l + 1] is a[l]. */
bool nnc_keeper_forward(const nnc_batch *batch, size_t l, size_t first, size_t count,
                        const void *params, bool training, nnc_pacer *pacer);
/* a[l], where a layer with parameters is before it, becomes dz from a[l + 1]. */
bool nnc_keeper_backward(const nnc_batch *batch, size_t l, size_t first, size_t count,
                         const void *params, nnc_pacer *pacer);
/* See nnc_weight_gradients. */
void nnc_keeper_gradients(const nnc_batch *batch, size_t l, void *out, double rate);
/* One sample a (n_in) of a norm layer by its running moments. */
void nnc_keeper_row(const nnc_kernels *kernels, const nnc_layer *layer, void *a, const void *params,
                    const void *x, size_t item);

#endif
