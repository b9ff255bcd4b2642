/* arena.c - see arena.h. The only allocation of the core, so that tests can make it fail. */
#define _GNU_SOURCE 1 /* madvise under -std=c11 */
#include "core/arena.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "core/base.h"

void nnc_arena_reserve(nnc_arena *arena, size_t a, size_t b, size_t c)
{
    size_t bytes;
    bool fits = nnc_mul(&bytes, a, b) && nnc_mul(&bytes, bytes, c) &&
                nnc_add(&bytes, bytes, NNC_LINE - 1) &&
                nnc_add(&arena->size, arena->size, bytes & ~(NNC_LINE - 1));
    arena->overflow |= !fits;
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
