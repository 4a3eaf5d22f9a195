/* What stands between the matrix products of a decode step, on a CPU.

   Every function treats a row by itself and adds its numbers in an order that depends on nothing
   but the row's own length: the bits of a row are the same whatever stands beside it, however a
   prompt was cut, and wherever in the cache its keys lie.

   Rows are bf16 (`bf16 != 0`) or fp32; all arithmetic is fp32, rounded once at the end. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#define LANES 16
#define INLINE static inline __attribute__((always_inline))

typedef float lanes __attribute__((vector_size(64)));
typedef uint32_t words __attribute__((vector_size(64)));
typedef int32_t counts __attribute__((vector_size(64)));
typedef uint16_t halves __attribute__((vector_size(32)));

/* ---- sixteen numbers at a time; fewer at the end of a row, the rest zero ---- */

INLINE lanes load(const void *from, int64_t at, int64_t left, int bf16) {
  lanes out = {0};
  if (bf16) {
    halves half = {0};
    memcpy(&half, (const uint16_t *)from + at, left < LANES ? 2 * left : 2 * LANES);
    words wide = __builtin_convertvector(half, words) << 16;
    memcpy(&out, &wide, sizeof out);
  } else {
    memcpy(&out, (const float *)from + at, left < LANES ? 4 * left : 4 * LANES);
  }
  return out;
}

INLINE void store(void *to, int64_t at, int64_t left, int bf16, lanes value) {
  if (bf16) {
    words bits;
    memcpy(&bits, &value, sizeof bits);
    words even = bits + 0x7fff + ((bits >> 16) & 1); /* to nearest, ties to even */
    words quiet = (bits >> 16) | 0x40;               /* NaN stays NaN */
    words is_nan = (words)((bits & 0x7fffffff) > 0x7f800000);
    halves half = __builtin_convertvector((even >> 16 & ~is_nan) | (quiet & is_nan), halves);
    memcpy((uint16_t *)to + at, &half, left < LANES ? 2 * left : 2 * LANES);
  } else {
    memcpy((float *)to + at, &value, left < LANES ? 4 * left : 4 * LANES);
  }
}

INLINE float total(lanes value) { /* by halves, always in the same order */
  float part[LANES];
  memcpy(part, &value, sizeof part);
  for (int width = LANES / 2; width; width /= 2)
    for (int i = 0; i < width; i++) part[i] += part[i + width];
  return part[0];
}

/* `mask` is what a comparison of lanes gives: all bits or none */
INLINE lanes choose(counts mask, lanes yes, lanes no) {
  counts a, b;
  memcpy(&a, &yes, sizeof a);
  memcpy(&b, &no, sizeof b);
  a = (a & mask) | (b & ~mask);
  memcpy(&yes, &a, sizeof a);
  return yes;
}

/* e^x for x <= 0, relative error about 1e-7: Cephes' polynomial after reduction by ln 2 */
INLINE lanes exponential(lanes x) {
  const lanes magic = (lanes){0} + 12582912.0f;
  x = choose(x < -87.0f, (lanes){0} - 87.0f, x);
  lanes power = (x * 1.44269504088896341f + magic) - magic;
  lanes rest = x - power * 0.693359375f - power * -2.12194440e-4f;
  lanes series = rest * 1.9875691500e-4f + 1.3981999507e-3f;
  series = series * rest + 8.3334519073e-3f;
  series = series * rest + 4.1665795894e-2f;
  series = series * rest + 1.6666665459e-1f;
  series = series * rest + 5.0000001201e-1f;
  series = series * rest * rest + rest + 1.0f;
  counts bits = (__builtin_convertvector(power, counts) + 127) << 23;
  lanes scale;
  memcpy(&scale, &bits, sizeof scale);
  return series * scale;
}

/* ---- root mean square norm ---- */

INLINE void norm_row(const char *in, const void *weight, char *out, int64_t size, float eps,
                     int bf16) {
  lanes squares = {0};
  for (int64_t at = 0; at < size; at += LANES) {
    lanes x = load(in, at, size - at, bf16);
    squares += x * x;
  }
  float scale = 1.0f / sqrtf(total(squares) / (float)size + eps);
  for (int64_t at = 0; at < size; at += LANES) {
    lanes x = load(in, at, size - at, bf16), w = load(weight, at, size - at, bf16);
    store(out, at, size - at, bf16, x * scale * w);
  }
}

void burnish_rms_norm(const char *in, const void *weight, char *out, int64_t num_rows,
                      int64_t size, int64_t stride_bytes, float eps, int bf16, int threads) {
  int64_t row_bytes = size * (bf16 ? 2 : 4);
#pragma omp parallel for schedule(static) num_threads(threads) if (num_rows * size > 8192)
  for (int64_t row = 0; row < num_rows; row++) {
    const char *from = in + row * stride_bytes;
    char *to = out + row * row_bytes;
    if (bf16) norm_row(from, weight, to, size, eps, 1);
    else norm_row(from, weight, to, size, eps, 0);
  }
}

/* ---- gate: silu(first half of a row) * second half ---- */

INLINE void gate_row(const char *in, char *out, int64_t size, int bf16) {
  const char *up = in + size * (bf16 ? 2 : 4);
  for (int64_t at = 0; at < size; at += LANES) {
    lanes gate = load(in, at, size - at, bf16), other = load(up, at, size - at, bf16);
    lanes small = exponential(choose(gate < 0.0f, gate, -gate)); /* e^-|gate| */
    lanes sigmoid = choose(gate < 0.0f, small, (lanes){0} + 1.0f) / (1.0f + small);
    store(out, at, size - at, bf16, gate * sigmoid * other);
  }
}

void burnish_silu_mul(const char *in, char *out, int64_t num_rows, int64_t size, int bf16,
                      int threads) {
  int64_t width = bf16 ? 2 : 4;
#pragma omp parallel for schedule(static) num_threads(threads) if (num_rows * size > 8192)
  for (int64_t row = 0; row < num_rows; row++) {
    const char *from = in + 2 * row * size * width;
    char *to = out + row * size * width;
    if (bf16) gate_row(from, to, size, 1);
    else gate_row(from, to, size, 0);
  }
}

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

/* `chunks` is a constant where this is inlined, so that a head stays in registers */
INLINE void attend_head(const attention *a, int64_t row, int64_t head, float *scores, int chunks,
                        int bf16) {
  int64_t size = a->head_dim, kv_head = head / (a->num_heads / a->num_kv_heads);
  int64_t base = a->slots[row] * a->slot_stride + kv_head * a->head_stride;
  int64_t num = a->ends[row] - a->begins[row];
  if (a->more) num += a->more_at[row + 1] - a->more_at[row];
  int64_t width = bf16 ? 2 : 4;
  float turned_query[size];
  rotate((const char *)a->query + (row * a->query_stride + head * size) * width, turned_query,
         size, a->cosine + row * size, a->sine + row * size, bf16);
  lanes query[chunks], sum[chunks];
  for (int c = 0; c < chunks; c++) {
    query[c] = load(turned_query, c * LANES, size - c * LANES, 0) * a->scale;
    sum[c] = (lanes){0};
  }
  float most = -INFINITY;
  for (int64_t step = 0; step < num; step++) {
    int64_t cell = base + cell_of(a, row, step) * size;
    lanes product = {0};
    for (int c = 0; c < chunks; c++)
      product += query[c] * load(a->keys, cell + c * LANES, size - c * LANES, bf16);
    scores[step] = total(product);
    most = scores[step] > most ? scores[step] : most;
  }
  lanes mass = {0};
  for (int64_t at = 0; at < num; at += LANES) {
    lanes share = exponential(load(scores, at, num - at, 0) - most);
    store(scores, at, num - at, 0, share);
    mass += load(scores, at, num - at, 0); /* zeros behind the end */
  }
  for (int64_t step = 0; step < num; step++) {
    int64_t cell = base + cell_of(a, row, step) * size;
    for (int c = 0; c < chunks; c++)
      sum[c] += scores[step] * load(a->values, cell + c * LANES, size - c * LANES, bf16);
  }
  float inverse = 1.0f / total(mass);
  int64_t to = (row * a->num_heads + head) * size;
  for (int c = 0; c < chunks; c++)
    store(a->out, to + c * LANES, size - c * LANES, bf16, sum[c] * inverse);
}

static void attend_any(const attention *a, int64_t row, int64_t head, float *scores) {
  int chunks = (int)((a->head_dim + LANES - 1) / LANES);
  if (a->head_dim == 64 && a->bf16) attend_head(a, row, head, scores, 4, 1);
  else if (a->head_dim == 64) attend_head(a, row, head, scores, 4, 0);
  else if (a->head_dim == 128 && a->bf16) attend_head(a, row, head, scores, 8, 1);
  else if (a->head_dim == 128) attend_head(a, row, head, scores, 8, 0);
  else if (a->bf16) attend_head(a, row, head, scores, chunks, 1);
  else attend_head(a, row, head, scores, chunks, 0);
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
  int threads = work > 65536 ? a->threads : 1, failed = 0;
#pragma omp parallel num_threads(threads) reduction(| : failed)
  {
    float *scores = malloc((longest + LANES) * sizeof(float));
    failed = scores == NULL;
#pragma omp for schedule(static) collapse(2)
    for (int64_t row = 0; row < a->num_rows; row++)
      for (int64_t head = 0; head < a->num_kv_heads; head++) {
        if (a->bf16) write_row(a, row, head, 1);
        else write_row(a, row, head, 0);
      }
#pragma omp for schedule(dynamic, 4) collapse(2)
    for (int64_t row = 0; row < a->num_rows; row++)
      for (int64_t head = 0; head < a->num_heads; head++)
        if (!failed) attend_any(a, row, head, scores);
    free(scores);
  }
  return failed;
}

/* ---- products with quantised weights: GGUF's blocks of 32, as they lie in the file ---- */

#define BLOCK 32
#define OUTPUTS 16 /* output numbers that a thread takes at a time */

typedef struct {
  _Float16 scale;
  int8_t values[BLOCK]; /* w = scale * value */
} block8;               /* Q8_0 */

typedef struct {
  _Float16 scale, least;
  uint8_t pairs[BLOCK / 2]; /* w = scale * nibble + least; low nibbles come first */
} block4;                   /* Q4_1 */

typedef int8_t bytes __attribute__((vector_size(16)));
typedef int16_t shorts __attribute__((vector_size(32)));
typedef uint8_t ubytes __attribute__((vector_size(16)));

/* in small steps: compilers do a conversion of bytes to floats at once number by number */
INLINE lanes floats_of(const int8_t *from) {
  bytes values;
  memcpy(&values, from, sizeof values);
#ifdef __AVX512F__
  return (lanes)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32((__m128i)values));
#endif
  shorts wide = __builtin_convertvector(values, shorts);
  return __builtin_convertvector(__builtin_convertvector(wide, counts), lanes);
}

INLINE words words_of(const uint8_t *from) {
  ubytes values;
  memcpy(&values, from, sizeof values);
#ifdef __AVX512F__
  return (words)_mm512_cvtepu8_epi32((__m128i)values);
#endif
  return __builtin_convertvector(__builtin_convertvector(values, halves), words);
}

INLINE void weights_of(const char *row, int64_t group, int bits, lanes out[2]) {
  if (bits == 8) {
    const block8 *block = (const block8 *)row + group;
    float scale = (float)block->scale;
    for (int i = 0; i < 2; i++) out[i] = floats_of(block->values + LANES * i) * scale;
  } else {
    const block4 *block = (const block4 *)row + group;
    float scale = (float)block->scale, least = (float)block->least;
    const lanes steps = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    lanes grid = steps * scale + least; /* the block's sixteen numbers; a nibble picks one */
    words pairs = words_of(block->pairs);
    out[0] = __builtin_shuffle(grid, (counts)pairs); /* the index is taken modulo 16 */
    out[1] = __builtin_shuffle(grid, (counts)(pairs >> 4));
  }
}

/* one output of `num` rows (a constant): the order of sums does not depend on `num` */
INLINE void outputs_of(const float *x, const char *row, float *out, int64_t size, int num,
                       int bits) {
  lanes sum[num][2];
  for (int r = 0; r < num; r++) sum[r][0] = sum[r][1] = (lanes){0};
  for (int64_t group = 0; group < size / BLOCK; group++) {
    lanes w[2];
    weights_of(row, group, bits, w);
    for (int r = 0; r < num; r++)
      for (int i = 0; i < 2; i++)
        sum[r][i] += w[i] * load(x, r * size + group * BLOCK + i * LANES, LANES, 0);
  }
  for (int r = 0; r < num; r++) out[r] = total(sum[r][0] + sum[r][1]);
}

static void outputs_any(const float *x, const char *row, float *out, int64_t size, int num,
                        int bits) {
  if (bits == 8) {
    if (num == 8) outputs_of(x, row, out, size, 8, 8);
    else if (num == 4) outputs_of(x, row, out, size, 4, 8);
    else if (num == 2) outputs_of(x, row, out, size, 2, 8);
    else outputs_of(x, row, out, size, 1, 8);
  } else {
    if (num == 8) outputs_of(x, row, out, size, 8, 4);
    else if (num == 4) outputs_of(x, row, out, size, 4, 4);
    else if (num == 2) outputs_of(x, row, out, size, 2, 4);
    else outputs_of(x, row, out, size, 1, 4);
  }
}

typedef struct {
  const float *rows; /* [num_rows, size] */
  const char *weight;  /* [num_outputs, size / 32] blocks */
  const float *bias;   /* or null */
  void *out;           /* [num_rows, num_outputs] */
  int64_t num_rows, size, num_outputs;
  int32_t bits, bf16, threads;
} quantised;

void burnish_quantised(const quantised *q) {
  int64_t width = q->bits == 8 ? sizeof(block8) : sizeof(block4);
  int64_t row_bytes = q->size / BLOCK * width;
#pragma omp parallel for schedule(static) num_threads(q->threads)
  for (int64_t first = 0; first < q->num_outputs; first += OUTPUTS) {
    int64_t end = first + OUTPUTS < q->num_outputs ? first + OUTPUTS : q->num_outputs;
    for (int64_t row = 0; row < q->num_rows;) {
      int64_t left = q->num_rows - row;
      int num = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
      float out[8][OUTPUTS], part[8];
      for (int64_t o = first; o < end; o++) {
        outputs_any(q->rows + row * q->size, q->weight + o * row_bytes, part, q->size, num,
                    q->bits);
        for (int r = 0; r < num; r++) out[r][o - first] = part[r] + (q->bias ? q->bias[o] : 0.0f);
      }
      for (int r = 0; r < num; r++)
        store(q->out, (row + r) * q->num_outputs + first, end - first, q->bf16,
              load(out[r], 0, end - first, 0));
      row += num;
    }
  }
}
