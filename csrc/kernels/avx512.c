/* avx512.c - AVX-512: 64-byte vectors, 32 registers. */
#include "kernels/kernels.h"
#if NNC_X86_64
#include <immintrin.h>
#include <string.h>

#include "core/base.h"
#include "kernels/target.h"

#define NNC_ISA avx512
#define NNC_VECTOR_BYTES 64
#define NNC_FMA 1
#define NNC_TILE_ROWS 12
/* Not more than 8 by 2: rows of weights that are a multiple of a page apart share the 8 ways of one
 * set of the first cache. */
#define NNC_TILE_VECTORS 5
#define NNC_TILE_MOST_ROWS {12, 8, 8, 6, 5}
#define NNC_TILE_GRID(X) \
    NNC_ROWS_12(X, 1) NNC_ROWS_8(X, 2) NNC_ROWS_8(X, 3) NNC_ROWS_6(X, 4) NNC_ROWS_5(X, 5)
#define NNC_DOT_ROWS 6
#define NNC_DOT_COLUMNS 4
#define NNC_DOT_PASSES 1
#define NNC_DOT_GRID(X) NNC_ROWS_6(X, 1) NNC_ROWS_6(X, 2) NNC_ROWS_6(X, 3) NNC_ROWS_6(X, 4)

NNC_TARGET_BEGIN("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")
#include "kernels/all_tmpl.h"
NNC_TARGET_END
#endif
