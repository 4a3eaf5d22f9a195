#include "calls.h"
#include "lanes.h"

/* ---- root mean square norm ---- */

/* Where rows are fp32, all but their end is worked on in registers; the bits are the same. */
INLINE int64_t whole_of(int64_t size, int bf16) { return bf16 ? 0 : size - size % LANES; }

INLINE void norm_row(const char *in, const void *weight, char *out, int64_t size, float eps,
                     int bf16) {
  wide part[LANES / WIDE] = {{0}};
  lanes squares;
  int64_t whole = whole_of(size, bf16);
  for (int64_t at = 0; at < whole; at += LANES)
    for (int i = 0; i < LANES / WIDE; i++) {
      wide x = load_wide((const float *)in, at + i * WIDE);
      part[i] += x * x;
    }
  memcpy(&squares, part, sizeof squares);
  for (int64_t at = whole; at < size; at += LANES) {
    lanes x = load(in, at, size - at, bf16);
    squares += x * x;
  }
  float scale = 1.0f / sqrtf(total(squares) / (float)size + eps);
  for (int64_t at = 0; at < whole; at += WIDE) {
    wide x = load_wide((const float *)in, at), w = load_wide(weight, at), done = x * scale * w;
    memcpy((float *)out + at, &done, sizeof done);
  }
  for (int64_t at = whole; at < size; at += LANES) {
    lanes x = load(in, at, size - at, bf16), w = load(weight, at, size - at, bf16);
    store(out, at, size - at, bf16, x * scale * w);
  }
}

void burnish_rms_norm(const char *in, const void *weight, char *out, int64_t num_rows,
                      int64_t size, int64_t stride_bytes, float eps, int bf16, int threads) {
  int64_t row_bytes = size * (bf16 ? 2 : 4);
#pragma omp parallel for schedule(static) num_threads(threads) if (num_rows * size > ALONE)
  for (int64_t row = 0; row < num_rows; row++) {
    const char *from = in + row * stride_bytes;
    char *to = out + row * row_bytes;
    if (bf16) norm_row(from, weight, to, size, eps, 1);
    else norm_row(from, weight, to, size, eps, 0);
  }
}

/* `sum = rows + more`, rounded, and the norm of that sum: what stands between two sublayers */
INLINE void add_row(const char *rows, const char *more, char *sum, int64_t size, int bf16) {
  for (int64_t at = 0; at < size; at += LANES)
    store(sum, at, size - at, bf16,
          load(rows, at, size - at, bf16) + load(more, at, size - at, bf16));
}

void burnish_add_rms_norm(const char *rows, const char *more, const void *weight, char *sum,
                          char *out, int64_t num_rows, int64_t size, float eps, int bf16,
                          int threads) {
  int64_t row_bytes = size * (bf16 ? 2 : 4);
#pragma omp parallel for schedule(static) num_threads(threads) if (num_rows * size > ALONE)
  for (int64_t row = 0; row < num_rows; row++) {
    int64_t at = row * row_bytes;
    if (bf16) {
      add_row(rows + at, more + at, sum + at, size, 1);
      norm_row(sum + at, weight, out + at, size, eps, 1);
    } else {
      add_row(rows + at, more + at, sum + at, size, 0);
      norm_row(sum + at, weight, out + at, size, eps, 0);
    }
  }
}

/* `rows += more`, rounded */
void burnish_add(char *rows, const char *more, int64_t num_rows, int64_t size, int bf16,
                 int threads) {
#pragma omp parallel for schedule(static) num_threads(threads) if (num_rows * size > ALONE)
  for (int64_t row = 0; row < num_rows; row++) {
    int64_t at = row * size * (bf16 ? 2 : 4);
    if (bf16) add_row(rows + at, more + at, rows + at, size, 1);
    else add_row(rows + at, more + at, rows + at, size, 0);
  }
}

/* ---- the first of the largest numbers of each row ---- */

INLINE int64_t largest_of(const void *row, int64_t size, int bf16) {
  lanes most = (lanes){0} - INFINITY;
  int64_t whole = size - size % LANES;
  for (int64_t at = 0; at < whole; at += LANES) {
    lanes x = load(row, at, LANES, bf16);
    most = choose(x > most, x, most);
  }
  float part[LANES], top = -INFINITY;
  memcpy(part, &most, sizeof part);
  for (int i = 0; i < LANES; i++) top = part[i] > top ? part[i] : top;
  lanes last = load(row, whole, size - whole, bf16);
  memcpy(part, &last, sizeof part);
  for (int i = 0; i < size - whole; i++) top = part[i] > top ? part[i] : top;
  for (int64_t at = 0; at < size; at += LANES) {
    lanes x = load(row, at, size - at, bf16);
    memcpy(part, &x, sizeof part);
    int64_t num = size - at < LANES ? size - at : LANES;
    int found = 0;
    for (int i = 0; i < LANES; i++) found |= part[i] == top;
    for (int i = 0; found && i < num; i++)
      if (part[i] == top) return at + i;
  }
  return 0; /* nothing but NaN */
}

void burnish_largest(const char *rows, int64_t *out, int64_t num_rows, int64_t size, int bf16,
                     int threads) {
#pragma omp parallel for schedule(static) num_threads(threads) if (num_rows > 1)
  for (int64_t row = 0; row < num_rows; row++)
    out[row] = bf16 ? largest_of(rows + 2 * row * size, size, 1)
                    : largest_of(rows + 4 * row * size, size, 0);
}

/* ---- gate: silu(first half of a row) * second half ---- */

INLINE void gate_wide(const float *in, float *out, int64_t size, int64_t whole) {
  for (int64_t at = 0; at < whole; at += WIDE) {
    wide gate = load_wide(in, at), one = (wide){0} + 1.0f;
    wide small = exponential_wide(choose_wide(gate < 0.0f, gate, -gate)); /* e^-|gate| */
    wide sigmoid = choose_wide(gate < 0.0f, small, one) / (one + small);
    wide done = gate * sigmoid * load_wide(in + size, at);
    memcpy(out + at, &done, sizeof done);
  }
}

INLINE void gate_row(const char *in, char *out, int64_t size, int bf16) {
  const char *up = in + size * (bf16 ? 2 : 4);
  int64_t whole = whole_of(size, bf16);
  gate_wide((const float *)in, (float *)out, size, whole);
  for (int64_t at = whole; at < size; at += LANES) {
    lanes gate = load(in, at, size - at, bf16), other = load(up, at, size - at, bf16);
    lanes small = exponential(choose(gate < 0.0f, gate, -gate)); /* e^-|gate| */
    lanes sigmoid = choose(gate < 0.0f, small, (lanes){0} + 1.0f) / (1.0f + small);
    store(out, at, size - at, bf16, gate * sigmoid * other);
  }
}

void burnish_silu_mul(const char *in, char *out, int64_t num_rows, int64_t size, int bf16,
                      int threads) {
  int64_t width = bf16 ? 2 : 4;
#pragma omp parallel for schedule(static) num_threads(threads) if (num_rows * size > ALONE / 4)
  for (int64_t row = 0; row < num_rows; row++) {
    const char *from = in + 2 * row * size * width;
    char *to = out + row * size * width;
    if (bf16) gate_row(from, to, size, 1);
    else gate_row(from, to, size, 0);
  }
}
