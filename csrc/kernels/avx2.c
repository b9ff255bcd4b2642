/* avx2.c - AVX2: 32-byte vectors, 16 registers. */
#include "kernels/kernels.h"
#if NNC_X86_64
#include <immintrin.h>
#include <string.h>

#include "core/base.h"
#include "kernels/target.h"

#define NNC_ISA avx2
#define NNC_VECTOR_BYTES 32
#define NNC_FMA 1
#define NNC_TILE_ROWS 6
#define NNC_TILE_VECTORS 3
#define NNC_TILE_MOST_ROWS {6, 6, 4}
#define NNC_TILE_GRID(X) NNC_ROWS_6(X, 1) NNC_ROWS_6(X, 2) NNC_ROWS_4(X, 3)
#define NNC_DOT_ROWS 2
#define NNC_DOT_COLUMNS 3
#define NNC_DOT_PASSES 1
#define NNC_DOT_GRID(X) NNC_ROWS_2(X, 1) NNC_ROWS_2(X, 2) NNC_ROWS_2(X, 3)

NNC_TARGET_BEGIN("avx2,fma")
#include "kernels/all_tmpl.h"
NNC_TARGET_END
#endif
