/* generic.c - 16-byte vectors with FMA: the bits of the wider ISAs, several times slower. */
#include "kernels/kernels.h"
#if NNC_X86_64
#include <immintrin.h>
#include <string.h>

#include "core/base.h"
#include "kernels/target.h"

#define NNC_ISA generic
#define NNC_VECTOR_BYTES 16
#define NNC_FMA 1
#define NNC_TILE_ROWS 4
#define NNC_TILE_VECTORS 2
#define NNC_TILE_MOST_ROWS {4, 4}
#define NNC_TILE_GRID(X) NNC_ROWS_4(X, 1) NNC_ROWS_4(X, 2)
#define NNC_DOT_ROWS 2
#define NNC_DOT_COLUMNS 4
#define NNC_DOT_PASSES 4
#define NNC_DOT_GRID(X) NNC_ROWS_2(X, 1) NNC_ROWS_2(X, 2) NNC_ROWS_2(X, 3) NNC_ROWS_2(X, 4)

NNC_TARGET_BEGIN("avx,fma")
#include "kernels/all_tmpl.h"
NNC_TARGET_END
#endif
