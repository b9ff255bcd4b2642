/* slices.h - a batch in slices: one training step of dense layers on a batch that is cut into few
 * pieces, each of which goes forward, through the loss and back on its own, block by block. */
#ifndef NNC_CORE_SLICES_H
#define NNC_CORE_SLICES_H

#include "core/network.h"
#include "core/panels.h"

/* What the members of a team share. */
typedef struct {
    nnc_network_plan network; /* of the largest batch */
    void *xs, *ys, *weights;  /* block by block: (n_in + 1, ld), (n_out, ld), (ld) */
    void *grads;              /* (n_slices, n_params) */
    nnc_workspace *works;     /* one a thread */
    double costs[NNC_MAX_SLICES], hits[NNC_MAX_SLICES];
    double sums[NNC_MAX_SLICES]; /* of weights */
} nnc_slices;

/* The network's plan and blocks for batches of so many samples; the rest stays. NNC_ERR_SIZE. */
nnc_status nnc_plan_slices(nnc_network_plan *network, nnc_dtype dtype, size_t samples);

/* Whether a batch goes in slices rather than in panels: a question of sizes, layers and loss
 * alone. It does where the network is narrow and the batch large enough, or both are tiny. */
bool nnc_goes_by_slices(const nnc_network_plan *network);

/* Of n_threads, how many pay. */
size_t nnc_slice_threads(const nnc_network_plan *network, size_t n_threads);

/* Lays out batches that have at most as many samples as the plan, for so many threads; see
 * nnc_arena_piece. */
void nnc_slices_lay_out(nnc_slices *slices, nnc_arena *arena, const nnc_network_plan *network,
                        size_t n_threads);

/* One of the plan's slices of a batch whose samples are order[start …] of data, or start … where
 * order is NULL. The plan is that of the batch's size. */
typedef struct {
    const nnc_network_plan *network;
    size_t index;
    const size_t *order;
    size_t start;
} nnc_slice_place;

void nnc_load_slice(nnc_slices *slices, const nnc_slice_place *place, const nnc_data *data);

/* Forward, loss and back, by the thread with that work space: costs, hits (if wanted) and grads of
 * the slice. rows: work space for outputs, as nnc_store_rows has them, or NULL. False where the
 * pacer says stop. */
bool nnc_run_slice(nnc_slices *slices, const nnc_slice_place *place, nnc_workspace *work,
                   const void *params, bool hits, const nnc_rows *rows, void *outputs,
                   nnc_pacer *pacer);

#endif
