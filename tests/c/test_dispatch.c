/* test_dispatch.c - the choice of kernels. */
#include "core/base.h"
#include "kernels/kernels.h"
#include "nnc.h"
#include "reference.h"
#include "test.h"

#if NNC_X86_64
#include <cpuid.h>
#endif

static bool listed(const nnc_cpu *cpu, const char *name)
{
    for (size_t i = 0; cpu->available[i]; i++)
        if (strcmp(cpu->available[i], name) == 0) return true;
    return false;
}

/* First in the file: nothing has been selected yet. */
TEST(the_fastest_is_the_default)
{
    nnc_cpu before = nnc_cpu_info();
    size_t n = 0;
    while (before.available[n]) n++;
    CHECK(n >= 1 && n < 8);
    CHECK(strcmp(before.isa, before.available[n - 1]) == 0);
    CHECK(strcmp(before.available[0], "baseline") == 0);
    CHECK(nnc_select_isa("baseline"));
    CHECK(nnc_select_isa(NULL));
    CHECK(strcmp(nnc_cpu_info().isa, before.isa) == 0);
    CHECK(nnc_select_isa("baseline"));
    CHECK(nnc_select_isa(""));
    CHECK(strcmp(nnc_cpu_info().isa, before.isa) == 0);
}

TEST(each_available_isa_can_be_chosen)
{
    nnc_cpu all = nnc_cpu_info();
    size_t widest = 0;
    for (size_t i = 0; all.available[i]; i++) {
        CASE("%s", all.available[i]);
        CHECK(nnc_select_isa(all.available[i]));
        nnc_cpu cpu = nnc_cpu_info();
        CHECK(strcmp(cpu.isa, all.available[i]) == 0);
        CHECK(cpu.fma == (strcmp(cpu.isa, "baseline") != 0));
        CHECK(cpu.vector_bytes >= widest && NNC_LINE % cpu.vector_bytes == 0);
        widest = cpu.vector_bytes;
        for (size_t j = 0; j < 8; j++) CHECK(cpu.available[j] == all.available[j]);
        for (size_t j = 0; j < i; j++) CHECK(strcmp(all.available[i], all.available[j]) != 0);
    }
    nnc_select_isa(NULL);
}

TEST(an_unknown_name_changes_nothing)
{
    static const char *const names[] = {"no such thing", "AVX2", "avx", "avx2 ", "baselin", " "};
    CHECK(nnc_select_isa("baseline"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        CASE("\"%s\"", names[i]);
        CHECK(!nnc_select_isa(names[i]));
        CHECK(strcmp(nnc_cpu_info().isa, "baseline") == 0);
    }
    nnc_select_isa(NULL);
}

TEST(generic_always_works)
{
    CHECK(nnc_select_isa("generic"));
    nnc_cpu cpu = nnc_cpu_info();
    CHECK(strcmp(cpu.isa, NNC_AARCH64               ? "neon"
                          : listed(&cpu, "generic") ? "generic"
                                                    : "baseline") == 0);
    nnc_select_isa(NULL);
}

#if NNC_X86_64
/* Asks the CPU itself: what it has (cpuid), and what the system keeps for it (xgetbv). */
TEST(the_list_is_what_the_cpu_says)
{
    nnc_cpu cpu = nnc_cpu_info();
    unsigned a, b, c = 0, d, kept = 0;
    bool avx2 = false, avx512 = false;
    CHECK(__get_cpuid(1, &a, &b, &c, &d));
    if (c & bit_OSXSAVE) __asm__("xgetbv" : "=a"(kept), "=d"(d) : "c"(0));
    bool fma = (c & bit_FMA) && (c & bit_AVX) && (kept & 0x06) == 0x06;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        const unsigned all = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
        avx2 = fma && (b & bit_AVX2);
        avx512 = avx2 && (b & all) == all && (kept & 0xe6) == 0xe6;
    }
    CHECK(listed(&cpu, "generic") == fma);
    CHECK(listed(&cpu, "avx2") == avx2);
    CHECK(listed(&cpu, "avx512") == avx512);
}
#else
TEST(the_list_is_what_the_cpu_says)
{
    nnc_cpu cpu = nnc_cpu_info();
    CHECK(listed(&cpu, "neon") == NNC_AARCH64);
    CHECK(!cpu.available[1 + NNC_AARCH64]);
}
#endif

typedef void (*entry)(void);

/* Whether an entry is that of a loss which is never computed from logits. */
static bool is_empty(size_t at)
{
#define FROM_LOGITS(suffix, name) [NNC_LOSS_##suffix] = true,
    static const bool from_logits[NNC_LOSS_COUNT] = {NNC_LOGIT_LOSS_LIST(FROM_LOGITS)};
    const size_t first = offsetof(nnc_kernels, loss_from_logits);
    return at >= first && (at - first) / sizeof(entry) < NNC_LOSS_COUNT &&
           !from_logits[(at - first) / sizeof(entry)];
}

/* Each ISA and dtype has kernels of its own, and no entry is missing. */
TEST(tables_are_complete)
{
    nnc_cpu cpu = nnc_cpu_info();
    const nnc_kernels *seen[16];
    size_t n = 0;
    for (size_t i = 0; cpu.available[i]; i++) {
        nnc_select_isa(cpu.available[i]);
        for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
            CASE("%s %s", cpu.available[i], dtype_name((nnc_dtype)dtype));
            const nnc_kernels *kernels = nnc_kernels_for((nnc_dtype)dtype);
            for (size_t j = 0; j < n; j++) CHECK(kernels != seen[j]);
            seen[n++] = kernels;
            for (size_t at = 0; at < sizeof *kernels; at += sizeof(entry)) {
                entry here;
                memcpy(&here, (const char *)kernels + at, sizeof here);
                CHECK((here == NULL) == is_empty(at));
            }
        }
    }
    nnc_select_isa(NULL);
}

TEST(names)
{
    for (int i = 0; i < NNC_STATUS_COUNT; i++) {
        CASE("status %d", i);
        const char *text = nnc_status_text((nnc_status)i);
        CHECK(text && *text);
        for (int j = 0; j < i; j++) CHECK(strcmp(text, nnc_status_text((nnc_status)j)) != 0);
    }
    CHECK(strcmp(nnc_activation_name(NNC_ACT_IDENTITY), "identity") == 0);
    CHECK(strcmp(nnc_activation_name(NNC_ACT_RELU), "relu") == 0);
    CHECK(strcmp(nnc_activation_name(NNC_ACT_SIGMOID), "sigmoid") == 0);
    CHECK(strcmp(nnc_activation_name(NNC_ACT_EXPONENTIAL), "exponential") == 0);
    CHECK(strcmp(nnc_activation_name(NNC_ACT_SOFTMAX), "softmax") == 0);
    CHECK(strcmp(nnc_activation_name(NNC_ACT_LOG_SOFTMAX), "log_softmax") == 0);
    CHECK(nnc_is_of_z(NNC_ACT_GELU) && !nnc_is_of_z(NNC_ACT_TANH) && !nnc_is_of_z(NNC_ACT_SOFTMAX));
    CHECK(!nnc_is_softmax(NNC_ACT_EXPONENTIAL) && nnc_is_softmax(NNC_ACT_LOG_SOFTMAX));
    CHECK(nnc_dtype_size(NNC_F32) == 4 && nnc_dtype_size(NNC_F64) == 8);
}

SUITE()
{
    RUN(the_fastest_is_the_default);
    RUN(each_available_isa_can_be_chosen);
    RUN(an_unknown_name_changes_nothing);
    RUN(generic_always_works);
    RUN(the_list_is_what_the_cpu_says);
    RUN(tables_are_complete);
    RUN(names);
}
