/* custom.h - a loss that the caller computes: the outputs of a batch go out as rows, and their
 * slopes come back. */
#ifndef NNC_CORE_CUSTOM_H
#define NNC_CORE_CUSTOM_H

#include "core/panels.h"

typedef struct {
    const nnc_custom_loss *loss;
    void *y_hat, *slope; /* (samples of a batch, n_out) */
    size_t *samples;
} nnc_custom;

/* Work space for batches of so many samples; see nnc_arena_piece. */
void nnc_custom_lay_out(nnc_custom *custom, nnc_arena *arena, const nnc_custom_loss *loss,
                        const nnc_batch *batch, size_t samples);

/* In place of nnc_loss_panel, for all panels of a batch: samples order[start …], or start … where
 * order is NULL, of m in all. The costs of the panels add up to the batch's part in the mean over
 * the epoch. False where the loss says stop, which the pacer then says too. */
bool nnc_custom_judge(const nnc_custom *custom, nnc_batch *batch, nnc_panel_scratch *scratch,
                      nnc_pacer *pacer, const size_t *order, size_t start, size_t m);

#endif
