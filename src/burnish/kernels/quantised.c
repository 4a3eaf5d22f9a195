#include "lanes.h"

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

#define PARTS (LANES / WIDE)
#define MOST_ROWS (WIDE == 16 ? 8 : 2) /* whose sums stay in registers */

typedef int8_t bytes __attribute__((vector_size(WIDE)));
typedef int16_t shorts __attribute__((vector_size(2 * WIDE)));
typedef uint8_t ubytes __attribute__((vector_size(WIDE)));

/* in small steps: compilers do a conversion of bytes to floats at once number by number */
INLINE wide floats_of(const int8_t *from) {
#if defined(__AVX512F__)
  return (wide)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)from)));
#elif defined(__AVX2__)
  return (wide)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)from)));
#else
  bytes values;
  memcpy(&values, from, sizeof values);
  shorts some = __builtin_convertvector(values, shorts);
  return __builtin_convertvector(__builtin_convertvector(some, wide_counts), wide);
#endif
}

INLINE wide_words words_of(const uint8_t *from) {
#if defined(__AVX512F__)
  return (wide_words)_mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)from));
#elif defined(__AVX2__)
  return (wide_words)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)from));
#else
  ubytes values;
  memcpy(&values, from, sizeof values);
  return __builtin_convertvector(__builtin_convertvector(values, wide_halves), wide_words);
#endif
}

INLINE void weights_of(const char *row, int64_t group, int bits, wide out[2 * PARTS]) {
  if (bits == 8) {
    const block8 *block = (const block8 *)row + group;
    float scale = (float)block->scale;
    for (int i = 0; i < 2 * PARTS; i++) out[i] = floats_of(block->values + WIDE * i) * scale;
  } else {
    const block4 *block = (const block4 *)row + group;
    float scale = (float)block->scale, least = (float)block->least;
    for (int i = 0; i < PARTS; i++) {
      wide_words pairs = words_of(block->pairs + WIDE * i);
#if WIDE == 16
      const wide steps = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
      wide grid = steps * scale + least; /* the block's sixteen numbers; a nibble picks one */
      out[i] = __builtin_shuffle(grid, (wide_counts)pairs); /* the index is taken modulo 16 */
      out[PARTS + i] = __builtin_shuffle(grid, (wide_counts)(pairs >> 4));
#else
      out[i] = __builtin_convertvector((wide_counts)(pairs & 15), wide) * scale + least;
      out[PARTS + i] = __builtin_convertvector((wide_counts)(pairs >> 4), wide) * scale + least;
#endif
    }
  }
}

/* one output of `num` rows (a constant): the order of sums does not depend on `num` */
INLINE void outputs_of(const float *x, const char *row, float *out, int64_t size, int num,
                       int bits) {
  wide sum[num][2 * PARTS];
  for (int r = 0; r < num; r++)
    for (int i = 0; i < 2 * PARTS; i++) sum[r][i] = (wide){0};
  for (int64_t group = 0; group < size / BLOCK; group++) {
    wide w[2 * PARTS];
    weights_of(row, group, bits, w);
    for (int r = 0; r < num; r++)
      for (int i = 0; i < 2 * PARTS; i++)
        sum[r][i] += w[i] * load_wide(x, r * size + group * BLOCK + i * WIDE);
  }
  for (int r = 0; r < num; r++) {
    lanes both;
    for (int i = 0; i < PARTS; i++) sum[r][i] += sum[r][PARTS + i];
    memcpy(&both, sum[r], sizeof both);
    out[r] = total(both);
  }
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
      if (num > MOST_ROWS) num = MOST_ROWS;
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
