/* keepers.c - see keepers.h.
 *
 * Layer norm and dropout treat each sample on its own, and so a panel without the others. Batch
 * norm couples the samples: its way there and back begins with sums over the whole batch. */
#include "core/keepers.h"

#include <string.h>

#include "core/panel_parts.h"

void nnc_keepers_lay_out(nnc_batch *batch, nnc_arena *arena)
{
    nnc_batch *b = batch;
    const nnc_net *net = b->net;
    bool any = false;
    for (size_t l = 0; l < net->n_layers; l++) {
        any |= net->layers[l].kind == NNC_LAYER_NORM || net->layers[l].kind == NNC_BATCH_NORM;
        b->coupled |= net->layers[l].kind == NNC_BATCH_NORM;
    }
    if (!any) return;
    b->norms = nnc_arena_piece(arena, net->n_layers, sizeof *b->norms, 1);
    for (size_t l = 0; l < net->n_layers; l++) {
        nnc_layer_kind kind = net->layers[l].kind;
        size_t n = net->layers[l].n_in;
        nnc_norm norm = {0};
        if (kind == NNC_LAYER_NORM || kind == NNC_BATCH_NORM) norm.x_hat = matrix(b, arena, n);
        if (kind == NNC_LAYER_NORM)
            norm.deviation = nnc_arena_piece(arena, b->capacity, NNC_PANEL, b->item);
        if (kind == NNC_BATCH_NORM) {
            norm.moments = nnc_arena_piece(arena, 2, n, b->item);
            norm.sums = nnc_arena_piece(arena, 2, n, b->item);
        }
        if (b->norms) b->norms[l] = norm;
    }
}

static nnc_dropout dropout_of(const nnc_batch *b, size_t l)
{
    double rate = b->net->layers[l].rate, edge = rate * 0x1p32;
    uint64_t below = (uint64_t)edge;
    return (nnc_dropout){.seed = b->seed,
                         .step = b->step,
                         .layer = l,
                         .threshold = below + ((double)below < edge),
                         .scale = 1 / (1 - rate)};
}

bool nnc_keeper_forward(const nnc_batch *batch, size_t l, size_t first, size_t count,
                        const void *params, bool training, nnc_pacer *pacer)
{
    const nnc_batch *b = batch;
    const nnc_layer *layer = &b->net->layers[l];
    const nnc_norm norm = training && b->norms ? b->norms[l] : (nnc_norm){0};
    const void *gamma = at(b, params, layer->w), *moments = at(b, params, layer->state);
    size_t n = layer->n_in;
    if (layer->kind == NNC_DROPOUT && !training) return true;
    nnc_dropout dropout = dropout_of(b, l);
    if (layer->kind == NNC_BATCH_NORM && training) {
        b->kernels->moments(norm.moments, b->a[l], n, b->n, panel_stride(b, n));
        moments = norm.moments;
    }
    for (size_t p = first; p < first + count; p++) {
        const void *x = panel(b, b->a[l], n, p);
        void *out = panel(b, b->a[l + 1], n, p);
        void *x_hat = norm.x_hat ? panel(b, norm.x_hat, n, p) : NULL;
        void *deviation = norm.deviation ? at(b, norm.deviation, p * NNC_PANEL) : NULL;
        size_t cols = columns_in(b, p);
        if (layer->kind == NNC_DROPOUT)
            b->kernels->dropout(out, x, &dropout, NULL, NNC_ACT_IDENTITY, n, p * NNC_PANEL,
                                samples_in(b, p), cols);
        else if (layer->kind == NNC_LAYER_NORM)
            b->kernels->layer_norm(out, x_hat, deviation, x, gamma, layer->epsilon, n, cols,
                                   NNC_PANEL);
        else
            b->kernels->batch_norm(out, x_hat, x, moments, gamma, layer->epsilon, n, cols,
                                   NNC_PANEL);
        if (!nnc_pacer_tick(pacer, n * NNC_PANEL)) return false;
    }
    return true;
}

bool nnc_keeper_backward(const nnc_batch *batch, size_t l, size_t first, size_t count,
                         const void *params, nnc_pacer *pacer)
{
    const nnc_batch *b = batch;
    const nnc_layer *layer = &b->net->layers[l];
    const nnc_norm norm = b->norms ? b->norms[l] : (nnc_norm){0};
    const void *gamma = at(b, params, layer->w);
    size_t n = layer->n_in;
    if (layer->kind == NNC_BATCH_NORM)
        b->kernels->norm_sums(norm.sums, b->dz[l + 1], norm.x_hat, n, whole_lanes(b, b->n),
                              panel_stride(b, n), 0);
    if (l <= b->lowest) return true;
    nnc_activation f = b->net->layers[l - 1].activation;
    nnc_dropout dropout = dropout_of(b, l);
    for (size_t p = first; p < first + count; p++) {
        void *a = panel(b, b->dz[l], n, p);
        const void *z = panel(b, b->z[l], n, p); /* or a: see panels.h */
        const void *dz = panel(b, b->dz[l + 1], n, p);
        const void *x_hat = norm.x_hat ? panel(b, norm.x_hat, n, p) : NULL;
        size_t cols = columns_in(b, p), samples = samples_in(b, p);
        if (layer->kind == NNC_DROPOUT)
            b->kernels->dropout(a, dz, &dropout, z, f, n, p * NNC_PANEL, samples, cols);
        else if (layer->kind == NNC_LAYER_NORM)
            b->kernels->layer_norm_backward(a, dz, x_hat, at(b, norm.deviation, p * NNC_PANEL),
                                            gamma, z, f, n, cols);
        else
            b->kernels->batch_norm_backward(a, dz, x_hat, norm.moments, gamma, norm.sums,
                                            layer->epsilon, b->n, z, f, n, samples, cols);
        if (!nnc_pacer_tick(pacer, n * NNC_PANEL)) return false;
    }
    return true;
}

void nnc_keeper_gradients(const nnc_batch *batch, size_t l, void *out, double rate)
{
    const nnc_batch *b = batch;
    const nnc_layer *layer = &b->net->layers[l];
    size_t n = layer->n_in;
    if (layer->kind == NNC_DROPOUT) return;
    void *place = at(b, out, layer->w);
    if (layer->kind == NNC_LAYER_NORM)
        b->kernels->norm_sums(place, b->dz[l + 1], b->norms[l].x_hat, n, whole_lanes(b, b->n),
                              panel_stride(b, n), rate);
    else if (rate != 0)
        b->kernels->descend(place, place, b->norms[l].sums, 1, 0, rate, 2 * n);
    else
        memcpy(place, b->norms[l].sums, 2 * n * b->item);
}

/* Whether training leaves the parameter at that place as it is. */
static bool is_frozen(const nnc_stepper *stepper, size_t place)
{
    for (size_t i = 0; i < stepper->n_ranges; i++) {
        const nnc_range *range = &stepper->ranges[i];
        if (range->frozen && place >= range->start && place - range->start < range->n) return true;
    }
    return false;
}

void nnc_move_moments(const nnc_batch *batch, const nnc_stepper *stepper, void *next,
                      const void *params)
{
    const nnc_batch *b = batch;
    for (size_t l = 0; l < b->net->n_layers; l++) {
        const nnc_layer *layer = &b->net->layers[l];
        void *to = at(b, next, layer->state);
        const void *from = at(b, params, layer->state);
        if (layer->kind != NNC_BATCH_NORM) continue;
        if (!is_frozen(stepper, layer->w))
            b->kernels->blend(to, from, b->norms[l].moments, layer->momentum, 2 * layer->n_in);
        else if (to != from)
            memcpy(to, from, 2 * layer->n_in * b->item);
    }
}

void nnc_keeper_row(const nnc_kernels *kernels, const nnc_layer *layer, void *a, const void *params,
                    const void *x, size_t item)
{
    const char *block = params;
    if (layer->kind == NNC_LAYER_NORM)
        kernels->layer_norm(a, NULL, NULL, x, block + layer->w * item, layer->epsilon, layer->n_in,
                            1, 1);
    else
        kernels->batch_norm(a, NULL, x, block + layer->state * item, block + layer->w * item,
                            layer->epsilon, layer->n_in, 1, 1);
}
