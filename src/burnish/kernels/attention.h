#pragma once

#include "calls.h"
#include "lanes.h"

#define HEADS 4 /* query heads of a group that look at their keys together, */
#define ROWS 8  /* and rows that do, at most */

/* halves layout, as in Hugging Face weights */
INLINE void rotate(const void *head, float *out, int64_t size, const float *cosine,
                   const float *sine, int bf16) {
  int64_t half = size / 2;
  for (int64_t at = 0; at < half; at += LANES) {
    int64_t left = half - at;
    lanes x = load(head, at, left, bf16), y = load(head, half + at, left, bf16);
    store(out, at, left, 0, x * load(cosine, at, left, 0) - y * load(sine, at, left, 0));
    store(out, half + at, left, 0,
          y * load(cosine, half + at, left, 0) + x * load(sine, half + at, left, 0));
  }
}

/* What one thread works with: `num` = rows times heads of a tile. */
typedef struct {
  float *block;   /* [LANES, chunks * LANES]: keys or values, as fp32 */
  float *queries; /* [num, chunks * LANES]: turned and scaled */
  float *sums;    /* [num, chunks * LANES] */
  float *scores;  /* [num, room] */
  int64_t room;
} scratch;

/* Scores become shares, not yet divided by their sum, whose inverse is returned. */
INLINE float share(float *scores, int64_t length) {
  wide high = (wide){0} - INFINITY, mass[LANES / WIDE] = {{0}};
  float most = -INFINITY;
  int64_t at = 0;
  for (; at + WIDE <= length; at += WIDE) {
    wide some = load_wide(scores, at);
    high = choose_wide(some > high, some, high);
  }
  for (int i = 0; i < WIDE; i++) most = high[i] > most ? high[i] : most;
  for (; at < length; at++) most = scores[at] > most ? scores[at] : most;
  for (at = 0; at + LANES <= length; at += LANES)
    for (int i = 0; i < LANES / WIDE; i++) {
      wide some = exponential_wide(load_wide(scores, at + i * WIDE) - most);
      memcpy(scores + at + i * WIDE, &some, sizeof some);
      mass[i] += some;
    }
  lanes both;
  memcpy(&both, mass, sizeof both);
  if (at < length) {
    store(scores, at, length - at, 0, exponential(load(scores, at, length - at, 0) - most));
    both += load(scores, at, length - at, 0); /* zeros behind the end */
  }
  return 1.0f / total(both);
}

/* One tile where keys and values are bf16 and the processor multiplies pairs; 0 elsewhere. */
int burnish_attend_pairs(const attention *a, int64_t row, int64_t num_rows, int64_t head,
                         int64_t num_heads, scratch *s);
