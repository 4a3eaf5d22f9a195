#include "attention.h"

/* ---- a tile of attention by the processor's dot product of bf16 pairs ----

   A block is sixteen cells of what a row sees, counted from the first: wherever they lie and
   whatever other rows see, so the bits of a row depend on nothing else. Rows share the blocks that
   lie side by side; what a branch adds, and the part of a block before it, each row looks up. */

#ifndef __AVX512BF16__
int burnish_attend_pairs(const attention *a, int64_t row, int64_t num_rows, int64_t head,
                         int64_t num_heads, scratch *s) {
  return (void)a, (void)row, (void)num_rows, (void)head, (void)num_heads, (void)s, 0;
}
#else

typedef const uint16_t *cell; /* a key or a value */

static const uint16_t nothing[1024]; /* stands behind the last cell of a block */

/* Sixteen keys -> for each pair of their numbers, that pair of all sixteen. */
INLINE void turn_keys(const cell *keys, __m512i *out, int64_t size) {
  for (int64_t at = 0; at < size / 2; at += LANES) {
    __m512i a[LANES], b[LANES];
    for (int i = 0; i < LANES; i++) a[i] = _mm512_loadu_si512(keys[i] + 2 * at);
    for (int i = 0; i < LANES; i += 2) {
      b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
      b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
    }
    for (int i = 0; i < LANES; i += 4)
      for (int j = 0; j < 2; j++) {
        a[i + 2 * j] = _mm512_unpacklo_epi64(b[i + j], b[i + j + 2]);
        a[i + 2 * j + 1] = _mm512_unpackhi_epi64(b[i + j], b[i + j + 2]);
      }
    for (int i = 0; i < LANES; i += 8)
      for (int j = 0; j < 4; j++) {
        b[i + j] = _mm512_shuffle_i32x4(a[i + j], a[i + j + 4], 0x88);
        b[i + j + 4] = _mm512_shuffle_i32x4(a[i + j], a[i + j + 4], 0xdd);
      }
    for (int j = 0; j < 8; j++) {
      out[at + j] = _mm512_shuffle_i32x4(b[j], b[j + 8], 0x88);
      out[at + j + 8] = _mm512_shuffle_i32x4(b[j], b[j + 8], 0xdd);
    }
  }
}

/* Sixteen values -> for each two of them, their numbers side by side. */
INLINE void pair_values(const cell *values, __m512i *out, int64_t size) {
  const __m512i both = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8,
                                        39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
  const __m512i later = _mm512_add_epi16(both, _mm512_set1_epi16(16));
  for (int i = 0; i < LANES; i += 2)
    for (int64_t at = 0; at < size; at += 2 * LANES) {
      __m512i a = _mm512_loadu_si512(values[i] + at), b = _mm512_loadu_si512(values[i + 1] + at);
      *out++ = _mm512_permutex2var_epi16(a, both, b);
      *out++ = _mm512_permutex2var_epi16(a, later, b);
    }
}

INLINE __m512bh pair_at(const uint16_t *from) {
  int32_t both;
  memcpy(&both, from, sizeof both);
  return (__m512bh)_mm512_set1_epi32(both);
}

/* Scores of `num` queries (a constant) with a block of turned keys */
INLINE void score_block(const uint16_t *queries, const __m512i *keys, float *scores, int64_t room,
                        int64_t size, int num) {
  __m512 sum[4];
  for (int i = 0; i < num; i++) sum[i] = _mm512_setzero_ps();
  for (int64_t at = 0; at < size / 2; at++)
    for (int i = 0; i < num; i++)
      sum[i] = _mm512_dpbf16_ps(sum[i], (__m512bh)keys[at], pair_at(queries + i * size + 2 * at));
  for (int i = 0; i < num; i++) _mm512_storeu_ps(scores + i * room, sum[i]);
}

/* Sums of `num` queries (a constant) go on with a block of paired values; four vectors at a time */
INLINE void gather_block(const float *shares, const __m512i *values, float *sums, int64_t room,
                         int64_t size, int num) {
  for (int64_t c = 0; c < size / LANES; c += 4) {
    __m512 sum[4][4];
    int64_t some = size / LANES - c < 4 ? size / LANES - c : 4;
    for (int i = 0; i < num; i++)
      for (int j = 0; j < some; j++)
        sum[i][j] = _mm512_loadu_ps(sums + i * size + (c + j) * LANES);
    for (int pair = 0; pair < LANES / 2; pair++)
      for (int i = 0; i < num; i++) {
        __m512bh share = pair_at((const uint16_t *)(shares + i * room) + 2 * pair);
        for (int j = 0; j < some; j++)
          sum[i][j] = _mm512_dpbf16_ps(
              sum[i][j], (__m512bh)values[pair * (size / LANES) + c + j], share);
      }
    for (int i = 0; i < num; i++)
      for (int j = 0; j < some; j++)
        _mm512_storeu_ps(sums + i * size + (c + j) * LANES, sum[i][j]);
  }
}

/* A block that is ready, for the queries of one row; `at`: which numbers of the scores it has.
   Shares are bf16 already and lie at the front of their row of scores. */
INLINE void one_block(scratch *s, int64_t query, int64_t num_heads, int64_t at, int64_t size,
                      int values) {
  const __m512i *block = (const __m512i *)s->block;
  const uint16_t *queries = (const uint16_t *)s->queries + query * size;
  float *scores = s->scores + query * s->room, *sums = s->sums + query * size;
  const float *shares = (const float *)((const uint16_t *)scores + at);
#define CASE(n)                                                           \
  case n:                                                                 \
    if (values) gather_block(shares, block, sums, s->room, size, n);      \
    else score_block(queries, block, scores + at, s->room, size, n);      \
    break;
  switch (num_heads) { CASE(1) CASE(2) CASE(3) CASE(4) }
#undef CASE
}

INLINE void make_block(scratch *s, const cell *cells, int64_t size, int values) {
  if (values) pair_values(cells, (__m512i *)s->block, size);
  else turn_keys(cells, (__m512i *)s->block, size);
}

INLINE void look(const attention *a, int64_t row, int64_t num_rows, int64_t head, int64_t num_heads,
                 scratch *s, int64_t size, int values) {
  int64_t kv_head = head / (a->num_heads / a->num_kv_heads), far = 0;
  cell base = (cell)(values ? a->values : a->keys) + a->slots[row] * a->slot_stride +
              kv_head * a->head_stride;
  int64_t begin = a->begins[row], ends[ROWS];
  cell cells[LANES];
  for (int64_t r = 0; r < num_rows; r++) { /* a branch goes on in the middle of a block */
    ends[r] = a->ends[row + r];
    if (a->more) ends[r] -= (ends[r] - begin) % LANES;
    far = ends[r] > far ? ends[r] : far;
  }
  for (int64_t at = begin; at < far; at += LANES) {
    for (int k = 0; k < LANES; k++) cells[k] = at + k < far ? base + (at + k) * size : nothing;
    make_block(s, cells, size, values);
    for (int64_t r = 0; r < num_rows; r++)
      if (at < ends[r]) one_block(s, r * num_heads, num_heads, at - begin, size, values);
  }
  for (int64_t r = 0; a->more && r < num_rows; r++) {
    const int64_t *list = a->more + a->more_at[row + r];
    int64_t side = a->ends[row + r] - ends[r];
    int64_t num = side + a->more_at[row + r + 1] - a->more_at[row + r];
    for (int64_t at = 0; at < num; at += LANES) {
      for (int64_t k = at; k < at + LANES; k++)
        cells[k - at] = k < side  ? base + (ends[r] + k) * size
                        : k < num ? base + list[k - side] * size
                                  : nothing;
      make_block(s, cells, size, values);
      one_block(s, r * num_heads, num_heads, ends[r] - begin + at, size, values);
    }
  }
}

INLINE void tile(const attention *a, int64_t row, int64_t num_rows, int64_t head, int64_t num_heads,
                 scratch *s, int64_t size) {
  float inverse[ROWS * HEADS], turned[1024];
  memset(s->sums, 0, num_rows * num_heads * size * sizeof(float));
  for (int64_t i = 0; i < num_rows * num_heads; i++) {
    int64_t r = row + i / num_heads, h = head + i % num_heads;
    rotate((const uint16_t *)a->query + r * a->query_stride + h * size, turned, size,
           a->cosine + r * size, a->sine + r * size, 1);
    for (int64_t at = 0; at < size; at += LANES)
      store(s->queries, i * size + at, LANES, 1, load(turned, at, LANES, 0) * a->scale);
  }
  look(a, row, num_rows, head, num_heads, s, size, 0);
  for (int64_t i = 0; i < num_rows * num_heads; i++) {
    int64_t r = row + i / num_heads, length = a->ends[r] - a->begins[r];
    if (a->more) length += a->more_at[r + 1] - a->more_at[r];
    float *scores = s->scores + i * s->room;
    inverse[i] = share(scores, length);
    for (int64_t at = 0; at < length; at += LANES) /* zeros behind the end */
      store(scores, at, LANES, 1, load(scores, at, length - at, 0));
  }
  look(a, row, num_rows, head, num_heads, s, size, 1);
  for (int64_t i = 0; i < num_rows * num_heads; i++)
    for (int64_t at = 0; at < size; at += LANES)
      store(a->out, ((row + i / num_heads) * a->num_heads + head + i % num_heads) * size + at, LANES,
            1, load(s->sums, i * size + at, LANES, 0) * inverse[i]);
}

int burnish_attend_pairs(const attention *a, int64_t row, int64_t num_rows, int64_t head,
                         int64_t num_heads, scratch *s) {
  int64_t size = a->head_dim;
  if (!a->bf16 || size % (2 * LANES) || size > (int64_t)(sizeof nothing / sizeof *nothing)) return 0;
  if (size == 64) tile(a, row, num_rows, head, num_heads, s, 64);
  else if (size == 128) tile(a, row, num_rows, head, num_heads, s, 128);
  else tile(a, row, num_rows, head, num_heads, s, size);
  return 1;
}
#endif
