#include "calls.h"
#include "lanes.h"

/* ---- all that a decoder's layers do to the rows of a pass, without a way back between kernels ----

   The same kernels in the same order as one by one, so with the same bits. */

typedef struct {
  const void *norm, *query_norm, *key_norm, *mlp_norm; /* query and key norm may be null */
  product joined, out, gates, down;                    /* weight, bias and sizes; the rest is ours */
} layer;

typedef struct {
  void *rows; /* [num_rows, size]: the stream, before and after */
  const layer *layers;
  const attention *attends; /* all but query, key, value, cells and out; */
  const int32_t *which;     /* each layer's is attends[which[layer]] */
  char *cells;              /* of the first layer: keys, and `values` bytes further values */
  int64_t cells_bytes, values_bytes; /* from a layer to the next, from keys to values */
  int64_t num_layers, num_rows, size, num_gates;
  float eps;
  int32_t bf16, threads;
} layers;

typedef struct {
  char *normed, *joined, *attended, *more, *gates, *gated;
} buffers;

static int multiply(const layers *p, product weight, const char *rows, char *out) {
  weight.rows = rows;
  weight.out = out;
  weight.num_rows = p->num_rows;
  weight.bf16 = p->bf16;
  weight.threads = p->threads;
  return burnish_product(&weight);
}

static void norm_heads(const layers *p, const void *weight, char *first, int64_t num_heads,
                       int64_t head_dim, int64_t stride_bytes) {
  int64_t width = head_dim * (p->bf16 ? 2 : 4);
  for (int64_t row = 0; weight && row < p->num_rows; row++) {
    char *heads = first + row * stride_bytes;
    burnish_rms_norm(heads, weight, heads, num_heads, head_dim, width, p->eps, p->bf16, p->threads);
  }
}

static int one_layer(const layers *p, int64_t at, buffers *b) {
  const layer *l = p->layers + at;
  int64_t width = p->bf16 ? 2 : 4, stride = l->joined.num_outputs;
  burnish_rms_norm(p->rows, l->norm, b->normed, p->num_rows, p->size, p->size * width, p->eps,
                   p->bf16, p->threads);
  int failed = multiply(p, l->joined, b->normed, b->joined);
  attention a = p->attends[p->which[at]];
  char *keys = b->joined + a.num_heads * a.head_dim * width;
  norm_heads(p, l->query_norm, b->joined, a.num_heads, a.head_dim, stride * width);
  norm_heads(p, l->key_norm, keys, a.num_kv_heads, a.head_dim, stride * width);
  a.num_rows = p->num_rows;
  a.query_stride = a.key_stride = a.value_stride = stride;
  a.query = b->joined;
  a.key = keys;
  a.value = keys + a.num_kv_heads * a.head_dim * width;
  a.keys = p->cells + at * p->cells_bytes;
  a.values = (char *)a.keys + p->values_bytes;
  a.out = b->attended;
  failed |= burnish_attend(&a);
  failed |= multiply(p, l->out, b->attended, b->more);
  burnish_add_rms_norm(p->rows, b->more, l->mlp_norm, p->rows, b->normed, p->num_rows, p->size,
                       p->eps, p->bf16, p->threads);
  failed |= multiply(p, l->gates, b->normed, b->gates);
  burnish_silu_mul(b->gates, b->gated, p->num_rows, p->num_gates, p->bf16, p->threads);
  failed |= multiply(p, l->down, b->gated, b->more);
  burnish_add(p->rows, b->more, p->num_rows, p->size, p->bf16, p->threads);
  return failed;
}

/* Returns 0; 1 where there was no memory, the rows then worthless. */
int burnish_layers(const layers *p) {
  const layer *l = p->layers;
  if (!p->num_layers || !p->num_rows) return 0;
  int64_t widths[] = {p->size, l->joined.num_outputs, l->out.size, p->size, 2 * p->num_gates,
                      p->num_gates};
  int64_t num = 0, scale = p->num_rows * (p->bf16 ? 2 : 4);
  for (int i = 0; i < 6; i++) num += (widths[i] * scale + 63) / 64 * 64;
  char *room = aligned_alloc(64, num), *at = room;
  if (!room) return 1;
  char *parts[6];
  for (int i = 0; i < 6; i++) {
    parts[i] = at;
    at += (widths[i] * scale + 63) / 64 * 64;
  }
  buffers b = {parts[0], parts[1], parts[2], parts[3], parts[4], parts[5]};
  int failed = 0;
  for (int64_t i = 0; i < p->num_layers && !failed; i++) failed = one_layer(p, i, &b);
  free(room);
  return failed;
}
