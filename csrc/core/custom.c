/* custom.c - see custom.h. */
#include "core/custom.h"

#include <string.h>

#include "core/panel_parts.h"

void nnc_custom_lay_out(nnc_custom *custom, nnc_arena *arena, const nnc_custom_loss *loss,
                        const nnc_batch *batch, size_t samples)
{
    size_t n_out = width(batch->net, batch->net->n_layers);
    *custom = (nnc_custom){.loss = loss};
    if (!loss) return;
    custom->y_hat = nnc_arena_piece(arena, samples, n_out, batch->item);
    custom->slope = nnc_arena_piece(arena, samples, n_out, batch->item);
    custom->samples = nnc_arena_piece(arena, samples, sizeof *custom->samples, 1);
}

/* Slopes of a panel's samples by the outputs become those by the layer's argument; columns beyond
 * the samples become 0. */
static void chain_panel(const nnc_batch *b, size_t p, const char *slope)
{
    const nnc_layer *layer = &b->net->layers[b->net->n_layers - 1];
    size_t n_out = layer->n_out, n = samples_in(b, p);
    double row[NNC_PANEL]; /* of either dtype */
    for (size_t i = 0; i < n_out; i++) {
        char *dz = at(b, panel(b, b->a[b->net->n_layers], n_out, p), i * NNC_PANEL);
        const void *z = at(b, panel(b, b->z[b->net->n_layers], n_out, p), i * NNC_PANEL);
        b->kernels->transpose(row, slope + i * b->item, n, 1, n, n_out);
        b->kernels->activate_backward[layer->activation](dz, row, z, n);
        memset(dz + n * b->item, 0, (columns_in(b, p) - n) * b->item);
    }
}

bool nnc_custom_judge(const nnc_custom *custom, nnc_batch *batch, nnc_panel_scratch *scratch,
                      nnc_pacer *pacer, const size_t *order, size_t start, size_t m)
{
    nnc_batch *b = batch;
    size_t n_out = width(b->net, b->net->n_layers), panels = nnc_batch_panels(b);
    double loss = 0;
    for (size_t i = 0; i < b->n; i++) custom->samples[i] = order ? order[start + i] : start + i;
    for (size_t p = 0; p < panels; p++) nnc_store_outputs(b, p, scratch, NULL, 0, custom->y_hat);
    nnc_fpmode_leave(pacer->caller);
    nnc_status status = custom->loss->judge(custom->loss->context, custom->samples, b->n,
                                            custom->y_hat, custom->slope, &loss);
    pacer->caller = nnc_fpmode_enter();
    if (status != NNC_OK) {
        pacer->status = status;
        atomic_store(pacer->hurry, true);
        return false;
    }
    for (size_t p = 0; p < panels; p++) {
        chain_panel(b, p, (const char *)custom->slope + p * NNC_PANEL * n_out * b->item);
        b->costs[p] = b->hits[p] = 0;
    }
    b->costs[0] = loss * (double)b->n / (double)m;
    return true;
}
