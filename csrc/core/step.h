/* step.h - the second half of a training step: parameters follow from the gradients of a batch.
 *
 * Where a stepper asks for nothing special, this is one pass of one kernel over each thread's
 * share. Sums over the parameters run over chunks of fixed size, whose sums are added in order. */
#ifndef NNC_CORE_STEP_H
#define NNC_CORE_STEP_H

#include "core/arena.h"
#include "core/pacer.h"
#include "core/team.h"
#include "kernels/kernels.h"

typedef struct {
    const nnc_kernels *kernels;
    const nnc_stepper *stepper;
    nnc_pacer *pacer;   /* of rank 0 */
    size_t n, item;     /* parameters, bytes in one */
    bool slopes;        /* L1, L2 or clipping change the gradients first */
    bool lengths;       /* there is a max_norm */
    double *squares;    /* by chunk, where slopes: of the gradient */
    double *penalties;  /* of the parameters */
    double rate, scale; /* of the step: see nnc_descent_begin */
} nnc_descent;

/* Lays out steps on n parameters; see nnc_arena_piece. */
void nnc_descent_lay_out(nnc_descent *descent, nnc_arena *arena, nnc_dtype dtype, size_t n,
                         const nnc_stepper *stepper);

/* Whether a step is params = fma(-rate, scale * sum, params) everywhere, and nothing else. */
bool nnc_descent_is_plain(const nnc_descent *descent);

/* A step begins, with a learning rate, and what sums of gradients are to be multiplied by. */
void nnc_descent_begin(nnc_descent *descent, double rate, double scale);

/* For all members of a team at once: next = params after the step along the sums of gradients,
 * which it may overwrite; then the average. next is params or does not overlap it. The monitor may
 * be asked on the way, but what has begun is finished. */
void nnc_descent_step(const nnc_descent *descent, nnc_team *team, size_t rank, void *next,
                      const void *params, void *grads);

/* What L1 and L2 add to the loss of the batch, after nnc_descent_step: of params before it. */
double nnc_descent_penalty(const nnc_descent *descent);

#endif
