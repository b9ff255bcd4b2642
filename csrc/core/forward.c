/* forward.c - from inputs to activations. */
#include "core/arena.h"
#include "core/fpmode.h"
#include "core/network.h"

void nnc_map(nnc_dtype dtype, nnc_function f, void *y, const void *x, size_t n)
{
    nnc_fpmode caller = nnc_fpmode_enter();
    nnc_kernels_for(dtype)->map[f](y, x, n);
    nnc_fpmode_leave(caller);
}

void nnc_activate(nnc_dtype dtype, nnc_activation f, void *a, const void *z, size_t n)
{
    nnc_fpmode caller = nnc_fpmode_enter();
    nnc_kernels_for(dtype)->activate[f](a, z, n);
    nnc_fpmode_leave(caller);
}

nnc_status nnc_forward(nnc_dtype dtype, void *z, const void *w, const void *b, const void *a_prev,
                       size_t n_out, size_t n_in, size_t m)
{
    nnc_plan plan;
    nnc_status status = nnc_plan_init(&plan, dtype, m);
    if (status != NNC_OK) return status;

    nnc_arena arena = {0};
    nnc_arena_reserve(&arena, n_in, plan.ld, plan.item);
    nnc_arena_reserve(&arena, n_out, plan.ld, plan.item);
    status = nnc_arena_allocate(&arena);
    if (status != NNC_OK) return status;
    void *xs = nnc_arena_take(&arena, n_in, plan.ld, plan.item);  /* (n_in, cols) */
    void *zs = nnc_arena_take(&arena, n_out, plan.ld, plan.item); /* (n_out, cols) */

    nnc_fpmode caller = nnc_fpmode_enter();
    for (size_t s = 0; s < plan.n_slices; s++) {
        nnc_slice slice = plan.slices[s];
        nnc_pack(&plan, slice, xs, a_prev, n_in, (ptrdiff_t)m, 1);
        plan.kernels->dense_forward(zs, w, b, xs, NNC_ACT_IDENTITY, n_out, n_in, slice.cols,
                                    plan.ld);
        nnc_unpack(&plan, slice, z, zs, n_out);
    }
    nnc_fpmode_leave(caller);
    nnc_arena_free(&arena);
    return NNC_OK;
}

/* Some columns of a layer's a = f(z), both (n_out, cols). */
static void activate_columns(const nnc_plan *plan, const nnc_layer *layer, void *a, const void *z,
                             size_t cols)
{
    for (size_t i = 0; i < layer->n_out; i++)
        plan->kernels->activate[layer->activation](nnc_at(plan, a, i * plan->ld),
                                                   nnc_at(plan, z, i * plan->ld), cols);
}

bool nnc_forward_block(const nnc_network_plan *network, nnc_workspace *work, nnc_slice block,
                       const void *params, nnc_pacer *pacer)
{
    const nnc_plan *plan = &network->plan;
    const nnc_net *net = network->net;
    for (size_t l = 0; l < net->n_layers; l++) {
        const nnc_layer *layer = &net->layers[l];
        bool logits = l + 1 == net->n_layers && network->loss_takes_logits;
        bool apart = work->z[l + 1] != work->a[l + 1];
        nnc_activation f = logits || apart ? NNC_ACT_IDENTITY : layer->activation;
        size_t work_per_vector = layer->n_out * layer->n_in * plan->lanes;
        plan->kernels->fill(nnc_at(plan, work->a[l], layer->n_in * plan->ld), 1, block.cols);
        nnc_split chunks = nnc_chunks(block.cols / plan->lanes, work_per_vector, NNC_LEAST_VECTORS);
        while (nnc_split_next(&chunks)) {
            size_t col = chunks.start * plan->lanes, cols = chunks.length * plan->lanes;
            void *z = nnc_at(plan, work->z[l + 1], col);
            plan->kernels->dense_forward(z, nnc_at(plan, params, layer->w),
                                         layer->has_bias ? nnc_at(plan, params, layer->b) : NULL,
                                         nnc_at(plan, work->a[l], col), f, layer->n_out,
                                         layer->n_in, cols, plan->ld);
            if (apart) activate_columns(plan, layer, nnc_at(plan, work->a[l + 1], col), z, cols);
            if (!nnc_pacer_tick(pacer, chunks.length * work_per_vector)) return false;
        }
    }
    return true;
}
