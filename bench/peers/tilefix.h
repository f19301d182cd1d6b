/* Included ahead of everything where llama.cpp is built for AMX (setup.sh). GCC 12's amxtileintrin.h declares the operand of
   _tile_loadconfig as 8 bytes where the instruction reads 64, so the compiler drops the other stores to a configuration on the
   stack, and the first instruction on a tile that has no rows is an illegal one. This one reads all 64 bytes. */
#ifdef __AMX_TILE__
#include <immintrin.h>

static inline void whole_tile_loadconfig(const void *config) {
	__asm__ volatile("ldtilecfg\t%0" ::"m"(*(const char(*)[64])config));
}

#undef _tile_loadconfig
#define _tile_loadconfig whole_tile_loadconfig
#endif
