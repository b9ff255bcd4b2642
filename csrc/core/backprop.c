/* backprop.c - from the gradient at the output to the gradients of all parameters. */
#include "core/arena.h"
#include "core/fpmode.h"
#include "core/network.h"

void nnc_activate_backward(nnc_dtype dtype, nnc_activation f, void *dz, const void *da,
                           const void *x, size_t n)
{
    nnc_fpmode caller = nnc_fpmode_enter();
    nnc_kernels_for(dtype)->activate_backward[f](dz, da, x, n);
    nnc_fpmode_leave(caller);
}

void nnc_activation_gradient(nnc_dtype dtype, nnc_activation f, void *dz, const void *da,
                             const void *z, size_t n)
{
    const void *x = z;
    if (!nnc_is_of_z(f)) {
        nnc_activate(dtype, f, dz, z, n);
        x = dz;
    }
    nnc_activate_backward(dtype, f, dz, da, x, n);
}

nnc_status nnc_backprop(nnc_dtype dtype, void *da_prev, void *dw, void *db, const void *dz,
                        const void *w, const void *a_prev, double divisor, size_t n_out,
                        size_t n_in, size_t m)
{
    nnc_plan plan;
    nnc_status status = nnc_plan_init(&plan, dtype, m);
    if (status != NNC_OK) return status;
    size_t n_grads, weights;
    if (!nnc_mul(&weights, n_out, n_in) || !nnc_add(&n_grads, weights, n_out)) return NNC_ERR_SIZE;

    nnc_arena arena = {0};
    nnc_arena_reserve(&arena, n_out, plan.ld, plan.item);
    nnc_arena_reserve(&arena, n_in + 1, plan.ld, plan.item);
    nnc_arena_reserve(&arena, n_in, plan.ld, plan.item);
    nnc_arena_reserve(&arena, plan.n_slices, n_grads, plan.item);
    status = nnc_arena_allocate(&arena);
    if (status != NNC_OK) return status;
    void *deltas = nnc_arena_take(&arena, n_out, plan.ld, plan.item);    /* (n_out, cols) */
    void *inputs = nnc_arena_take(&arena, n_in + 1, plan.ld, plan.item); /* (n_in, cols), ones */
    void *das = nnc_arena_take(&arena, n_in, plan.ld, plan.item);        /* (n_in, cols) */
    void *parts = nnc_arena_take(&arena, plan.n_slices, n_grads, plan.item);

    const nnc_kernels *kernels = plan.kernels;
    nnc_fpmode caller = nnc_fpmode_enter();
    kernels->fill(nnc_at(&plan, inputs, n_in * plan.ld), 1, plan.ld);
    for (size_t s = 0; s < plan.n_slices; s++) {
        nnc_slice slice = plan.slices[s];
        nnc_layout samples = nnc_one_panel(slice.cols, plan.ld);
        void *part = nnc_at(&plan, parts, s * n_grads);
        nnc_pack(&plan, slice, deltas, dz, n_out, (ptrdiff_t)m, 1);
        nnc_clear_padding(&plan, slice, deltas, n_out);
        nnc_pack(&plan, slice, inputs, a_prev, n_in, (ptrdiff_t)m, 1);
        kernels->dense_weights(part, nnc_at(&plan, part, weights), deltas, inputs, n_out, n_in,
                               &samples);
        kernels->dense_backward(das, w, deltas, NULL, NNC_ACT_IDENTITY, n_in, n_out, n_in,
                                slice.cols, plan.ld);
        nnc_unpack(&plan, slice, da_prev, das, n_in);
    }
    kernels->add_slices(dw, parts, plan.n_slices, n_grads, weights);
    kernels->add_slices(db, nnc_at(&plan, parts, weights), plan.n_slices, n_grads, n_out);
    if (m > 0) {
        kernels->divide(dw, divisor, weights);
        kernels->divide(db, divisor, n_out);
    }
    nnc_fpmode_leave(caller);
    nnc_arena_free(&arena);
    return NNC_OK;
}

/* dW and db of a layer need its dZ and its input; then dZ of the layer before replaces that input.
 * The first layer's input needs no gradient. */
bool nnc_backprop_block(const nnc_network_plan *network, nnc_workspace *work, nnc_slice block,
                        const void *params, void *grads, bool more, nnc_pacer *pacer)
{
    const nnc_plan *plan = &network->plan;
    const nnc_kernels *kernels = plan->kernels;
    const nnc_net *net = network->net;
    nnc_layout samples = nnc_one_panel(block.cols, plan->ld);
    samples.more = more;
    for (size_t l = net->n_layers; l-- > 0;) {
        const nnc_layer *layer = &net->layers[l];
        size_t n_in = layer->n_in, n_out = layer->n_out;
        void *x = work->a[l], *dz = work->a[l + 1];
        nnc_split by_rows = nnc_chunks(n_out, n_in * block.cols, NNC_LEAST_ROWS);
        while (nnc_split_next(&by_rows)) {
            size_t row = by_rows.start, rows = by_rows.length;
            kernels->dense_weights(nnc_at(plan, grads, layer->w + row * n_in),
                                   layer->has_bias ? nnc_at(plan, grads, layer->b + row) : NULL,
                                   nnc_at(plan, dz, row * plan->ld), x, rows, n_in, &samples);
            if (!nnc_pacer_tick(pacer, rows * n_in * block.cols)) return false;
        }
        if (l == 0) break;

        size_t work_per_vector = n_out * n_in * plan->lanes;
        nnc_split by_columns =
            nnc_chunks(block.cols / plan->lanes, work_per_vector, NNC_LEAST_VECTORS);
        while (nnc_split_next(&by_columns)) {
            size_t col = by_columns.start * plan->lanes, cols = by_columns.length * plan->lanes;
            kernels->dense_backward(nnc_at(plan, x, col), nnc_at(plan, params, layer->w),
                                    nnc_at(plan, dz, col), nnc_at(plan, work->z[l], col),
                                    net->layers[l - 1].activation, n_in, n_out, n_in, cols,
                                    plan->ld);
            if (!nnc_pacer_tick(pacer, by_columns.length * work_per_vector)) return false;
        }
    }
    return true;
}
