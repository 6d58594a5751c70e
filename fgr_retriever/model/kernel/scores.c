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

/* Decode a vector: its centroid and the residuals of its bytes, `each` numbers at once. */
#define DECODE(each)                                                                                                   \
    INLINE void decode_##each(float *restrict vector, const float *restrict centroid, const uint8_t *restrict bytes,   \
                              const float *restrict table, int64_t dim)                                                \
    {                                                                                                                  \
        typedef float Numbers __attribute__((vector_size(each * sizeof(float)), aligned(sizeof(float)), may_alias));   \
        for (int64_t d = 0; d < dim; d += each, table += 256 * each)                                                   \
            *(Numbers *)(vector + d) =                                                                                 \
                *(const Numbers *)(centroid + d) + *(const Numbers *)(table + (int64_t)bytes[d / each] * each);        \
    }
DECODE(1)
DECODE(2)
DECODE(4)
DECODE(8)

INLINE void decode(float *restrict vector, const float *restrict centroid, const uint8_t *restrict bytes,
                   const float *restrict table, int64_t dim, int64_t each)
{
    if (each == 1)
        decode_1(vector, centroid, bytes, table, dim);
    else if (each == 2)
        decode_2(vector, centroid, bytes, table, dim);
    else if (each == 4)
        decode_4(vector, centroid, bytes, table, dim);
    else
        decode_8(vector, centroid, bytes, table, dim);
}

/* Give 1 / the length of a vector. */
INLINE float inverse_length(const float *vector, int64_t dim)
{
    float lanes[LANES] = {0}, square = 0;
    int64_t whole = dim / LANES * LANES;
    for (int64_t d = 0; d < whole; d += LANES)
        for (int lane = 0; lane < LANES; lane++)
            lanes[lane] += vector[d + lane] * vector[d + lane];
    for (int64_t d = whole; d < dim; d++)
        square += vector[d] * vector[d];
    for (int half = LANES / 2; half; half /= 2) /* by halves: one after the other, sums would wait for each other */
        for (int lane = 0; lane < half; lane++)
            lanes[lane] += lanes[lane + half];
    float length = sqrtf(square + lanes[0]);
    return 1 / (length > 1e-12f ? length : 1e-12f);
}

/* ---- all tokens of a passage, decoded ---- */

typedef struct {
    float *blocks;  /* the query, laid out */
    float *best;    /* the best match of each query token in the passage at hand, (lanes) */
    float *vectors; /* tokens of the passage that wait to be compared, (TOGETHER, dim) */
    uint8_t *joined; /* the layers of one token's residuals, at most (dim) */
    int64_t tokens, lanes, dim, waiting;
    int normalised; /* whether the vectors are to have length 1, and do not */
} Scorer;

static int open_scorer(Scorer *scorer, const float *query, int64_t tokens, int64_t dim, int normalised)
{
    int64_t lanes = (tokens + LANES - 1) / LANES * LANES;
    *scorer = (Scorer){lay_out(query, tokens, dim), malloc((size_t)lanes * sizeof(float)),
                       calloc((size_t)(TOGETHER * dim), sizeof(float)), malloc((size_t)dim),
                       tokens, lanes, dim, 0, normalised};
    return scorer->blocks && scorer->best && scorer->vectors && scorer->joined;
}

static void close_scorer(Scorer *scorer)
{
    free(scorer->blocks), free(scorer->best), free(scorer->vectors), free(scorer->joined);
}

INLINE void begin_passage(Scorer *scorer)
{
    for (int64_t lane = 0; lane < scorer->lanes; lane++)
        scorer->best[lane] = -INFINITY;
}

/* Compare the waiting tokens with the whole query. */
INLINE void compare_waiting(Scorer *scorer)
{
    float scales[TOGETHER];
    for (int64_t one = 0; one < scorer->waiting; one++)
        scales[one] = scorer->normalised ? inverse_length(scorer->vectors + one * scorer->dim, scorer->dim) : 1;
    for (int64_t first = 0; first < scorer->lanes; first += LANES) {
        float found[TOGETHER][LANES];
        compare(scorer->blocks + first * scorer->dim, scorer->vectors, scorer->dim, found);
        Part *best = (Part *)(scorer->best + first);
        for (int64_t one = 0; one < scorer->waiting; one++)
#pragma GCC unroll 4
            for (int part = 0; part < PARTS; part++)
                best[part] = larger(((const Part *)found[one])[part] * scales[one], best[part]);
    }
    scorer->waiting = 0;
}

/* Let a token, whose vector was put behind those that wait, wait too. */
INLINE void add_token(Scorer *scorer)
{
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

INLINE int score_passage(Scorer *scorer, const Codec *codec, const Coded *coded, int64_t code_bytes, int64_t each,
                         const uint8_t *near)
{
    int64_t dim = scorer->dim;
    for (int64_t token = 0; token < coded->length; token++) {
        int64_t code = code_of(coded, code_bytes, token);
        if (code >= codec->centroid_count)
            return BAD_CODE;
        if (near && !near[code])
            continue;
        decode(scorer->vectors + scorer->waiting * dim, codec->centroids + code * dim,
               residuals_of(scorer, coded, each, token), codec->table, dim, each);
        add_token(scorer);
    }
    return OK;
}

INLINE int score_each(Scorer *scorer, const Codec *codec, const Segments *segments, int64_t each,
                      const Passages *passages, const uint8_t *near)
{
    int64_t segment = 0;
    for (int64_t passage = 0; passage < passages->count; passage++) {
        Coded coded;
        begin_passage(scorer);
        int status = locate(segments, passages, passage, scorer->dim / each, &segment, &coded);
        if (!status)
            status = score_passage(scorer, codec, &coded, segments->code_bytes, each, near);
        if (status)
            return status;
        passages->scores[passage] = end_passage(scorer);
    }
    return OK;
}

/* Score passages by MaxSim; the loop once for each number of dimensions in a byte, so that the compiler knows it. */
static int score_decoded(const float *query, int64_t query_tokens, int64_t dim, const Codec *codec,
                         const Segments *segments, const Passages *passages, const uint8_t *near)
{
    Scorer scorer;
    int status = NO_MEMORY;
    if (open_scorer(&scorer, query, query_tokens, dim, !near))
        status = codec->each == 1   ? score_each(&scorer, codec, segments, 1, passages, near)
                 : codec->each == 2 ? score_each(&scorer, codec, segments, 2, passages, near)
                 : codec->each == 4 ? score_each(&scorer, codec, segments, 4, passages, near)
                                    : score_each(&scorer, codec, segments, 8, passages, near);
    close_scorer(&scorer);
    return status;
}

/* Codec.decode: vectors, (tokens, dim), of codes, (tokens) uint32, and residuals, (tokens, dim / each). */
FUNCTION(fgr_decode)(const float *centroids, int64_t centroid_count, int64_t dim, const float *table, int64_t each,
                     const uint32_t *codes, const uint8_t *residuals, int64_t tokens, int64_t normalised,
                     float *vectors)
{
    for (int64_t start = 0; start < tokens; start += TOGETHER) {
        int64_t stop = tokens - start < TOGETHER ? tokens : start + TOGETHER;
        for (int64_t token = start; token < stop; token++) {
            if (codes[token] >= centroid_count)
                return BAD_CODE;
            decode(vectors + token * dim, centroids + codes[token] * dim, residuals + token * (dim / each), table, dim,
                   each);
        }
        for (int64_t token = start; normalised && token < stop; token++) {
            float scale = inverse_length(vectors + token * dim, dim);
            for (int64_t d = 0; d < dim; d++)
                vectors[token * dim + d] *= scale;
        }
    }
    return OK;
}

/* Score passages by MaxSim of the vectors that a codec decodes.
 *
 * query (query_tokens, dim); bounds (count + 1), codes, residuals and rest (count): see Segments; starts and lengths
 * (passage_count): see Passages. With near, (centroids) bool, only tokens of these centroids count, and vectors are not
 * normalised; it may be NULL. scores (passage_count): -inf for a passage without a token that counts.
 */
FUNCTION(fgr_maxsim)(const float *query, int64_t query_tokens, int64_t dim, const float *centroids,
                     int64_t centroid_count, const float *table, int64_t each, const int64_t *bounds, int64_t count,
                     const void *const *codes, int64_t code_bytes, const uint8_t *const *residuals,
                     const int64_t *starts, const int64_t *lengths, int64_t passage_count, const uint8_t *near,
                     const uint8_t *const *rest, float *scores)
{
    Codec codec = {centroids, centroid_count, table, each};
    Segments segments = {bounds, count, codes, code_bytes, residuals, rest};
    Passages passages = {starts, lengths, passage_count, scores};
    return score_decoded(query, query_tokens, dim, &codec, &segments, &passages, near);
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

/* Say whether each passage lies among the tokens. */
static int in_range(const Passages *passages, int64_t tokens)
{
    for (int64_t passage = 0; passage < passages->count; passage++) {
        int64_t start = passages->starts[passage], length = passages->lengths[passage];
        if (start < 0 || length < 0 || start > tokens - length)
            return 0;
    }
    return 1;
}

/* Score passages by MaxSim of vectors that are kept as float16, (tokens, dim); see fgr_maxsim. */
FUNCTION(fgr_maxsim16)(const float *query, int64_t query_tokens, int64_t dim, const uint16_t *vectors, int64_t tokens,
                       const int64_t *starts, const int64_t *lengths, int64_t count, float *scores)
{
    Passages passages = {starts, lengths, count, scores};
    if (!in_range(&passages, tokens))
        return BAD_RANGE;
    Scorer scorer;
    int fits = open_scorer(&scorer, query, query_tokens, dim, 0);
    for (int64_t passage = 0; fits && passage < count; passage++) {
        begin_passage(&scorer);
        for (int64_t token = starts[passage]; token < starts[passage] + lengths[passage]; token++) {
            float *vector = scorer.vectors + scorer.waiting * dim;
            for (int64_t d = 0; d < dim; d++)
                vector[d] = from_half(vectors[token * dim + d]);
            add_token(&scorer);
        }
        scores[passage] = end_passage(&scorer);
    }
    close_scorer(&scorer);
    return fits ? OK : NO_MEMORY;
}
