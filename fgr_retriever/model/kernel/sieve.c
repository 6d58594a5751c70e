/* MaxSim over those tokens of a passage that are near the query, not decoded: best_passages.py, _scores with near. */

#include "kernel.h"

/* A product with a decoded vector is one with its centroid and one with its residual; the latter is a sum over halves
 * of bytes, each with one of 16 values. All of these are worked out before, for one block of a query. */
typedef struct {
    float *centroids; /* (centroid_count, LANES), filled where a centroid is near */
    float *halves;    /* (2 * places, 16, LANES) */
    int64_t places;   /* bytes of a residual */
} Products;

static void multiply_centroids(const Products *products, const Coded *coded, const float *block, int64_t dim,
                               const uint8_t *near)
{
    for (int64_t code = 0; code < coded->centroid_count; code++) {
        if (!near[code])
            continue;
        Part sums[PARTS] = {{0}};
        for (int64_t d = 0; d < dim; d++)
            for (int part = 0; part < PARTS; part++)
                sums[part] += coded->centroids[code * dim + d] * ((const Part *)(block + d * LANES))[part];
        memcpy(products->centroids + code * LANES, sums, sizeof sums);
    }
}

static void multiply_halves(const Products *products, const Coded *coded, const float *block)
{
    int64_t few = coded->each / 2; /* dimensions of half a byte; the first ones are in the higher half */
    for (int64_t half = 0; half < 2 * products->places; half++)
        for (int64_t value = 0; value < 16; value++) {
            int64_t byte = half % 2 ? value : value << 4;
            const float *residual = coded->table + (half / 2 * 256 + byte) * coded->each + half % 2 * few;
            float *product = products->halves + (half * 16 + value) * LANES;
            memset(product, 0, LANES * sizeof *product);
            for (int64_t one = 0; one < few; one++)
                for (int lane = 0; lane < LANES; lane++)
                    product[lane] += residual[one] * block[(half * few + one) * LANES + lane];
        }
}

/* Add up the products of one token. */
INLINE void add_up(const Products *products, int64_t code, const uint8_t *bytes, float found[LANES])
{
    Part high[PARTS], low[PARTS] = {{0}}; /* two sums, of which neither waits for the other */
    memcpy(high, products->centroids + code * LANES, sizeof high);
    for (int64_t place = 0; place < products->places; place++) {
        const Part *first = (const Part *)(products->halves + (place * 32 + (bytes[place] >> 4)) * LANES);
        const Part *second = (const Part *)(products->halves + (place * 32 + 16 + (bytes[place] & 15)) * LANES);
#pragma GCC unroll 4
        for (int part = 0; part < PARTS; part++) {
            high[part] += first[part];
            low[part] += second[part];
        }
    }
#pragma GCC unroll 4
    for (int part = 0; part < PARTS; part++)
        high[part] += low[part];
    memcpy(found, high, sizeof high);
}

enum { AHEAD = 64 }; /* tokens that are fetched from memory before they are added up */

/* Add to the score of each passage what the first `lanes` query tokens of a block match best. */
static int sieve_block(const Products *products, const Coded *coded, int64_t lanes, const Passages *passages,
                       const uint8_t *near)
{
    for (int64_t passage = 0; passage < passages->count; passage++) {
        float best[LANES], found[LANES];
        for (int lane = 0; lane < LANES; lane++)
            best[lane] = -INFINITY;
        int64_t stop = passages->starts[passage] + passages->lengths[passage];
        for (int64_t start = passages->starts[passage]; start < stop; start += AHEAD) {
            int64_t chosen[AHEAD], count = 0;
            for (int64_t token = start; token < stop && token < start + AHEAD; token++) {
                int64_t code = code_of(coded, token);
                if (code >= coded->centroid_count)
                    return BAD_CODE;
                chosen[count] = token;
                __builtin_prefetch(coded->residuals + token * products->places);
                count += near[code];
            }
            for (int64_t one = 0; one < count; one++) {
                int64_t token = chosen[one];
                add_up(products, code_of(coded, token), coded->residuals + token * products->places, found);
                for (int lane = 0; lane < LANES; lane++)
                    best[lane] = found[lane] > best[lane] ? found[lane] : best[lane];
            }
        }
        for (int64_t lane = 0; lane < lanes; lane++)
            passages->scores[passage] += best[lane];
    }
    return OK;
}

/* Score passages like fgr_maxsim with near, for at most 4 bits a dimension, without decoding. */
FUNCTION(fgr_sieve)(const float *query, int64_t query_tokens, int64_t dim, const float *centroids,
                    int64_t centroid_count, const float *table, int64_t each, const void *codes, int64_t code_bytes,
                    const uint8_t *residuals, int64_t tokens, const int64_t *starts, const int64_t *lengths,
                    int64_t count, const uint8_t *near, float *scores)
{
    Coded coded = {centroids, centroid_count, table, each, codes, code_bytes, residuals, NULL};
    Passages passages = {starts, lengths, count, scores};
    if (!in_range(&passages, tokens))
        return BAD_RANGE;
    int64_t places = dim / each;
    float *blocks = lay_out(query, query_tokens, dim);
    Products products = {aligned_alloc(LINE, (size_t)(centroid_count * LANES) * sizeof(float)),
                         aligned_alloc(LINE, (size_t)(2 * places * 16 * LANES) * sizeof(float)), places};
    int status = blocks && products.centroids && products.halves ? OK : NO_MEMORY;
    memset(scores, 0, (size_t)count * sizeof *scores);
    for (int64_t first = 0; !status && first < query_tokens; first += LANES) {
        multiply_centroids(&products, &coded, blocks + first * dim, dim, near);
        multiply_halves(&products, &coded, blocks + first * dim);
        int64_t lanes = query_tokens - first < LANES ? query_tokens - first : LANES;
        status = sieve_block(&products, &coded, lanes, &passages, near);
    }
    free(blocks), free(products.centroids), free(products.halves);
    return status;
}
