/* test_budget.c - how many threads: the order of what decides, and quotas of control groups, read
 * from made-up files. */
#define _GNU_SOURCE 1
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/budget.h"
#include "nnc.h"
#include "test.h"

/* Writes a file below root, and the folders on the way. */
static void put(const char *root, const char *name, const char *text)
{
    char path[500];
    snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0) abort();
}

static void remove_tree(const char *root)
{
    char command[200];
    snprintf(command, sizeof command, "rm -r '%s'", root);
    if (system(command) != 0) abort();
}

typedef struct {
    const char *name, *text;
} file;

/* What nnc_cgroup_cpus says where /proc/self/cgroup and these n files are all there is. */
static void check_quota(size_t expected, const char *cgroup, const file *files, size_t n)
{
    char root[] = "/tmp/nnc-test-XXXXXX";
    if (!mkdtemp(root)) abort();
    put(root, "proc/self/cgroup", cgroup);
    for (size_t i = 0; i < n; i++) put(root, files[i].name, files[i].text);
    CASE("%s %s %s", cgroup, files[0].name, files[0].text);
    CHECK(nnc_cgroup_cpus(root) == expected);
    remove_tree(root);
}

#define QUOTA(expected, cgroup, ...)                           \
    check_quota(expected, cgroup, (const file[]){__VA_ARGS__}, \
                sizeof((const file[]){__VA_ARGS__}) / sizeof(file))

TEST(quotas_of_version_2)
{
    QUOTA(2, "0::/\n", {"sys/fs/cgroup/cpu.max", "200000 100000\n"});
    QUOTA(2, "0::/\n", {"sys/fs/cgroup/cpu.max", "150000 100000\n"}); /* rounded up */
    QUOTA(1, "0::/\n", {"sys/fs/cgroup/cpu.max", "1000 100000\n"});
    QUOTA(SIZE_MAX, "0::/\n", {"sys/fs/cgroup/cpu.max", "max 100000\n"});
    QUOTA(3, "0::/a/b\n", {"sys/fs/cgroup/a/b/cpu.max", "30000 10000\n"});
    /* the least of the group and of those around it */
    QUOTA(1, "0::/a/b\n", {"sys/fs/cgroup/a/b/cpu.max", "max 100000\n"},
          {"sys/fs/cgroup/a/cpu.max", "90000 100000\n"});
    QUOTA(2, "0::/a/b\n", {"sys/fs/cgroup/a/b/cpu.max", "200000 100000\n"},
          {"sys/fs/cgroup/cpu.max", "400000 100000\n"});
    /* a container that sees its host's path, but only its own folder */
    QUOTA(4, "0::/kubepods/pod1/x\n", {"sys/fs/cgroup/cpu.max", "400000 100000\n"});
}

TEST(quotas_of_version_1)
{
    QUOTA(3, "4:memory:/m\n3:cpu,cpuacct:/a\n",
          {"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "250000\n"},
          {"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"});
    QUOTA(2, "3:cpuacct,cpu:/docker/x\n", {"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n"},
          {"sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"});
    QUOTA(SIZE_MAX, "3:cpu:/\n", {"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"},
          {"sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"});
    QUOTA(SIZE_MAX, "3:cpuacct:/\n", {"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n"},
          {"sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"});
    /* both versions at once */
    QUOTA(1, "1:cpu:/\n0::/u\n", {"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n"},
          {"sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"});
}

TEST(files_that_make_no_sense_are_no_quota)
{
    static const char *const quotas[] = {"", "\n", "100000", "x y", "0 100000", "1 0", "-5 10"};
    for (size_t i = 0; i < sizeof quotas / sizeof *quotas; i++)
        QUOTA(SIZE_MAX, "0::/\n", {"sys/fs/cgroup/cpu.max", quotas[i]});
    QUOTA(SIZE_MAX, "0::/\n", {"sys/fs/cgroup/other", "1"});
    QUOTA(SIZE_MAX, "3:cpu:/\n", {"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n"});
    QUOTA(SIZE_MAX, "3:cpu:/\n", {"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n"},
          {"sys/fs/cgroup/cpu/cpu.cfs_period_us", "0\n"});
    QUOTA(SIZE_MAX, "\n\nnonsense\n:\n::\n0::\n", {"sys/fs/cgroup/other", "1"});
    CHECK(nnc_cgroup_cpus("/nowhere") == SIZE_MAX);
    char longest[6000] = "0::/";
    memset(longest + 4, 'a', sizeof longest - 5);
    QUOTA(SIZE_MAX, longest, {"sys/fs/cgroup/other", "1"});
}

static int with_environment(const char *ours, const char *shared)
{
    CASE("NNC_NUM_THREADS=%s OMP_NUM_THREADS=%s", ours, shared);
    setenv("NNC_NUM_THREADS", ours, 1);
    setenv("OMP_NUM_THREADS", shared, 1);
    int n = nnc_get_num_threads();
    unsetenv("NNC_NUM_THREADS");
    unsetenv("OMP_NUM_THREADS");
    return n;
}

TEST(the_environment_decides_where_nothing_is_set)
{
    int cpus = (int)nnc_usable_cpus();
    CHECK(with_environment("5", "7") == 5);
    CHECK(with_environment(" 5\n", "7") == 5);
    CHECK(with_environment("1024", "7") == 1024);
    CHECK(with_environment("", "7") == 7);
    CHECK(with_environment(" ", "7,3,2") == 7);
    CHECK(with_environment("", " 7 , 3") == 7);
    static const char *const wrong[] = {
        "0", "-1", "1025", "1.5", "x", "3x", "99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK(with_environment(wrong[i], "7") == 0);
        CHECK(with_environment("", wrong[i]) == cpus);
    }
    CHECK(with_environment("5,3", "7") == 0); /* a list is OpenMP's way */
    CHECK(with_environment("", "") == cpus);
}

TEST(what_is_set_goes_first)
{
    int before = nnc_get_num_threads();
    nnc_set_num_threads(3);
    CHECK(nnc_get_num_threads() == 3);
    CHECK(with_environment("5", "7") == 3);
    CHECK(with_environment("nonsense", "7") == 3);
    nnc_set_num_threads(INT32_MAX);
    CHECK(nnc_get_num_threads() == NNC_MAX_THREADS);
    nnc_set_num_threads(-1);
    CHECK(nnc_get_num_threads() == before);
    nnc_set_num_threads(1);
    nnc_set_num_threads(0);
    CHECK(nnc_get_num_threads() == before);
}

TEST(the_affinity_counts)
{
    cpu_set_t all, one;
    CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
    size_t cpus = nnc_usable_cpus();
    CHECK(cpus >= 1 && cpus <= (size_t)CPU_COUNT(&all));
    CPU_ZERO(&one);
    for (int cpu = 0; CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    CHECK(nnc_usable_cpus() == 1);
    CHECK(with_environment("", "") == 1);
    CHECK(sched_setaffinity(0, sizeof all, &all) == 0);
    CHECK(nnc_usable_cpus() == cpus);
}

SUITE()
{
    unsetenv("NNC_NUM_THREADS");
    unsetenv("OMP_NUM_THREADS");
    RUN(quotas_of_version_2);
    RUN(quotas_of_version_1);
    RUN(files_that_make_no_sense_are_no_quota);
    RUN(the_environment_decides_where_nothing_is_set);
    RUN(what_is_set_goes_first);
    RUN(the_affinity_counts);
}
