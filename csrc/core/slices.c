/* slices.c - see slices.h. */
#include "core/slices.h"

#include "core/load.h"

/* A second thread pays above about this many multiply-adds in a step (20 us). */
enum { PARALLEL_WORK = 1 << 18 };

/* Slices have gradients that are written, and added up: it pays where the square of the samples is
 * at least so many times the parameters. */
enum { PAYS = 12 };

/* Logical vectors in a block, at most. */
enum { BLOCK_VECTORS = NNC_LANES_BYTES / NNC_LINE };

nnc_status nnc_plan_slices(nnc_network_plan *network, nnc_dtype dtype, size_t samples)
{
    nnc_plan *plan = &network->plan;
    nnc_status status = nnc_plan_init(plan, dtype, samples);
    if (status != NNC_OK) return status;
    const size_t longest = plan->slices[0].cols / plan->lanes;
    network->n_blocks = nnc_ceil_div(longest, BLOCK_VECTORS);
    plan->ld = (nnc_ceil_div(longest, network->n_blocks) | 1) * plan->lanes;
    return NNC_OK;
}

bool nnc_goes_by_slices(const nnc_network_plan *network)
{
    const nnc_plan *plan = &network->plan;
    const nnc_net *net = network->net;
    for (size_t l = 0; l < net->n_layers; l++)
        if (net->layers[l].kind != NNC_DENSE || net->layers[l].n_in >= NNC_FEW_INPUTS) return false;
    if (nnc_is_tiny(network)) return true;
    if (plan->m == 0 || plan->m / PAYS < net->n_params / plan->m) return false;
    return plan->n_slices > 1 ||
           nnc_work(net->n_params, plan->m) < NNC_WIDE_WORK; /* wide: worth threads */
}

size_t nnc_slice_threads(const nnc_network_plan *network, size_t n_threads)
{
    if (nnc_work(network->net->n_params, network->plan.m) < PARALLEL_WORK) return 1;
    return nnc_max(nnc_min(n_threads, network->plan.n_slices), 1);
}

void nnc_slices_lay_out(nnc_slices *slices, nnc_arena *arena, const nnc_network_plan *network,
                        size_t n_threads)
{
    const nnc_plan *plan = &network->plan;
    const nnc_net *net = network->net;
    const size_t item = plan->item, n_slices = plan->n_slices,
                 n_out = net->layers[net->n_layers - 1].n_out;
    const bool allocated = arena->block != NULL;
    nnc_slices s = {.network = *network};

    /* A smaller batch, the last of an epoch, may have fewer and longer slices and blocks: with gaps
     * they take at most so many vectors. */
    const size_t vectors = nnc_ceil_div(plan->m, plan->lanes);
    const size_t row = (vectors + vectors / 16 + BLOCK_VECTORS) * NNC_LINE;
    const size_t ld = (nnc_min(vectors, BLOCK_VECTORS) | 1) * plan->lanes;

    s.xs = nnc_arena_piece(arena, net->layers[0].n_in + 1, row, 1);
    s.ys = nnc_arena_piece(arena, n_out, row, 1);
    s.weights = nnc_arena_piece(arena, row, 1, 1);
    s.grads = nnc_arena_piece(arena, n_slices, net->n_params, item);
    s.works = nnc_arena_piece(arena, n_threads, sizeof *s.works, 1);
    for (size_t rank = 0; rank < n_threads; rank++) {
        void **a = nnc_arena_piece(arena, net->n_layers + 1, sizeof *a, 1);
        void **z = nnc_arena_piece(arena, net->n_layers + 1, sizeof *z, 1);
        for (size_t l = 0; l < net->n_layers; l++) {
            const nnc_layer *layer = &net->layers[l];
            void *output = nnc_arena_piece(arena, layer->n_out + 1, ld, item);
            void *argument = output;
            if (nnc_is_of_z(layer->activation))
                argument = nnc_arena_piece(arena, layer->n_out, ld, item);
            if (!allocated) continue;
            a[l + 1] = output;
            z[l + 1] = argument;
        }
        nnc_workspace work = {.a = a, .z = z};
        work.y_hat = nnc_arena_piece(arena, ld, item, 1);
        work.hit = nnc_arena_piece(arena, ld, item, 1);
        if (allocated) s.works[rank] = work;
    }
    *slices = s;
}

/* The k-th block of slice s, in matrices that have `rows` rows for each block. */
static void *block_of(const nnc_network_plan *network, void *matrix, size_t s, size_t k,
                      size_t rows)
{
    return nnc_at(&network->plan, matrix, (s * network->n_blocks + k) * rows * network->plan.ld);
}

/* The samples of the next block. */
static bool next_block(const nnc_plan *plan, nnc_slice slice, nnc_split *split, nnc_slice *block)
{
    if (!nnc_split_next(split)) return false;
    size_t start = split->start * plan->lanes, cols = split->length * plan->lanes;
    *block = (nnc_slice){slice.start + start, nnc_min(slice.n - start, cols), cols};
    return true;
}

static nnc_split blocks_of(const nnc_plan *plan, nnc_slice slice)
{
    return nnc_split_evenly(slice.cols / plan->lanes, plan->ld / plan->lanes);
}

void nnc_load_slice(nnc_slices *slices, const nnc_slice_place *place, const nnc_data *data)
{
    const nnc_network_plan *network = place->network;
    const nnc_plan *plan = &network->plan;
    const nnc_net *net = network->net;
    const size_t s = place->index;
    nnc_load_place first = {.kernels = plan->kernels,
                            .dtype = plan->dtype,
                            .loss = network->loss,
                            .n_in = net->layers[0].n_in,
                            .n_out = net->layers[net->n_layers - 1].n_out,
                            .ld = plan->ld};
    nnc_split split = blocks_of(plan, plan->slices[s]);
    nnc_slice block;
    slices->sums[s] = 0;
    for (size_t k = 0; next_block(plan, plan->slices[s], &split, &block); k++) {
        first.x = block_of(network, slices->xs, s, k, first.n_in + 1);
        first.y = block_of(network, slices->ys, s, k, first.n_out);
        first.weights = block_of(network, slices->weights, s, k, 1);
        double sum = 0; /* of weights */
        for (size_t col = 0; col < block.cols; col += NNC_PANEL) {
            const size_t cols = nnc_min(block.cols - col, NNC_PANEL);
            nnc_load_place to = first;
            to.x = nnc_at(plan, to.x, col);
            to.y = nnc_at(plan, to.y, col);
            to.weights = nnc_at(plan, to.weights, col);
            sum += nnc_load_samples(&to, data, place->order, place->start + block.start + col,
                                    nnc_min(block.n - col, cols), cols);
        }
        slices->sums[s] += sum;
    }
}

bool nnc_run_slice(nnc_slices *slices, const nnc_slice_place *place, nnc_workspace *work,
                   const void *params, bool hits, const nnc_rows *rows, void *outputs,
                   nnc_pacer *pacer)
{
    const nnc_network_plan *network = place->network;
    const nnc_plan *plan = &network->plan;
    const nnc_net *net = network->net;
    const nnc_layer *last = &net->layers[net->n_layers - 1];
    const size_t s = place->index;
    void *grads = nnc_at(plan, slices->grads, s * net->n_params);
    nnc_split split = blocks_of(plan, plan->slices[s]);
    nnc_slice block;
    double cost = 0, right = 0;
    slices->costs[s] = slices->hits[s] = 0;
    for (size_t k = 0; next_block(plan, plan->slices[s], &split, &block); k++) {
        work->a[0] = block_of(network, slices->xs, s, k, net->layers[0].n_in + 1);
        if (!nnc_forward_block(network, work, block, params, pacer)) return false;
        nnc_output output = nnc_output_of_block(
            network, work, block, block_of(network, slices->ys, s, k, last->n_out),
            network->weighted ? block_of(network, slices->weights, s, k, 1) : NULL);
        if (outputs)
            nnc_store_rows(plan->kernels, network->loss, last->activation, &output, rows,
                           place->order, place->start + block.start, outputs);
        nnc_loss_block(network, block, &output, &cost, hits ? &right : NULL);
        slices->costs[s] += cost;
        slices->hits[s] += right;
        if (!nnc_backprop_block(network, work, block, params, grads, k > 0, pacer)) return false;
    }
    return true;
}
