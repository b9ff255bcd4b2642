/* phases.h - the phases of a step, which the members of a team go through together. */
#ifndef NNC_CORE_PHASES_H
#define NNC_CORE_PHASES_H

#include "core/panels.h"
#include "core/team.h"

/* Panels go forward and back, then the gradients by the weights are computed, task by task. Which
 * member takes which is open, as no result depends on it. */
typedef enum { NNC_PANELS, NNC_WEIGHTS, NNC_PHASE_COUNT } nnc_phase;

/* Shared by the team; zeros at first. */
typedef struct {
    atomic_size_t next[NNC_PHASE_COUNT]; /* panel or task */
    atomic_bool stop[NNC_PHASE_COUNT];   /* set only in the phase: it broke off */
} nnc_phases;

/* Panels that go through the network together, so that a block of weights serves them all. */
enum { NNC_PANEL_GROUP = 16 };

/* The size of groups of panels that gives each of n threads some. */
static inline size_t nnc_panel_group(size_t panels, size_t n_threads)
{
    return nnc_max(1, nnc_min(panels / (2 * n_threads), NNC_PANEL_GROUP));
}

/* The first of `count` panels or tasks, which are the caller's. */
static inline size_t nnc_take_next(nnc_phases *phases, nnc_phase phase, size_t count)
{
    return atomic_fetch_add_explicit(&phases->next[phase], count, memory_order_relaxed);
}

/* By rank 0, where no member is in that phase: it begins with the first again. */
static inline void nnc_rewind_phase(nnc_phases *phases, nnc_phase phase)
{
    atomic_store_explicit(&phases->next[phase], 0, memory_order_relaxed);
}

/* Runs work(member), false where it broke off, on each member, and waits for all; rank 0 asks its
 * pacer meanwhile. False where one broke off. In a child that a callback forked, the members that
 * it lacks have left their part undone, and rank 0 does it all. */
bool nnc_whole_phase(nnc_phases *phases, nnc_phase phase, nnc_team *team, size_t rank,
                     nnc_pacer *pacer, bool (*work)(void *member), void *member);

/* The gradients by the weights: tasks until none is left. False where it broke off. */
bool nnc_weight_tasks(nnc_phases *phases, const nnc_batch *batch, void *grads,
                      nnc_panel_scratch *scratch);

#endif
