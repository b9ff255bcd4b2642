/* panel_parts.h - where the parts of a batch lie, for panels.c and keepers.c. */
#ifndef NNC_CORE_PANEL_PARTS_H
#define NNC_CORE_PANEL_PARTS_H

#include "core/panels.h"

static inline void *at(const nnc_batch *b, const void *p, size_t index)
{
    return (char *)(uintptr_t)p + index * b->item;
}

/* Elements from panel to panel of a matrix with so many rows: not a power of two, or the same part
 * of each panel would fall on the same cache lines. */
static inline size_t panel_stride(const nnc_batch *b, size_t rows)
{
    const size_t lines = 33, page = 4096;
    size_t stride = (rows + b->ones) * NNC_PANEL;
    return stride * b->item % page ? stride : stride + lines * NNC_LINE / b->item;
}

static inline void *panel(const nnc_batch *b, void *matrix, size_t rows, size_t p)
{
    return at(b, matrix, p * panel_stride(b, rows));
}

static inline size_t samples_in(const nnc_batch *b, size_t p)
{
    return nnc_min(b->n - p * NNC_PANEL, NNC_PANEL);
}

/* n samples in whole logical vectors: their lanes are a power of two. */
static inline size_t whole_lanes(const nnc_batch *b, size_t n)
{
    return (n + b->lanes - 1) & ~(b->lanes - 1);
}

/* Columns of panel p that hold samples. */
static inline size_t columns_in(const nnc_batch *b, size_t p)
{
    return whole_lanes(b, samples_in(b, p));
}

static inline size_t width(const nnc_net *net, size_t l)
{
    return l == 0 ? net->layers[0].n_in : net->layers[l - 1].n_out;
}

static inline void *matrix(const nnc_batch *b, nnc_arena *arena, size_t rows)
{
    return nnc_arena_piece(arena, b->capacity, panel_stride(b, rows), b->item);
}

#endif
