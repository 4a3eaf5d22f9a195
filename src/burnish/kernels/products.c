#include <omp.h>

#include "calls.h"
#include "lanes.h"
#if defined(__AMX_BF16__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* ---- products with tiled weights, by the processor's own dot product of bf16 pairs ----

   A tile is 32 outputs. It is a list of groups of 32 inputs, and a group holds its numbers in the
   order of use: for each pair of inputs the pairs of all outputs side by side (4 bits: for each four
   pairs, a nibble a pair in every word), then the outputs' scales, and in 4 bits their least values.
   So a weight is read once, from front to back, whatever the number of rows. */

#define TILE 32
#define GROUP 32
#define MOST 12 /* rows whose sums stay in registers together; */
#define FEW 6   /* with scales every sum has a part of its own */

/* Whether this processor is better served by tiles of so many bits than by what torch has. */
int burnish_tiles(int bits) {
  (void)bits;
#if defined(__AVX512BF16__)
  return 1;
#else
  return 0;
#endif
}

#ifndef __AVX512BF16__
int burnish_product(const product *p) { return p != NULL; } /* nobody gets here */
#else

static int64_t bytes_of(int bits) { /* numbers of a group in a tile */
  return TILE * GROUP * bits / 8;
}

static int64_t stride_of(int bits) {
  return bytes_of(bits) + (bits == 16 ? 0 : bits == 8 ? 2 * TILE : 4 * TILE);
}

INLINE __m512bh paired(const int8_t *from) {
  __m512 low = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)from)));
  __m512 high =
      _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)from + 1)));
  return _mm512_cvtne2ps_pbh(high, low);
}

/* The numbers 0 to 15 as bf16, twice: a word picks by its low five bits. */
INLINE __m512i nibbles(void) {
  __m512i at = _mm512_and_si512(
      _mm512_cvtepi8_epi16(_mm256_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0,
                                            1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)),
      _mm512_set1_epi16(15));
  __m256i low = _mm512_castsi512_si256(at), high = _mm512_extracti64x4_epi64(at, 1);
  return (__m512i)_mm512_cvtne2ps_pbh(_mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(high)),
                                      _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(low)));
}

/* Pair `pair` of a group, for both halves of the tile's outputs; whole numbers, not yet scaled. */
INLINE void weights_of(const char *group, int bits, int pair, __m512i table, __m512bh out[2]) {
  for (int half = 0; half < 2; half++) {
    if (bits == 16) {
      out[half] = (__m512bh)_mm512_loadu_si512(group + (pair * 2 + half) * 64);
    } else if (bits == 8) {
      out[half] = paired((const int8_t *)group + (pair * 2 + half) * 32);
    } else {
      __m512i words = _mm512_loadu_si512(group + (pair / 4 * 2 + half) * 64);
      words = _mm512_srli_epi16(words, pair % 4 * 4);
      out[half] = (__m512bh)_mm512_permutexvar_epi16(words, table);
    }
  }
}

typedef struct {
  const uint16_t *rows; /* [num_rows, size], padded */
  const float *sums;    /* [num_rows, num_groups]: of a row's numbers, where least values count */
  int64_t size, num_groups;
} inputs;

/* One tile for `num` rows (a constant): the order of sums does not depend on `num`. `numbers` have
   `bits`; `scales` are those of `kind` bits, 16: none. */
INLINE void tile_of(const product *p, const inputs *in, int64_t tile, int64_t row, int num,
                    const char *numbers, int bits, const char *scales, int kind) {
  __m512 sum[MOST][2], part[MOST][2];
  __m512i table = bits == 4 ? nibbles() : _mm512_setzero_si512();
  const uint16_t *x = in->rows + row * in->size;
#pragma GCC unroll 12
  for (int r = 0; r < num; r++) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
  for (int64_t group = 0; group < in->num_groups; group++) {
    if (kind != 16)
#pragma GCC unroll 6
      for (int r = 0; r < num; r++) part[r][0] = part[r][1] = _mm512_setzero_ps();
#pragma GCC unroll 4
    for (int pair = 0; pair < GROUP / 2; pair++) {
      __m512bh w[2];
      weights_of(numbers, bits, pair, table, w);
#pragma GCC unroll 12
      for (int r = 0; r < num; r++) {
        int32_t both;
        memcpy(&both, x + r * in->size + group * GROUP + 2 * pair, 4);
        __m512bh asked = (__m512bh)_mm512_set1_epi32(both);
        for (int half = 0; half < 2; half++) {
          if (kind == 16) sum[r][half] = _mm512_dpbf16_ps(sum[r][half], w[half], asked);
          else part[r][half] = _mm512_dpbf16_ps(part[r][half], w[half], asked);
        }
      }
    }
    for (int half = 0; half < 2 && kind != 16; half++) {
      const __m256i *at = (const __m256i *)scales + half;
      __m512 scale = _mm512_cvtph_ps(_mm256_loadu_si256(at));
      __m512 least = kind == 4 ? _mm512_cvtph_ps(_mm256_loadu_si256(at + 2)) : scale;
#pragma GCC unroll 6
      for (int r = 0; r < num; r++) {
        sum[r][half] = _mm512_fmadd_ps(part[r][half], scale, sum[r][half]);
        if (kind == 4) {
          __m512 whole = _mm512_set1_ps(in->sums[(row + r) * in->num_groups + group]);
          sum[r][half] = _mm512_fmadd_ps(whole, least, sum[r][half]);
        }
      }
    }
    numbers += bits == kind ? stride_of(kind) : bytes_of(bits);
    scales += stride_of(kind);
  }
  for (int half = 0; half < 2; half++) {
    int64_t first = tile * TILE + half * LANES, left = p->num_outputs - first;
#pragma GCC unroll 12
    for (int r = 0; r < num && left > 0; r++) {
      lanes out = (lanes)sum[r][half];
      if (p->bias) out += load(p->bias, first, left, 0);
      store(p->out, (row + r) * p->num_outputs + first, left, p->bf16, out);
    }
  }
}

/* As many rows at a time as there is code for, until all are done. */
INLINE void rows_of(const product *p, const inputs *in, int64_t tile, int64_t row,
                    const char *numbers, int bits, const char *scales, int kind) {
  while (row < p->num_rows) {
    int64_t left = p->num_rows - row;
#define SOME(n)                                                      \
  {                                                                  \
    tile_of(p, in, tile, row, n, numbers, bits, scales, kind);       \
    row += n;                                                        \
    continue;                                                        \
  }
    if (kind == 16) { /* in one go: what is read a second time costs half as much again */
      if (left >= MOST) SOME(MOST)
      if (left == 11) SOME(11)
      if (left == 10) SOME(10)
      if (left == 9) SOME(9)
      if (left == 8) SOME(8)
      if (left == 7) SOME(7)
    }
    if (left >= FEW) SOME(FEW)
    if (left == 5) SOME(5)
    if (left == 4) SOME(4)
    if (left == 3) SOME(3)
    if (left == 2) SOME(2)
    SOME(1)
#undef SOME
  }
}

/* With many rows a tile's numbers are unpacked once, into `room`, for as many as that serves. */
INLINE void one_tile(const product *p, const inputs *in, int64_t tile, int bits, char *room) {
  const char *from = p->weight + tile * in->num_groups * stride_of(bits);
  const char *scales = from + (bits == 16 ? 0 : bytes_of(bits));
  int64_t row = 0;
  if (room) {
    __m512i table = bits == 4 ? nibbles() : _mm512_setzero_si512();
    for (int64_t group = 0; group < in->num_groups; group++)
      for (int pair = 0; pair < GROUP / 2; pair++) {
        __m512bh w[2];
        weights_of(from + group * stride_of(bits), bits, pair, table, w);
        memcpy(room + group * bytes_of(16) + pair * sizeof w, w, sizeof w);
      }
    for (; row + FEW <= p->num_rows; row += FEW)
      tile_of(p, in, tile, row, FEW, room, 16, scales, bits);
  }
  rows_of(p, in, tile, row, from, bits, scales, bits);
}

/* ---- bf16 with AMX: up to 32 rows beside a tile of weights, in the processor's own tiles ----

   A row's sum goes over the groups in their order, whatever rows stand beside it. */

#if defined(__AMX_BF16__)
#define HIGH 16  /* rows of a processor's tile */
#define NEAR 128 /* rows whose inputs stay in the second cache */

/* Linux lets a process use the tiles' state once it has asked. */
static int amx_ready(void) {
  static int known; /* 0: not asked; every thread that asks gets the same answer */
  if (!known) known = syscall(SYS_arch_prctl, 0x1023, 18) == 0 ? 1 : -1;
  return known > 0;
}

typedef struct {
  uint8_t palette, start, reserved[14];
  uint16_t bytes[16];
  uint8_t rows[16];
} tile_shapes;

/* 0, 1: sums of the upper rows; 2, 3: of the lower; 4, 5: their inputs; 6, 7: weights. */
static void shape_tiles(int upper, int lower) {
  tile_shapes shapes = {.palette = 1};
  int rows[] = {upper, upper, lower, lower, upper, lower, HIGH, HIGH};
  for (int i = 0; i < 8; i++) {
    shapes.rows[i] = rows[i];
    shapes.bytes[i] = rows[i] ? 64 : 0;
  }
  _tile_loadconfig(&shapes);
}

static void amx_rows(const product *p, const inputs *in, int64_t tile, int64_t row, int upper,
                     int lower, const char *weights) {
  float sums[2 * HIGH][2][LANES] __attribute__((aligned(64)));
  const uint16_t *x = in->rows + row * in->size;
  int64_t step = in->size * 2;
  _tile_zero(0);
  _tile_zero(1);
  if (lower) {
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t group = 0; group < in->num_groups; group++) {
    _tile_loadd(6, weights, 128);
    _tile_loadd(7, weights + 64, 128);
    _tile_loadd(4, x + group * GROUP, step);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    if (lower) {
      _tile_loadd(5, x + HIGH * in->size + group * GROUP, step);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    weights += stride_of(16);
  }
  _tile_stored(0, sums[0][0], sizeof sums[0]);
  _tile_stored(1, sums[0][1], sizeof sums[0]);
  if (lower) {
    _tile_stored(2, sums[HIGH][0], sizeof sums[0]);
    _tile_stored(3, sums[HIGH][1], sizeof sums[0]);
  }
  int64_t first = tile * TILE, left = p->num_outputs - first;
  if (left >= TILE && p->bf16) { /* both halves of a row in one store */
    __m512 low = p->bias ? _mm512_loadu_ps(p->bias + first) : _mm512_setzero_ps();
    __m512 high = p->bias ? _mm512_loadu_ps(p->bias + first + LANES) : _mm512_setzero_ps();
    uint16_t *out = (uint16_t *)p->out + row * p->num_outputs + first;
    for (int r = 0; r < upper + lower; r++, out += p->num_outputs) {
      __m512 one = _mm512_add_ps(_mm512_load_ps(sums[r][0]), low);
      __m512 two = _mm512_add_ps(_mm512_load_ps(sums[r][1]), high);
      _mm512_storeu_si512(out, (__m512i)_mm512_cvtne2ps_pbh(two, one));
    }
    return;
  }
  for (int half = 0; half < 2; half++, first += LANES, left -= LANES)
    for (int r = 0; r < upper + lower && left > 0; r++) {
      lanes out = (lanes)_mm512_load_ps(sums[r][half]);
      if (p->bias) out += load(p->bias, first, left, 0);
      store(p->out, (row + r) * p->num_outputs + first, left, p->bf16, out);
    }
}

/* The tiles from `begin` on, for as many rows at a time as stay in the cache beside them. */
static void amx_tiles(const product *p, const inputs *in, int64_t begin, int64_t end) {
  int64_t whole = p->num_rows / (2 * HIGH) * (2 * HIGH), left = p->num_rows - whole;
  int upper = left < HIGH ? left : HIGH, lower = left - upper;
  int64_t step = in->num_groups * stride_of(16);
  if (whole) shape_tiles(HIGH, HIGH);
  for (int64_t from = 0; from < whole; from += NEAR)
    for (int64_t tile = begin; tile < end; tile++)
      for (int64_t row = from; row < whole && row < from + NEAR; row += 2 * HIGH)
        amx_rows(p, in, tile, row, HIGH, HIGH, p->weight + tile * step);
  if (left) shape_tiles(upper, lower);
  for (int64_t tile = begin; left && tile < end; tile++)
    amx_rows(p, in, tile, whole, upper, lower, p->weight + tile * step);
  _tile_release();
}
#else
static int amx_ready(void) { return 0; }
static void amx_tiles(const product *p, const inputs *in, int64_t begin, int64_t end) {
  (void)p, (void)in, (void)begin, (void)end;
}
#endif

/* Rows as bf16, filled up with zeros to whole groups. */
static void prepare(const product *p, uint16_t *rows, float *sums, int64_t num_groups) {
  for (int64_t row = 0; row < p->num_rows; row++)
    for (int64_t group = 0; group < num_groups; group++) {
      lanes whole = {0};
      for (int i = 0; i < GROUP / LANES; i++) {
        int64_t at = group * GROUP + i * LANES, left = p->size - at;
        lanes x = {0};
        if (left > 0) x = load(p->rows, row * p->size + at, left, p->bf16);
        store(rows, row * num_groups * GROUP + at, LANES, 1, x);
        whole += load(rows, row * num_groups * GROUP + at, LANES, 1);
      }
      if (sums) sums[row * num_groups + group] = total(whole);
    }
}

/* Returns 0; 1 where there was no memory. */
int burnish_product(const product *p) {
  int64_t num_groups = (p->size + GROUP - 1) / GROUP, width = num_groups * GROUP;
  int64_t num_tiles = (p->num_outputs + TILE - 1) / TILE;
  inputs in = {.rows = p->rows, .size = width, .num_groups = num_groups};
  char *own = NULL;
  if (!p->bf16 || width != p->size || p->bits == 4) {
    own = malloc(p->num_rows * (width * 2 + num_groups * sizeof(float)));
    if (!own) return 1;
    in.sums = (float *)own;
    in.rows = (uint16_t *)(own + p->num_rows * num_groups * sizeof(float));
    prepare(p, (uint16_t *)in.rows, p->bits == 4 ? (float *)in.sums : NULL, num_groups);
  }
  if (p->bits == 16 && amx_ready()) {
#pragma omp parallel num_threads(p->threads)
    {
      int64_t num = omp_get_num_threads(), own_tiles = (num_tiles + num - 1) / num;
      int64_t begin = omp_get_thread_num() * own_tiles, end = begin + own_tiles;
      amx_tiles(p, &in, begin, end < num_tiles ? end : num_tiles);
    }
    free(own);
    return 0;
  }
  int failed = 0, unpacked = p->bits != 16 && p->num_rows > FEW;
#pragma omp parallel num_threads(p->threads) reduction(| : failed)
  {
    char *room = unpacked ? aligned_alloc(64, num_groups * bytes_of(16)) : NULL;
    failed = unpacked && !room;
#pragma omp for schedule(static)
    for (int64_t tile = 0; tile < num_tiles; tile++) {
      if (failed) continue;
      if (p->bits == 16) one_tile(p, &in, tile, 16, room);
      else if (p->bits == 8) one_tile(p, &in, tile, 8, room);
      else one_tile(p, &in, tile, 4, room);
    }
    free(room);
  }
  free(own);
  return failed;
}
#endif
