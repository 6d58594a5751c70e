/* What the compiled steps of a search share.
 *
 * Each function has a twin in Python, named beside it, that finds the same. A function returns OK or what does not
 * fit. Sizes and numbers that come from files are checked before they are used; the caller checks the others.
 *
 * The vectors of a query are laid out by dimension, LANES query tokens side by side. So one instruction compares one
 * number of a vector with LANES query tokens, nothing is summed across lanes, and the order of all sums is the same
 * on every processor. Each file is compiled once for each LEVEL of processor, with that level's instructions.
 */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Registers are 64 bytes with AVX-512, 32 with AVX2, else 16 (SSE, NEON); as many vectors are compared at once as
 * fill the registers. */
#if defined(__AVX512F__)
enum { LANES = 16, WIDTH = 16, TOGETHER = 8 };
#elif defined(__AVX2__)
enum { LANES = 16, WIDTH = 8, TOGETHER = 4 };
#else
enum { LANES = 16, WIDTH = 4, TOGETHER = 2 };
#endif
enum { PARTS = LANES / WIDTH, LINE = 64 }; /* bytes of a cache line: LANES numbers lie in one */
typedef float Part __attribute__((vector_size(WIDTH * sizeof(float)), aligned(sizeof(float)), may_alias));
typedef int32_t Mask __attribute__((vector_size(WIDTH * sizeof(int32_t)), aligned(sizeof(int32_t)), may_alias));

enum { OK = 0, NO_MEMORY = 1, BAD_CODE = 2, BAD_RANGE = 3, BAD_LIST = 4, BAD_WEIGHTS = 5 };

#define JOINED(name, level) name##_##level
#define NAMED(name, level) JOINED(name, level)
#define FUNCTION(name) __attribute__((visibility("default"))) int NAMED(name, LEVEL)
#define INLINE static inline __attribute__((always_inline))

/* Give the larger one of each two numbers; the second one where there is no number. */
INLINE Part larger(Part one, Part other)
{
    Mask more = (Mask)(one > other);
    return (Part)(((Mask)one & more) | ((Mask)other & ~more));
}

/* Lay out the vectors of a query, (tokens, dim), as (blocks, dim, LANES); lanes without a token are 0. */
INLINE float *lay_out(const float *query, int64_t tokens, int64_t dim)
{
    int64_t blocks = (tokens + LANES - 1) / LANES;
    size_t size = (size_t)(blocks * dim * LANES) * sizeof(float);
    float *found = aligned_alloc(LINE, size);
    if (!found)
        return NULL;
    memset(found, 0, size);
    for (int64_t token = 0; token < tokens; token++)
        for (int64_t d = 0; d < dim; d++)
            found[(token / LANES * dim + d) * LANES + token % LANES] = query[token * dim + d];
    return found;
}

/* Compare TOGETHER vectors, (TOGETHER, dim), with one block of a query: inner products, (TOGETHER, LANES). */
INLINE void compare(const float *restrict block, const float *restrict vectors, int64_t dim,
                    float found[restrict TOGETHER][LANES])
{
    Part sums[TOGETHER][PARTS] = {{{0}}};
    for (int64_t d = 0; d < dim; d++) {
        const Part *lanes = (const Part *)(block + d * LANES);
#pragma GCC unroll 8
        for (int one = 0; one < TOGETHER; one++)
#pragma GCC unroll 4
            for (int part = 0; part < PARTS; part++)
                sums[one][part] += vectors[one * dim + d] * lanes[part];
    }
    memcpy(found, sums, sizeof sums);
}

/* What the residual codec decodes with. */
typedef struct {
    const float *centroids; /* (centroid_count, dim) */
    int64_t centroid_count;
    const float *table; /* the residuals that each byte stands for at each place, (dim / each, 256, each) */
    int64_t each;       /* dimensions in a byte */
} Codec;

/* The tokens of some segments, one segment after the other, where they lie in memory. */
typedef struct {
    const int64_t *bounds; /* first token of each segment, and at last one past all, (count + 1) */
    int64_t count;
    const void *const *codes; /* (tokens of the segment), 16 or 32 bits each; NULL where a segment has none */
    int64_t code_bytes;
    const uint8_t *const *residuals; /* (tokens of the segment, dim / each) */
    const uint8_t *const *rest;      /* NULL, or a second layer: then both have half as many bytes each */
} Segments;

/* The tokens of one passage. */
typedef struct {
    const void *codes;
    const uint8_t *residuals, *rest; /* rest is NULL where there is no second layer */
    int64_t length;
} Coded;

INLINE int64_t code_of(const Coded *coded, int64_t code_bytes, int64_t token)
{
    return code_bytes == 2 ? ((const uint16_t *)coded->codes)[token] : ((const uint32_t *)coded->codes)[token];
}

/* The passages to be scored. */
typedef struct {
    const int64_t *starts, *lengths; /* first token and number of tokens of each, (count), by ascending first token */
    int64_t count;
    float *scores; /* (count) */
} Passages;

/* Find the tokens of a passage, of which each has `places` bytes of residuals, in a segment from `*segment` on. */
INLINE int locate(const Segments *segments, const Passages *passages, int64_t passage, int64_t places,
                  int64_t *segment, Coded *found)
{
    int64_t start = passages->starts[passage], length = passages->lengths[passage];
    if (!segments->count)
        return BAD_RANGE;
    while (*segment + 1 < segments->count && start >= segments->bounds[*segment + 1])
        ++*segment;
    int64_t first = segments->bounds[*segment], size = segments->bounds[*segment + 1] - first;
    if (start < first || length < 0 || length > size || start - first > size - length || !segments->codes[*segment])
        return BAD_RANGE;
    int64_t bytes = segments->rest ? places / 2 : places, token = start - first;
    *found = (Coded){(const uint8_t *)segments->codes[*segment] + token * segments->code_bytes,
                     segments->residuals[*segment] + token * bytes,
                     segments->rest ? segments->rest[*segment] + token * bytes : NULL, length};
    return OK;
}
