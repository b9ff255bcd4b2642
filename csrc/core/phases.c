/* phases.c - see phases.h. */
#include "core/phases.h"

bool nnc_whole_phase(nnc_phases *phases, nnc_phase phase, nnc_team *team, size_t rank,
                     nnc_pacer *pacer, bool (*work)(void *member), void *member)
{
    bool polls = rank == 0 && pacer->monitor;
    if (!work(member)) atomic_store(&phases->stop[phase], true);
    nnc_team_barrier(team, polls ? nnc_pacer_poll : NULL, pacer);
    if (rank == 0 && nnc_team_lost_members(team)) {
        atomic_store(&phases->next[phase], 0);
        if (!work(member)) atomic_store(&phases->stop[phase], true);
    }
    return !atomic_load(&phases->stop[phase]);
}

bool nnc_weight_tasks(nnc_phases *phases, const nnc_batch *batch, void *grads,
                      nnc_panel_scratch *scratch)
{
    for (;;) {
        size_t t = nnc_take_next(phases, NNC_WEIGHTS, 1);
        if (t >= batch->n_tasks) return true;
        if (!nnc_weight_gradients(batch, batch->tasks[t], grads, 0, scratch)) return false;
    }
}
