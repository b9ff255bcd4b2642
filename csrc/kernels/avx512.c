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
#define NNC_TILE_ROWS 5
#define NNC_TILE_VECTORS 5
#define NNC_TILE_GRID NNC_GRID_5x5
#define NNC_DOT_ROWS 6
#define NNC_DOT_GRID NNC_GRID_6x4

NNC_TARGET_BEGIN("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")
#include "kernels/all_tmpl.h"
NNC_TARGET_END
#endif
