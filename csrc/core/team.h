/* team.h - threads that work on one parallel call together.
 *
 * The caller is rank 0 and works too. The others come from one pool of the process: they are
 * started when first needed, sleep between calls, and end with nnc_shutdown_threads. One call at a
 * time has the pool. A call from within another, or from a second thread meanwhile, has a team of
 * one: it neither waits nor starts threads.
 *
 * Members compute in the floating-point mode of core/fpmode.h, with all signals blocked, on the
 * CPUs where the caller may run. A forked child begins with an empty pool. */
#ifndef NNC_CORE_TEAM_H
#define NNC_CORE_TEAM_H

#include <stdbool.h>
#include <stddef.h>

typedef struct nnc_team nnc_team;

/* Runs work(context, team, rank) once on each of the team's threads, and returns when all have
 * returned. The team has n threads, or fewer where the pool is taken or the system refuses them. */
void nnc_team_run(size_t n, void (*work)(void *context, nnc_team *team, size_t rank),
                  void *context);

/* From within work: */
size_t nnc_team_size(const nnc_team *team);
/* Waits until every thread of the team is here; what each wrote before, all see after. A wait of
 * more than some microseconds calls idle(context) again and again, unless it is NULL. */
void nnc_team_barrier(nnc_team *team, void (*idle)(void *context), void *context);

/* For rank 0, after it called foreign code: true, once, in a child process that this code forked.
 * The other members were left behind, and the team is of one: what they were at must be redone. */
bool nnc_team_lost_members(nnc_team *team);

#endif
