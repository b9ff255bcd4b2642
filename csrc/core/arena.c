/* arena.c - see arena.h. The only allocation of the core, so that tests can make it fail. */
#define _GNU_SOURCE 1 /* sysconf, madvise under -std=c11 */
#include "core/arena.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base.h"

void nnc_arena_reserve(nnc_arena *arena, size_t a, size_t b, size_t c)
{
    size_t bytes;
    bool fits = nnc_mul(&bytes, a, b) && nnc_mul(&bytes, bytes, c) &&
                nnc_add(&bytes, bytes, NNC_LINE - 1) &&
                nnc_add(&arena->size, arena->size, bytes & ~(NNC_LINE - 1));
    arena->overflow |= !fits;
}

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

nnc_status nnc_arena_allocate(nnc_arena *arena)
{
    const size_t huge = (size_t)2 << 20;
    if (arena->overflow) return NNC_ERR_SIZE;
    if (!nnc_memory_fits(arena->size)) return NNC_ERR_MEMORY;
    bool large = arena->size >= 4 * huge;
    size_t unit = large ? huge : NNC_LINE; /* sizes must be whole multiples of the alignment */
    size_t size = (nnc_max(arena->size, 1) + unit - 1) & ~(unit - 1);
    arena->block = aligned_alloc(unit, size);
    if (!arena->block) return NNC_ERR_MEMORY;
#ifdef MADV_HUGEPAGE
    /* fewer page faults, fewer misses of the address cache; refused is as good as before */
    if (large) (void)madvise(arena->block, size, MADV_HUGEPAGE);
#endif
    return NNC_OK;
}

nnc_status nnc_arena_allocate_in(nnc_arena *arena, nnc_memory *memory)
{
    if (!memory) return nnc_arena_allocate(arena);
    if (arena->overflow) return NNC_ERR_SIZE;
    if (!memory->block || memory->size < arena->size) {
        nnc_arena larger = *arena;
        nnc_status status = nnc_arena_allocate(&larger);
        if (status != NNC_OK) return status;
        nnc_memory_free(memory);
        *memory = (nnc_memory){.block = larger.block, .size = larger.size};
    }
    arena->block = memory->block;
    arena->borrowed = true;
    return NNC_OK;
}

void nnc_memory_free(nnc_memory *memory)
{
    free(memory->block);
    *memory = (nnc_memory){0};
}

void *nnc_arena_take(nnc_arena *arena, size_t a, size_t b, size_t c)
{
    void *piece = arena->block + arena->used;
    arena->used += (a * b * c + NNC_LINE - 1) & ~(NNC_LINE - 1);
    assert(arena->used <= arena->size);
    return piece;
}

void *nnc_arena_piece(nnc_arena *arena, size_t a, size_t b, size_t c)
{
    if (arena->block) return nnc_arena_take(arena, a, b, c);
    nnc_arena_reserve(arena, a, b, c);
    return NULL;
}

void nnc_arena_free(nnc_arena *arena)
{
    if (!arena->borrowed) free(arena->block);
    *arena = (nnc_arena){0};
}

void *nnc_new_block(nnc_dtype dtype, size_t n)
{
    nnc_arena arena = {0};
    nnc_arena_reserve(&arena, n, nnc_dtype_size(dtype), 1);
    if (nnc_arena_allocate(&arena) != NNC_OK) return NULL;
    memset(arena.block, 0, arena.size);
    return arena.block;
}

void nnc_free_block(void *block)
{
    free(block);
}
