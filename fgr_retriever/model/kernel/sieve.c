/* MaxSim over those tokens of a passage that are near the query, not decoded: best_passages.py, _scores with near. */

#include "kernel.h"

enum { ROW = LANES * sizeof(float), VALUES = 16 }; /* bytes of the products with all lanes; values of half a byte */

/* A product with a decoded vector is one with its centroid and one with its residual; the latter is a sum over halves
 * of bytes, each with one of 16 values. All of these are worked out before, for one block of a query. */
typedef struct {
    uint16_t *rows;   /* (centroid_count): where the products with a centroid stand, 0 for one that is not near */
    float *centroids; /* (near ones + 1, LANES) */
    float *halves;    /* (2 * places, VALUES, LANES) */
    int64_t places;   /* bytes of a residual */
} Products;

/* Number the centroids that are near, from 1. Gives how many there are, or -1 if they are too many. */
static int64_t number_rows(uint16_t *rows, const uint8_t *near, int64_t centroid_count)
{
    int64_t count = 0;
    for (int64_t code = 0; code < centroid_count; code++) {
        count += near[code] != 0;
        rows[code] = near[code] ? (uint16_t)count : 0;
    }
    return count <= UINT16_MAX ? count : -1;
}

static void multiply_centroids(const Products *products, const Codec *codec, const float *block, int64_t dim,
                               float *some)
{
    int64_t codes[TOGETHER], waiting = 0;
    float found[TOGETHER][LANES];
    for (int64_t code = 0; code < codec->centroid_count; code++) {
        if (products->rows[code]) {
            memcpy(some + waiting * dim, codec->centroids + code * dim, (size_t)dim * sizeof(float));
            codes[waiting++] = code;
        }
        if (waiting < TOGETHER && code + 1 < codec->centroid_count)
            continue;
        compare(block, some, dim, found);
        for (int64_t one = 0; one < waiting; one++)
            memcpy(products->centroids + products->rows[codes[one]] * LANES, found[one], ROW);
        waiting = 0;
    }
}

static void multiply_halves(const Products *products, const Codec *codec, const float *block)
{
    int64_t few = codec->each / 2; /* dimensions of half a byte; the first ones are in the higher half */
    for (int64_t half = 0; half < 2 * products->places; half++)
        for (int64_t value = 0; value < VALUES; value++) {
            int64_t byte = half % 2 ? value : value << 4;
            const float *residual = codec->table + (half / 2 * 256 + byte) * codec->each + half % 2 * few;
            Part sums[PARTS] = {{0}};
            for (int64_t one = 0; one < few; one++)
                for (int part = 0; part < PARTS; part++)
                    sums[part] += residual[one] * ((const Part *)(block + (half * few + one) * LANES))[part];
            memcpy(products->halves + (half * VALUES + value) * LANES, sums, ROW);
        }
}

/* Add the products with both halves of a byte. */
INLINE void add_byte(const uint8_t *halves, size_t byte, Part high[PARTS], Part low[PARTS])
{
    const Part *first = (const Part *)(halves + (byte & 0xf0) * (ROW / 16));
    const Part *second = (const Part *)(halves + (VALUES + (byte & 15)) * ROW);
#pragma GCC unroll 4
    for (int part = 0; part < PARTS; part++) {
        high[part] += first[part];
        low[part] += second[part];
    }
}

/* Let what a token matches, where it is more, take the place of the best matches. */
INLINE void match(const Products *products, int64_t row, const uint8_t *bytes, Part best[PARTS])
{
    enum { BYTE = 2 * VALUES * ROW }; /* from the products of one byte to those of the next */
    const uint8_t *halves = (const uint8_t *)products->halves;
    Part high[PARTS], low[PARTS] = {{0}}; /* two sums, of which neither waits for the other */
    memcpy(high, products->centroids + row * LANES, sizeof high);
    int64_t place = 0;
    for (; place + 4 <= products->places; place += 4, halves += 4 * BYTE) { /* by hand: compilers add a slow start */
        add_byte(halves, bytes[place], high, low);
        add_byte(halves + BYTE, bytes[place + 1], high, low);
        add_byte(halves + 2 * BYTE, bytes[place + 2], high, low);
        add_byte(halves + 3 * BYTE, bytes[place + 3], high, low);
    }
    for (; place < products->places; place++, halves += BYTE)
        add_byte(halves, bytes[place], high, low);
#pragma GCC unroll 4
    for (int part = 0; part < PARTS; part++)
        best[part] = larger(high[part] + low[part], best[part]);
}

/* ---- passages, in chunks: while the tokens of one are added up, those of the next come from memory ---- */

enum { CHUNK = 256 }; /* tokens */

/* The tokens of a part of a passage that are near the query. */
typedef struct {
    const uint8_t *residuals; /* of the first token, near or not */
    int64_t passage, count;
    int first; /* whether the passage begins here */
    struct {
        uint16_t token, row;
    } near[CHUNK];
} Chunk;

/* Where to go on. */
typedef struct {
    int64_t passage, token, segment;
    Coded coded;
} Cursor;

/* Have the codes of a passage fetched, if it lies in the same segment as the one at the cursor. */
INLINE void fetch_codes(const Segments *segments, const Passages *passages, const Cursor *cursor, int64_t passage)
{
    if (passage >= passages->count)
        return;
    int64_t first = segments->bounds[cursor->segment], tokens = segments->bounds[cursor->segment + 1] - first;
    int64_t start = passages->starts[passage], length = passages->lengths[passage];
    if (start < first || length < 0 || length > tokens || start - first > tokens - length)
        return;
    const char *codes = (const char *)segments->codes[cursor->segment] + (start - first) * segments->code_bytes;
    for (int64_t byte = 0; byte < length * segments->code_bytes; byte += LINE)
        __builtin_prefetch(codes + byte);
}

/* Choose the tokens of the next chunk, and have their residuals fetched. The last one has the number of passages. */
INLINE int next_chunk(const Products *products, const Codec *codec, const Segments *segments, int64_t code_bytes,
                      const Passages *passages, Cursor *cursor, Chunk *chunk)
{
    chunk->passage = cursor->passage, chunk->count = 0, chunk->first = cursor->token == 0;
    if (cursor->passage == passages->count)
        return OK;
    if (chunk->first && locate(segments, passages, cursor->passage, products->places, &cursor->segment, &cursor->coded))
        return BAD_RANGE;
    if (chunk->first)
        fetch_codes(segments, passages, cursor, cursor->passage + 2);
    int64_t left = cursor->coded.length - cursor->token, size = left < CHUNK ? left : CHUNK;
    chunk->residuals = cursor->coded.residuals + cursor->token * products->places;
    for (int64_t token = 0; token < size; token++) {
        int64_t code = code_of(&cursor->coded, code_bytes, cursor->token + token);
        if (code >= codec->centroid_count)
            return BAD_CODE;
        chunk->near[chunk->count].token = (uint16_t)token;
        chunk->near[chunk->count].row = products->rows[code];
        chunk->count += products->rows[code] != 0;
    }
    for (int64_t one = 0; one < chunk->count; one++)
        __builtin_prefetch(chunk->residuals + chunk->near[one].token * products->places);
    cursor->token += size;
    if (size == left)
        cursor->token = 0, cursor->passage++;
    return OK;
}

/* Add to the score of each passage what the first `lanes` query tokens of a block match best. */
INLINE int sieve_block(const Products *products, const Codec *codec, const Segments *segments, int64_t code_bytes,
                       int64_t lanes, const Passages *passages)
{
    Chunk chunks[2], *chunk = chunks, *next = chunks + 1;
    Cursor cursor = {0};
    Part best[PARTS];
    int status = next_chunk(products, codec, segments, code_bytes, passages, &cursor, chunk);
    while (!status && chunk->passage < passages->count) {
        status = next_chunk(products, codec, segments, code_bytes, passages, &cursor, next);
        for (int part = 0; chunk->first && part < PARTS; part++)
            best[part] = (Part){0} - INFINITY;
        for (int64_t one = 0; one < chunk->count; one++)
            match(products, chunk->near[one].row, chunk->residuals + chunk->near[one].token * products->places, best);
        for (int64_t lane = 0; next->first && lane < lanes; lane++) /* the passage ends here */
            passages->scores[chunk->passage] += best[lane / WIDTH][lane % WIDTH];
        Chunk *done = chunk;
        chunk = next, next = done;
    }
    return status;
}

/* Score passages like fgr_maxsim with near, for at most 4 bits a dimension, without decoding. */
FUNCTION(fgr_sieve)(const float *query, int64_t query_tokens, int64_t dim, const float *centroids,
                    int64_t centroid_count, const float *table, int64_t each, const int64_t *bounds, int64_t count,
                    const void *const *codes, int64_t code_bytes, const uint8_t *const *residuals,
                    const int64_t *starts, const int64_t *lengths, int64_t passage_count, const uint8_t *near,
                    float *scores)
{
    Codec codec = {centroids, centroid_count, table, each};
    Segments segments = {bounds, count, codes, code_bytes, residuals, NULL};
    Passages passages = {starts, lengths, passage_count, scores};
    uint16_t *rows = malloc((size_t)centroid_count * sizeof *rows);
    int64_t places = dim / each, most = rows ? number_rows(rows, near, centroid_count) : -1;
    float *blocks = lay_out(query, query_tokens, dim), *some = calloc((size_t)(TOGETHER * dim), sizeof(float));
    Products products = {rows, aligned_alloc(LINE, (size_t)((most < 0 ? 0 : most) + 1) * ROW),
                         aligned_alloc(LINE, (size_t)(2 * places * VALUES) * ROW), places};
    int status = most >= 0 && blocks && some && products.centroids && products.halves ? OK : NO_MEMORY;
    memset(scores, 0, (size_t)passage_count * sizeof *scores);
    for (int64_t first = 0; !status && first < query_tokens; first += LANES) {
        multiply_centroids(&products, &codec, blocks + first * dim, dim, some);
        multiply_halves(&products, &codec, blocks + first * dim);
        int64_t lanes = query_tokens - first < LANES ? query_tokens - first : LANES;
        /* Twice, so that the compiler knows how wide codes are. */
        status = code_bytes == 2 ? sieve_block(&products, &codec, &segments, 2, lanes, &passages)
                                 : sieve_block(&products, &codec, &segments, 4, lanes, &passages);
    }
    free(rows), free(blocks), free(some), free(products.centroids), free(products.halves);
    return status;
}
