/* neon.c - aarch64: 16-byte vectors, 32 registers. Every such CPU has FMA. */
#include "kernels/kernels.h"
#if NNC_AARCH64
#include <arm_neon.h>
#include <string.h>

#include "core/base.h"
#include "kernels/target.h"

#define NNC_ISA neon
#define NNC_VECTOR_BYTES 16
#define NNC_FMA 1
#define NNC_TILE_ROWS 5
#define NNC_TILE_VECTORS 4
#define NNC_TILE_MOST_ROWS {5, 5, 5, 5}
#define NNC_TILE_GRID(X) NNC_ROWS_5(X, 1) NNC_ROWS_5(X, 2) NNC_ROWS_5(X, 3) NNC_ROWS_5(X, 4)
#define NNC_DOT_ROWS 5
#define NNC_DOT_COLUMNS 4
#define NNC_DOT_PASSES 4
#define NNC_DOT_GRID(X) NNC_ROWS_5(X, 1) NNC_ROWS_5(X, 2) NNC_ROWS_5(X, 3) NNC_ROWS_5(X, 4)

#include "kernels/all_tmpl.h"
#endif
