#include "attention.h"

#define MANY 32 /* rows that keep all threads busy with whole tiles */

/* ---- attention over a cache: rotate, write, then look back ---- */

INLINE void write_row(const attention *a, int64_t row, int64_t head, int bf16) {
  int64_t size = a->head_dim, width = bf16 ? 2 : 4;
  int64_t cell = a->slots[row] * a->slot_stride + head * a->head_stride + a->cells[row] * size;
  const char *key = (const char *)a->key + (row * a->key_stride + head * size) * width;
  const char *value = (const char *)a->value + (row * a->value_stride + head * size) * width;
  float key_out[size];
  rotate(key, key_out, size, a->cosine + row * size, a->sine + row * size, bf16);
  for (int64_t at = 0; at < size; at += LANES)
    store(a->keys, cell + at, size - at, bf16, load(key_out, at, size - at, 0));
  memcpy((char *)a->values + cell * width, value, size * width);
}

/* Two vectors -> one: in the first places sums of halves of `a`, then such of `b`, and so on. The
   masks are constants, or the compiler would not find the instruction. */
#define JOIN(a, b, width, ...)                                         \
  (__builtin_shuffle(a, b, (wide_counts){__VA_ARGS__}) +               \
   __builtin_shuffle(a, b, (wide_counts){__VA_ARGS__} + (width)))

/* Products of a query with keys, a vector each -> as many scores. A product is summed by halves, as
   `total` does, but all at once. */
INLINE wide totals(wide part[WIDE]) {
#if WIDE == 16
  for (int i = 0; i < 8; i++)
    part[i] = JOIN(part[i], part[i + 8], 8,
                   0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
  for (int i = 0; i < 4; i++)
    part[i] = JOIN(part[i], part[i + 4], 4,
                   0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27);
  for (int i = 0; i < 2; i++)
    part[i] = JOIN(part[i], part[i + 2], 2,
                   0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
  return JOIN(part[0], part[1], 1, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30);
#else
  for (int i = 0; i < 4; i++) part[i] = JOIN(part[i], part[i + 4], 4, 0, 1, 2, 3, 8, 9, 10, 11);
  for (int i = 0; i < 4; i += 2)
    part[i] = JOIN(part[i], part[i + 1], 2, 0, 1, 8, 9, 4, 5, 12, 13);
  return JOIN(part[0], part[2], 1, 0, 2, 8, 10, 4, 6, 12, 14);
#endif
}

/* `num` cells side by side, or those that `list` names */
INLINE void fetch(const void *cells, int64_t base, int64_t first, const int64_t *list, int64_t num,
                  float *block, int64_t size, int chunks, int bf16) {
  for (int64_t k = 0; k < num; k++) {
    int64_t cell = base + (list ? list[k] : first + k) * size, at = 0;
    float *out = block + k * chunks * LANES;
    for (; bf16 && at + WIDE <= size; at += WIDE) {
      wide some = widen(cells, cell + at);
      memcpy(out + at, &some, sizeof some);
    }
    if (bf16) store(out, at, size - at, 0, load(cells, cell + at, size - at, 1));
    else memcpy(out, (const float *)cells + cell, size * sizeof *out);
  }
}

INLINE void score(const float *query, const float *block, float *scores, int chunks) {
  for (int first = 0; first < LANES; first += WIDE) {
    wide part[WIDE];
    for (int k = 0; k < WIDE; k++) {
      wide sum[LANES / WIDE] = {{0}};
      for (int c = 0; c < chunks; c++)
        for (int i = 0; i < LANES / WIDE; i++)
          sum[i] += load_wide(query, c * LANES + i * WIDE) *
                    load_wide(block, ((first + k) * chunks + c) * LANES + i * WIDE);
      part[k] = WIDE == LANES ? sum[0] : sum[0] + sum[LANES / WIDE - 1];
    }
    wide found = totals(part);
    memcpy(scores + first, &found, sizeof found);
  }
}

INLINE void gather(const float *scores, const float *block, int64_t num, float *sums, int chunks) {
  for (int c = 0; c < chunks; c += 4) { /* as many sums as stay in registers */
    wide sum[4 * LANES / WIDE];
    int some = (chunks - c < 4 ? chunks - c : 4) * LANES / WIDE;
    for (int i = 0; i < some; i++) sum[i] = load_wide(sums, c * LANES + i * WIDE);
    for (int64_t k = 0; k < num; k++)
      for (int i = 0; i < some; i++)
        sum[i] += scores[k] * load_wide(block, (k * chunks + c) * LANES + i * WIDE);
    for (int i = 0; i < some; i++) memcpy(sums + c * LANES + i * WIDE, sum + i, sizeof *sum);
  }
}

/* One pass over what the rows of a tile see: its keys where `values` is 0, else its values. They
   share the cells from `begin` on, each up to its own end, and each has more of its own. */
INLINE void look(const attention *a, int64_t row, int64_t num_rows, int64_t head, int64_t num_heads,
                 scratch *s, int64_t size, int bf16, int values) {
  int chunks = (int)((size + LANES - 1) / LANES);
  int64_t kv_head = head / (a->num_heads / a->num_kv_heads), far = 0;
  int64_t base = a->slots[row] * a->slot_stride + kv_head * a->head_stride, begin = a->begins[row];
  const void *cells = values ? a->values : a->keys;
  for (int64_t r = 0; r < num_rows; r++) far = a->ends[row + r] > far ? a->ends[row + r] : far;
  for (int64_t at = begin; at < far; at += LANES) {
    fetch(cells, base, at, NULL, far - at < LANES ? far - at : LANES, s->block, size, chunks, bf16);
    for (int64_t r = 0; r < num_rows; r++) {
      int64_t left = a->ends[row + r] - at;
      for (int64_t h = 0; h < num_heads && left > 0; h++) {
        int64_t i = r * num_heads + h, width = chunks * LANES;
        float *scores = s->scores + i * s->room + at - begin;
        if (!values) score(s->queries + i * width, s->block, scores, chunks);
        else gather(scores, s->block, left < LANES ? left : LANES, s->sums + i * width, chunks);
      }
    }
  }
  for (int64_t r = 0; a->more && r < num_rows; r++) {
    const int64_t *list = a->more + a->more_at[row + r];
    int64_t num = a->more_at[row + r + 1] - a->more_at[row + r], span = a->ends[row + r] - begin;
    for (int64_t at = 0; at < num; at += LANES) {
      int64_t some = num - at < LANES ? num - at : LANES;
      fetch(cells, base, 0, list + at, some, s->block, size, chunks, bf16);
      for (int64_t h = 0; h < num_heads; h++) {
        int64_t i = r * num_heads + h, width = chunks * LANES;
        float *scores = s->scores + i * s->room + span + at;
        if (!values) score(s->queries + i * width, s->block, scores, chunks);
        else gather(scores, s->block, some, s->sums + i * width, chunks);
      }
    }
  }
}

/* `num_heads` heads of one group, for rows that see the same cells but for their ends: each key and
   value is read once. A head's own order of sums depends on none of this. */
INLINE void attend_tile(const attention *a, int64_t row, int64_t num_rows, int64_t head,
                        int64_t num_heads, scratch *s, int64_t size, int bf16) {
  int chunks = (int)((size + LANES - 1) / LANES);
  int64_t width = chunks * LANES, bytes = bf16 ? 2 : 4;
  memset(s->sums, 0, num_rows * num_heads * width * sizeof(float));
  for (int64_t i = 0; i < num_rows * num_heads; i++) {
    int64_t r = row + i / num_heads, h = head + i % num_heads;
    float turned_query[size];
    rotate((const char *)a->query + (r * a->query_stride + h * size) * bytes, turned_query, size,
           a->cosine + r * size, a->sine + r * size, bf16);
    for (int c = 0; c < chunks; c++)
      store(s->queries, i * width + c * LANES, LANES, 0,
            load(turned_query, c * LANES, size - c * LANES, 0) * a->scale);
  }
  look(a, row, num_rows, head, num_heads, s, size, bf16, 0);
  float inverse[num_rows * num_heads];
  for (int64_t i = 0; i < num_rows * num_heads; i++) {
    int64_t r = row + i / num_heads, length = a->ends[r] - a->begins[r];
    if (a->more) length += a->more_at[r + 1] - a->more_at[r];
    inverse[i] = share(s->scores + i * s->room, length);
  }
  look(a, row, num_rows, head, num_heads, s, size, bf16, 1);
  for (int64_t i = 0; i < num_rows * num_heads; i++)
    for (int c = 0; c < chunks; c++)
      store(a->out, ((row + i / num_heads) * a->num_heads + head + i % num_heads) * size + c * LANES,
            size - c * LANES, bf16, load(s->sums, i * width + c * LANES, LANES, 0) * inverse[i]);
}

/* Common sizes are constants: what is inlined then knows how long everything is. */
static void attend_any(const attention *a, int64_t row, int64_t num_rows, int64_t head,
                       int64_t num_heads, scratch *s) {
  int64_t size = a->head_dim;
  if (burnish_attend_pairs(a, row, num_rows, head, num_heads, s)) return;
  if (size == 64 && a->bf16) attend_tile(a, row, num_rows, head, num_heads, s, 64, 1);
  else if (size == 64) attend_tile(a, row, num_rows, head, num_heads, s, 64, 0);
  else if (size == 128 && a->bf16) attend_tile(a, row, num_rows, head, num_heads, s, 128, 1);
  else if (size == 128) attend_tile(a, row, num_rows, head, num_heads, s, 128, 0);
  else if (a->bf16) attend_tile(a, row, num_rows, head, num_heads, s, size, 1);
  else attend_tile(a, row, num_rows, head, num_heads, s, size, 0);
}

static void write_any(const attention *a, int64_t row) {
  for (int64_t head = 0; head < a->num_kv_heads; head++) {
    if (a->bf16) write_row(a, row, head, 1);
    else write_row(a, row, head, 0);
  }
}

static int make_scratch(const attention *a, int64_t longest, scratch *s) {
  int64_t width = (a->head_dim + LANES - 1) / LANES * LANES, num = ROWS * HEADS;
  s->room = (longest / LANES + 2) * LANES; /* scores are written sixteen at a time */
  int64_t bytes = (LANES * width + 2 * num * width + num * s->room) * (int64_t)sizeof(float);
  s->block = aligned_alloc(64, bytes); /* else every load would touch two lines of the cache */
  if (s->block) memset(s->block, 0, LANES * width * sizeof(float));
  s->queries = s->block + LANES * width;
  s->sums = s->queries + num * width;
  s->scores = s->sums + num * width;
  return s->block == NULL;
}

/* Returns 0, or 1 where there was no memory for the scores. */
int burnish_attend(const attention *a) {
  int64_t longest = 0, work = 0, most = a->num_rows > MANY ? ROWS : ROWS / 2, num_tiles = 0, *tiles = malloc((a->num_rows + 1) * sizeof *tiles);
  if (!tiles) return 1;
  for (int64_t row = 0; row < a->num_rows; row++) {
    int64_t num = a->ends[row] - a->begins[row], first = num_tiles ? tiles[num_tiles - 1] : 0;
    if (a->more) num += a->more_at[row + 1] - a->more_at[row];
    longest = num > longest ? num : longest;
    work += num * a->num_heads * a->head_dim;
    if (!row || row - first == most || a->slots[row] != a->slots[first] ||
        a->begins[row] != a->begins[first])
      tiles[num_tiles++] = row;
  }
  tiles[num_tiles] = a->num_rows;
  int threads = work > ALONE ? a->threads : 1, failed = 0;
  int few = a->num_rows * a->num_kv_heads * a->head_dim <= ALONE;
  int64_t group = a->num_heads / a->num_kv_heads, parts = (group + HEADS - 1) / HEADS;
  for (int64_t row = 0; few && row < a->num_rows; row++) write_any(a, row);
#pragma omp parallel num_threads(threads) reduction(| : failed)
  {
    scratch s;
    failed = make_scratch(a, longest, &s);
    if (!few) {
#pragma omp for schedule(static)
      for (int64_t row = 0; row < a->num_rows; row++) write_any(a, row);
    }
#pragma omp for schedule(dynamic) collapse(3)
    for (int64_t tile = 0; tile < num_tiles; tile++)
      for (int64_t kv_head = 0; kv_head < a->num_kv_heads; kv_head++)
        for (int64_t part = 0; part < parts; part++) {
          int64_t left = group - part * HEADS;
          if (!failed)
            attend_any(a, tiles[tile], tiles[tile + 1] - tiles[tile],
                       kv_head * group + part * HEADS, left < HEADS ? left : HEADS, &s);
        }
    free(s.block);
  }
  free(tiles);
  return failed;
}
