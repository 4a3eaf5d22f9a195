#include "lanes.h"

#define HEADS 4 /* query heads of a group that look at their keys together */

/* ---- attention over a cache: rotate, write, then look back ---- */

typedef struct {
  int64_t num_rows, num_heads, num_kv_heads, head_dim;
  int64_t query_stride, key_stride, value_stride; /* numbers from a row to the next */
  int64_t slot_stride, head_stride;               /* numbers, in the cache */
  const void *query, *key, *value;
  const float *cosine, *sine; /* [rows, head_dim] */
  void *keys, *values;        /* this layer's cells */
  const int64_t *slots;       /* the sequence of each row */
  const int64_t *cells;       /* where the row is written */
  const int64_t *begins, *ends; /* the row sees cells begin <= c < end */
  const int64_t *more, *more_at; /* and then more[more_at[row]] to more[more_at[row + 1] - 1] */
  void *out;                     /* [rows, heads, head_dim] */
  float scale;
  int32_t bf16, threads;
} attention;

/* halves layout, as in Hugging Face weights */
INLINE float turned(const void *head, int64_t at, int64_t size, const float *cosine,
                    const float *sine, int bf16) {
  int64_t half = size / 2;
  float x[2];
  for (int i = 0; i < 2; i++) {
    int64_t j = i ? (at < half ? at + half : at - half) : at;
    if (bf16) {
      uint32_t bits = (uint32_t)((const uint16_t *)head)[j] << 16;
      memcpy(&x[i], &bits, 4);
    } else {
      x[i] = ((const float *)head)[j];
    }
  }
  return x[0] * cosine[at] + (at < half ? -x[1] : x[1]) * sine[at];
}

INLINE void rotate(const void *head, float *out, int64_t size, const float *cosine,
                   const float *sine, int bf16) {
  for (int64_t at = 0; at < size; at++) out[at] = turned(head, at, size, cosine, sine, bf16);
}

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

INLINE int64_t cell_of(const attention *a, int64_t row, int64_t step) {
  int64_t span = a->ends[row] - a->begins[row];
  return step < span ? a->begins[row] + step : a->more[a->more_at[row] + step - span];
}

/* `num` heads of one group read each key and value once. `num` and `chunks` are constants where this
   is inlined, so that sums stay in registers; a head's own order of sums depends on neither. */
INLINE void attend_heads(const attention *a, int64_t row, int64_t head, int num, float *scores,
                         int chunks, int bf16) {
  int64_t size = a->head_dim, kv_head = head / (a->num_heads / a->num_kv_heads);
  int64_t base = a->slots[row] * a->slot_stride + kv_head * a->head_stride;
  int64_t length = a->ends[row] - a->begins[row];
  if (a->more) length += a->more_at[row + 1] - a->more_at[row];
  int64_t width = bf16 ? 2 : 4, room = length + LANES;
  lanes query[num][chunks], sum[num][chunks];
  float most[num], inverse[num];
  for (int h = 0; h < num; h++) {
    float turned_query[size];
    rotate((const char *)a->query + (row * a->query_stride + (head + h) * size) * width,
           turned_query, size, a->cosine + row * size, a->sine + row * size, bf16);
    for (int c = 0; c < chunks; c++) {
      query[h][c] = load(turned_query, c * LANES, size - c * LANES, 0) * a->scale;
      sum[h][c] = (lanes){0};
    }
    most[h] = -INFINITY;
  }
  for (int64_t step = 0; step < length; step++) {
    int64_t cell = base + cell_of(a, row, step) * size;
    lanes product[num];
    for (int h = 0; h < num; h++) product[h] = (lanes){0};
    for (int c = 0; c < chunks; c++) {
      lanes key = load(a->keys, cell + c * LANES, size - c * LANES, bf16);
      for (int h = 0; h < num; h++) product[h] += query[h][c] * key;
    }
    for (int h = 0; h < num; h++) {
      float score = total(product[h]);
      scores[h * room + step] = score;
      most[h] = score > most[h] ? score : most[h];
    }
  }
  for (int h = 0; h < num; h++) {
    lanes mass = {0};
    for (int64_t at = 0; at < length; at += LANES) {
      lanes share = exponential(load(scores + h * room, at, length - at, 0) - most[h]);
      store(scores + h * room, at, length - at, 0, share);
      mass += load(scores + h * room, at, length - at, 0); /* zeros behind the end */
    }
    inverse[h] = 1.0f / total(mass);
  }
  for (int64_t step = 0; step < length; step++) {
    int64_t cell = base + cell_of(a, row, step) * size;
    for (int c = 0; c < chunks; c++) {
      lanes value = load(a->values, cell + c * LANES, size - c * LANES, bf16);
      for (int h = 0; h < num; h++) sum[h][c] += scores[h * room + step] * value;
    }
  }
  for (int h = 0; h < num; h++)
    for (int c = 0; c < chunks; c++)
      store(a->out, (row * a->num_heads + head + h) * size + c * LANES, size - c * LANES, bf16,
            sum[h][c] * inverse[h]);
}

INLINE void attend_some(const attention *a, int64_t row, int64_t head, int num, float *scores,
                        int chunks, int bf16) {
  if (num == 4) attend_heads(a, row, head, 4, scores, chunks, bf16);
  else if (num == 3) attend_heads(a, row, head, 3, scores, chunks, bf16);
  else if (num == 2) attend_heads(a, row, head, 2, scores, chunks, bf16);
  else attend_heads(a, row, head, 1, scores, chunks, bf16);
}

static void attend_any(const attention *a, int64_t row, int64_t head, int num, float *scores) {
  int chunks = (int)((a->head_dim + LANES - 1) / LANES);
  if (a->head_dim == 64 && a->bf16) attend_some(a, row, head, num, scores, 4, 1);
  else if (a->head_dim == 64) attend_some(a, row, head, num, scores, 4, 0);
  else if (a->head_dim == 128 && a->bf16) attend_some(a, row, head, num, scores, 8, 1);
  else if (a->head_dim == 128) attend_some(a, row, head, num, scores, 8, 0);
  else if (a->bf16) attend_some(a, row, head, num, scores, chunks, 1);
  else attend_some(a, row, head, num, scores, chunks, 0);
}

static void write_any(const attention *a, int64_t row) {
  for (int64_t head = 0; head < a->num_kv_heads; head++) {
    if (a->bf16) write_row(a, row, head, 1);
    else write_row(a, row, head, 0);
  }
}

/* Returns 0, or 1 where there was no memory for the scores. */
int burnish_attend(const attention *a) {
  int64_t longest = 0, work = 0;
  for (int64_t row = 0; row < a->num_rows; row++) {
    int64_t num = a->ends[row] - a->begins[row];
    if (a->more) num += a->more_at[row + 1] - a->more_at[row];
    longest = num > longest ? num : longest;
    work += num * a->num_heads * a->head_dim;
  }
  int threads = work > ALONE ? a->threads : 1, failed = 0;
  int few = a->num_rows * a->num_kv_heads * a->head_dim <= ALONE;
  int64_t group = a->num_heads / a->num_kv_heads, parts = (group + HEADS - 1) / HEADS;
  for (int64_t row = 0; few && row < a->num_rows; row++) write_any(a, row);
#pragma omp parallel num_threads(threads) reduction(| : failed)
  {
    float *scores = malloc(HEADS * (longest + LANES) * sizeof(float));
    failed = scores == NULL;
    if (!few) {
#pragma omp for schedule(static)
      for (int64_t row = 0; row < a->num_rows; row++) write_any(a, row);
    }
#pragma omp for schedule(dynamic, 2) collapse(3)
    for (int64_t row = 0; row < a->num_rows; row++)
      for (int64_t kv_head = 0; kv_head < a->num_kv_heads; kv_head++)
        for (int64_t part = 0; part < parts; part++) {
          int64_t left = group - part * HEADS;
          if (!failed)
            attend_any(a, row, kv_head * group + part * HEADS, left < HEADS ? (int)left : HEADS,
                       scores);
        }
    free(scores);
  }
  return failed;
}
