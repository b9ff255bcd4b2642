/* budget.h - how many threads this process should use, and how much memory it can have, by what its
 * user and its system say. */
#ifndef NNC_CORE_BUDGET_H
#define NNC_CORE_BUDGET_H

#include <stddef.h>

/* The CPUs that this thread may use: by its affinity, and by the quota of the process's control
 * groups, which is read once. At least 1, at most NNC_MAX_THREADS. */
size_t nnc_usable_cpus(void);

/* The least quota of CPU time of a control group that this process is in, or that contains one, in
 * CPUs, rounded up; SIZE_MAX for none. Reads below `root`: "" or, for tests, a folder with files
 * like those of /proc and /sys. */
size_t nnc_cgroup_cpus(const char *root);

#endif
