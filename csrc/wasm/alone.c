/* alone.c - the core in a page: one thread, and no system to ask. In place of core/team.c and
 * core/budget.c. */
#define _GNU_SOURCE 1 /* clock_gettime under -std=c11 */
#include <time.h>

#include "core/team.h"
#include "nnc.h"

struct nnc_team {
    char nothing; /* C has no empty struct */
};

void nnc_team_run(size_t n, void (*work)(void *context, nnc_team *team, size_t rank), void *context)
{
    nnc_team team = {0};
    (void)n;
    work(context, &team, 0);
}

size_t nnc_team_size(const nnc_team *team)
{
    (void)team;
    return 1;
}

void nnc_team_barrier(nnc_team *team, void (*idle)(void *context), void *context)
{
    (void)team, (void)idle, (void)context;
}

bool nnc_team_lost_members(nnc_team *team)
{
    (void)team;
    return false;
}

bool nnc_memory_fits(size_t bytes)
{
    (void)bytes;
    return true; /* the page's memory grows, or the allocation fails */
}

/* For core/pacer.c, which looks at the clock only where a monitor wants to be polled. The one of
 * the C library would have to be imported from the page. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
    (void)clock;
    *now = (struct timespec){0};
    return 0;
}
