/* Decoding, and MaxSim of all tokens of a passage: Codec.decode, and best_passages.py, _scores. */

#include "kernel.h"

/* Spread the bits of a byte, so that behind each `bits` of them there is room for as many. */
INLINE uint16_t spread(uint16_t byte, int64_t bits)
{
    byte = (byte | byte << 4) & 0x0f0f;
    if (bits <= 2)
        byte = (byte | byte << 2) & 0x3333;
    if (bits == 1)
        byte = (byte | byte << 1) & 0x5555;
    return byte;
}

/* Join the layers of a token's residuals, (places / 2) each, to (places): layers.py, join. */
INLINE void join_layers(uint8_t *restrict joined, const uint8_t *restrict first, const uint8_t *restrict second,
                        int64_t places, int64_t bits)
{
    for (int64_t place = 0; place < places; place += 2) {
        uint16_t both = (uint16_t)(spread(first[place / 2], bits) << bits | spread(second[place / 2], bits));
        joined[place] = both >> 8;
        joined[place + 1] = both & 255;
    }
}

/* Decode a vector: its centroid and the residuals of its bytes. Gives 1 / its length. */
INLINE float decode(float *restrict vector, const float *restrict centroid, const uint8_t *restrict bytes,
                    const float *restrict table, int64_t dim, int64_t each)
{
    for (int64_t place = 0; place < dim / each; place++) {
        const float *residual = table + (place * 256 + bytes[place]) * each;
        for (int64_t one = 0; one < each; one++)
            vector[place * each + one] = centroid[place * each + one] + residual[one];
    }
    float lanes[LANES] = {0}, square = 0;
    int64_t whole = dim / LANES * LANES;
    for (int64_t d = 0; d < whole; d += LANES)
        for (int lane = 0; lane < LANES; lane++)
            lanes[lane] += vector[d + lane] * vector[d + lane];
    for (int64_t d = whole; d < dim; d++)
        square += vector[d] * vector[d];
    for (int lane = 0; lane < LANES; lane++)
        square += lanes[lane];
    float length = sqrtf(square);
    return 1 / (length > 1e-12f ? length : 1e-12f);
}

/* ---- all tokens of a passage, decoded ---- */

typedef struct {
    float *blocks;  /* the query, laid out */
    float *best;    /* the best match of each query token in the passage at hand, (lanes) */
    float *vectors; /* tokens of the passage that wait to be compared, (TOGETHER, dim) */
    float *scales;  /* what their products are multiplied by, (TOGETHER) */
    uint8_t *joined; /* the layers of one token's residuals, at most (dim) */
    int64_t tokens, lanes, dim, waiting;
} Scorer;

static int open_scorer(Scorer *scorer, const float *query, int64_t tokens, int64_t dim)
{
    int64_t lanes = (tokens + LANES - 1) / LANES * LANES;
    *scorer = (Scorer){lay_out(query, tokens, dim), malloc((size_t)lanes * sizeof(float)),
                       calloc((size_t)(TOGETHER * dim), sizeof(float)), malloc(TOGETHER * sizeof(float)),
                       malloc((size_t)dim), tokens, lanes, dim, 0};
    return scorer->blocks && scorer->best && scorer->vectors && scorer->scales && scorer->joined;
}

static void close_scorer(Scorer *scorer)
{
    free(scorer->blocks), free(scorer->best), free(scorer->vectors), free(scorer->scales), free(scorer->joined);
}

INLINE void begin_passage(Scorer *scorer)
{
    for (int64_t lane = 0; lane < scorer->lanes; lane++)
        scorer->best[lane] = -INFINITY;
}

/* Compare the waiting tokens with the whole query. */
INLINE void compare_waiting(Scorer *scorer)
{
    for (int64_t first = 0; first < scorer->lanes; first += LANES) {
        float found[TOGETHER][LANES];
        compare(scorer->blocks + first * scorer->dim, scorer->vectors, scorer->dim, found);
        float *best = scorer->best + first;
        for (int64_t one = 0; one < scorer->waiting; one++)
            for (int lane = 0; lane < LANES; lane++) {
                float match = found[one][lane] * scorer->scales[one];
                best[lane] = match > best[lane] ? match : best[lane];
            }
    }
    scorer->waiting = 0;
}

/* Let a token, whose vector was put behind those that wait, wait too. */
INLINE void add_token(Scorer *scorer, float scale)
{
    scorer->scales[scorer->waiting] = scale;
    if (++scorer->waiting == TOGETHER)
        compare_waiting(scorer);
}

/* Sum up the best matches; -inf if the passage had no token. */
INLINE float end_passage(Scorer *scorer)
{
    if (scorer->waiting)
        compare_waiting(scorer);
    float sum = 0;
    for (int64_t token = 0; token < scorer->tokens; token++)
        sum += scorer->best[token];
    return sum;
}

/* Find the residuals of a token, (dim / each), whose layers may have to be joined first. */
INLINE const uint8_t *residuals_of(const Scorer *scorer, const Coded *coded, int64_t each, int64_t token)
{
    int64_t places = scorer->dim / each, half = places / 2;
    if (!coded->rest)
        return coded->residuals + token * places;
    join_layers(scorer->joined, coded->residuals + token * half, coded->rest + token * half, places, 4 / each);
    return scorer->joined;
}

INLINE int score_each(Scorer *scorer, const Coded *coded, int64_t each, const Passages *passages, const uint8_t *near)
{
    int64_t dim = scorer->dim;
    for (int64_t passage = 0; passage < passages->count; passage++) {
        begin_passage(scorer);
        int64_t start = passages->starts[passage], stop = start + passages->lengths[passage];
        for (int64_t token = start; token < stop; token++) {
            int64_t code = code_of(coded, token);
            if (code >= coded->centroid_count)
                return BAD_CODE;
            if (near && !near[code])
                continue;
            float scale = decode(scorer->vectors + scorer->waiting * dim, coded->centroids + code * dim,
                                 residuals_of(scorer, coded, each, token), coded->table, dim, each);
            add_token(scorer, near ? 1 : scale);
        }
        passages->scores[passage] = end_passage(scorer);
    }
    return OK;
}

/* Score passages by MaxSim; the loop once for each number of dimensions in a byte, so that the compiler knows it. */
static int score_decoded(const float *query, int64_t query_tokens, int64_t dim, const Coded *coded,
                         const Passages *passages, const uint8_t *near)
{
    Scorer scorer;
    int status = NO_MEMORY;
    if (open_scorer(&scorer, query, query_tokens, dim))
        status = coded->each == 1   ? score_each(&scorer, coded, 1, passages, near)
                 : coded->each == 2 ? score_each(&scorer, coded, 2, passages, near)
                 : coded->each == 4 ? score_each(&scorer, coded, 4, passages, near)
                                    : score_each(&scorer, coded, 8, passages, near);
    close_scorer(&scorer);
    return status;
}

/* Codec.decode: vectors, (tokens, dim), of codes, (tokens) uint32, and residuals, (tokens, dim / each). */
FUNCTION(fgr_decode)(const float *centroids, int64_t centroid_count, int64_t dim, const float *table, int64_t each,
                     const uint32_t *codes, const uint8_t *residuals, int64_t tokens, int64_t normalised,
                     float *vectors)
{
    for (int64_t token = 0; token < tokens; token++) {
        if (codes[token] >= centroid_count)
            return BAD_CODE;
        float *vector = vectors + token * dim, scale;
        scale = decode(vector, centroids + codes[token] * dim, residuals + token * (dim / each), table, dim, each);
        for (int64_t d = 0; normalised && d < dim; d++)
            vector[d] *= scale;
    }
    return OK;
}

/* Score passages by MaxSim of the vectors that a codec decodes.
 *
 * query (query_tokens, dim); starts and lengths (count): the passages' tokens among `tokens`. With near, (centroids)
 * bool, only tokens of these centroids count, and vectors are not normalised; it may be NULL. With rest, residuals are
 * kept in two layers, (tokens, dim / each / 2) both; it may be NULL. scores (count): -inf for a passage without a token
 * that counts.
 */
FUNCTION(fgr_maxsim)(const float *query, int64_t query_tokens, int64_t dim, const float *centroids,
                     int64_t centroid_count, const float *table, int64_t each, const void *codes, int64_t code_bytes,
                     const uint8_t *residuals, int64_t tokens, const int64_t *starts, const int64_t *lengths,
                     int64_t count, const uint8_t *near, const uint8_t *rest, float *scores)
{
    Coded coded = {centroids, centroid_count, table, each, codes, code_bytes, residuals, rest};
    Passages passages = {starts, lengths, count, scores};
    if (!in_range(&passages, tokens))
        return BAD_RANGE;
    return score_decoded(query, query_tokens, dim, &coded, &passages, near);
}

/* Convert float16 (IEEE 754 binary16) by its bits, exactly; compilers turn this into vector code. */
INLINE float from_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7fff;
    union {
        uint32_t bits;
        float value;
    } number = {rest << 13}, scale = {0x77800000}; /* 2^112, by which the exponents' biases differ */
    number.value *= scale.value;
    number.bits |= (rest >= 0x7c00 ? 0x7f800000 : 0) | sign; /* infinity and not a number stay so */
    return number.value;
}

/* Score passages by MaxSim of vectors that are kept as float16, (tokens, dim); see fgr_maxsim. */
FUNCTION(fgr_maxsim16)(const float *query, int64_t query_tokens, int64_t dim, const uint16_t *vectors, int64_t tokens,
                       const int64_t *starts, const int64_t *lengths, int64_t count, float *scores)
{
    Passages passages = {starts, lengths, count, scores};
    if (!in_range(&passages, tokens))
        return BAD_RANGE;
    Scorer scorer;
    int fits = open_scorer(&scorer, query, query_tokens, dim);
    for (int64_t passage = 0; fits && passage < count; passage++) {
        begin_passage(&scorer);
        for (int64_t token = starts[passage]; token < starts[passage] + lengths[passage]; token++) {
            float *vector = scorer.vectors + scorer.waiting * dim;
            for (int64_t d = 0; d < dim; d++)
                vector[d] = from_half(vectors[token * dim + d]);
            add_token(&scorer, 1);
        }
        scores[passage] = end_passage(&scorer);
    }
    close_scorer(&scorer);
    return fits ? OK : NO_MEMORY;
}
