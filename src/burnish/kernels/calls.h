#pragma once

/* What one kernel needs to call another: see each file for what a function does. */

#include <stdint.h>

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

typedef struct {
  const void *rows;   /* [num_rows, size] */
  const char *weight; /* tiles */
  const float *bias;  /* [num_outputs], or null */
  void *out;          /* [num_rows, num_outputs] */
  int64_t num_rows, size, num_outputs;
  int32_t bits, bf16, threads; /* bits of a weight; whether rows and out are bf16 or fp32 */
} product;

void burnish_rms_norm(const char *in, const void *weight, char *out, int64_t num_rows,
                      int64_t size, int64_t stride_bytes, float eps, int bf16, int threads);
void burnish_add_rms_norm(const char *rows, const char *more, const void *weight, char *sum,
                          char *out, int64_t num_rows, int64_t size, float eps, int bf16,
                          int threads);
void burnish_add(char *rows, const char *more, int64_t num_rows, int64_t size, int bf16,
                 int threads);
void burnish_silu_mul(const char *in, char *out, int64_t num_rows, int64_t size, int bf16,
                      int threads);
int burnish_attend(const attention *a);
int burnish_product(const product *p);
