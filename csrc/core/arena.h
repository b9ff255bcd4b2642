/* arena.h - one aligned block, cut into named pieces.
 *
 * Use: nnc_arena_reserve each piece (which only counts), nnc_arena_allocate once, then
 * nnc_arena_take the same pieces in the same order. All pieces start on a cache line. */
#ifndef NNC_CORE_ARENA_H
#define NNC_CORE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "nnc.h"

typedef struct {
    char *block;
    size_t size, used;
    bool overflow; /* a reservation did not fit into size_t */
    bool borrowed; /* the block belongs to an nnc_memory */
} nnc_arena;

/* Counts a piece of a * b * c bytes. */
void nnc_arena_reserve(nnc_arena *arena, size_t a, size_t b, size_t c);
nnc_status nnc_arena_allocate(nnc_arena *arena);
/* The same in memory's block, which grows where it is too small. memory may be NULL. */
nnc_status nnc_arena_allocate_in(nnc_arena *arena, nnc_memory *memory);
/* The next piece, uninitialised. */
void *nnc_arena_take(nnc_arena *arena, size_t a, size_t b, size_t c);
/* Reserves a piece before the allocation (and returns NULL), takes it after: so that one function
 * lays out a block both times. */
void *nnc_arena_piece(nnc_arena *arena, size_t a, size_t b, size_t c);
void nnc_arena_free(nnc_arena *arena);

#endif
