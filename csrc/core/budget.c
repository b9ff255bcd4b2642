/* budget.c - see budget.h, and nnc_get_num_threads and nnc_memory_fits in nnc.h. */
#define _GNU_SOURCE 1 /* sched_getaffinity, sysconf under -std=c11 */
#include "core/budget.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base.h"
#include "nnc.h"

static struct {
    atomic_int limit;     /* of nnc_set_num_threads; 0: none */
    atomic_size_t cgroup; /* CPUs that the control groups grant; 0: not read yet */
} budget;

/* ------------------------------------------------------------------------------ control groups */

enum { PATH_BYTES = 4096 };

/* The file's text, without its end where it is long; false where there is none. */
static bool read_text(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "r");
    if (!file) return false;
    size_t n = fread(text, 1, size - 1, file);
    fclose(file);
    text[n] = '\0';
    return n > 0;
}

/* A quota of `quota` microseconds each `period`, in CPUs. */
static size_t cpus_of(long long quota, long long period)
{
    if (quota <= 0 || period <= 0) return SIZE_MAX;
    return nnc_ceil_div((size_t)quota, (size_t)period);
}

/* The quota of the group in that folder: one file "quota period" in version 2, where quota may be
 * "max", and two files in version 1, where it may be -1. */
static size_t quota_of(const char *folder, bool version2)
{
    char path[PATH_BYTES + 32], text[64];
    long long quota, period;
    snprintf(path, sizeof path, "%s/%s", folder, version2 ? "cpu.max" : "cpu.cfs_quota_us");
    if (!read_text(path, text, sizeof text)) return SIZE_MAX;
    if (version2)
        return sscanf(text, "%lld %lld", &quota, &period) == 2 ? cpus_of(quota, period) : SIZE_MAX;
    quota = atoll(text);
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
    return read_text(path, text, sizeof text) ? cpus_of(quota, atoll(text)) : SIZE_MAX;
}

/* The least quota of the group at `path` below `mount` and of those around it. A container may see
 * the path that its host sees, and of the folders only the last ones. */
static size_t least_quota(const char *root, const char *mount, const char *path, bool version2)
{
    char folder[PATH_BYTES];
    size_t least = SIZE_MAX;
    int base = snprintf(folder, sizeof folder, "%s/sys/fs/cgroup%s", root, mount);
    if (base < 0 || (size_t)base + strlen(path) >= sizeof folder) return SIZE_MAX;
    strcpy(folder + base, path);
    for (;;) {
        least = nnc_min(least, quota_of(folder, version2));
        char *parent = strrchr(folder + base, '/');
        if (!parent) return least;
        *parent = '\0';
    }
}

/* Whether the list of names, separated by commas, has "cpu". */
static bool has_cpu(const char *names)
{
    for (; names; names = strchr(names, ',')) {
        names += *names == ',';
        if (strncmp(names, "cpu", 3) == 0 && (names[3] == ',' || names[3] == '\0')) return true;
    }
    return false;
}

size_t nnc_cgroup_cpus(const char *root)
{
    char line[PATH_BYTES], mount[PATH_BYTES + 1];
    size_t least = SIZE_MAX;
    snprintf(line, sizeof line, "%s/proc/self/cgroup", root);
    FILE *file = fopen(line, "r");
    if (!file) return SIZE_MAX;
    while (fgets(line, sizeof line, file)) { /* number:controllers:path */
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path) continue;
        *controllers++ = '\0';
        *path++ = '\0';
        if (*controllers == '\0') {
            least = nnc_min(least, least_quota(root, "", path, true));
        } else if (has_cpu(controllers)) {
            snprintf(mount, sizeof mount, "/%s", controllers);
            least = nnc_min(least, least_quota(root, mount, path, false));
            least = nnc_min(least, least_quota(root, "/cpu", path, false));
        }
    }
    fclose(file);
    return least;
}

/* ------------------------------------------------------------------------------------ threads */

static size_t affinity(void)
{
#if defined(__linux__)
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) == 0) return (size_t)CPU_COUNT(&cpus);
#endif
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (size_t)online : 1;
}

size_t nnc_usable_cpus(void)
{
    size_t cgroup = atomic_load_explicit(&budget.cgroup, memory_order_relaxed);
    if (cgroup == 0) {
        cgroup = nnc_cgroup_cpus("");
        atomic_store_explicit(&budget.cgroup, cgroup, memory_order_relaxed);
    }
    return nnc_max(nnc_min(nnc_min(affinity(), cgroup), NNC_MAX_THREADS), 1);
}

static const char *skip_spaces(const char *text)
{
    return text + strspn(text, " \t\r\n\f\v");
}

/* The number that text begins with, if it is one of 1 to NNC_MAX_THREADS and ends there or before
 * `end`; else 0. */
static int read_count(const char *text, char end)
{
    const char *digits = skip_spaces(text);
    size_t length = strspn(digits, "0123456789");
    const char *rest = skip_spaces(digits + length);
    if (length == 0 || length > 8 || (*rest != '\0' && *rest != end)) return 0;
    int count = atoi(digits);
    return count <= NNC_MAX_THREADS ? count : 0;
}

int nnc_get_num_threads(void)
{
    int limit = atomic_load_explicit(&budget.limit, memory_order_relaxed);
    if (limit > 0) return limit;
    const char *ours = getenv("NNC_NUM_THREADS"), *shared = getenv("OMP_NUM_THREADS");
    if (ours && *skip_spaces(ours)) return read_count(ours, '\0');
    int count = shared ? read_count(shared, ',') : 0;
    return count > 0 ? count : (int)nnc_usable_cpus();
}

void nnc_set_num_threads(int n)
{
    if (n < 0) n = 0;
    if (n > NNC_MAX_THREADS) n = NNC_MAX_THREADS;
    atomic_store_explicit(&budget.limit, n, memory_order_relaxed);
}

/* -------------------------------------------------------------------------------------- memory */

/* Bytes that could be used without swapping, as Linux estimates it; 0 where nobody tells. */
static size_t available_memory(void)
{
    char line[128];
    unsigned long kib = 0;
    FILE *file = fopen("/proc/meminfo", "r");
    while (file && kib == 0 && fgets(line, sizeof line, file))
        (void)sscanf(line, "MemAvailable: %lu kB", &kib);
    if (file) fclose(file);
    return (size_t)kib * 1024;
}

bool nnc_memory_fits(size_t bytes)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages <= 0 || page <= 0) return true;
    size_t machine = (size_t)pages * (size_t)page;
    if (bytes < machine / 8) return true; /* not worth opening a file for */
    size_t available = available_memory();
    return bytes < (available ? available : machine);
}
