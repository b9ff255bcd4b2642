/* baseline.c - For any CPU: 16-byte vectors of whatever the compiler's baseline is, products
 * rounded. */
#include "kernels/kernels.h"
#include <string.h>

#include "core/base.h"
#include "kernels/target.h"

#define NNC_ISA baseline
#define NNC_VECTOR_BYTES 16
#define NNC_FMA 0
#define NNC_TILE_ROWS 4
#define NNC_TILE_VECTORS 2
#define NNC_TILE_GRID NNC_GRID_4x2
#define NNC_DOT_ROWS 2
#define NNC_DOT_GRID NNC_GRID_2x4

#include "kernels/all_tmpl.h"
