/* The light head: LightHead.probabilities, with interact. Names of steps and weights are those of light_head.py.
 *
 * Every layer is a product of rows with a matrix, which is what `compare` does: its output numbers lie side by side,
 * as the tokens of a query do.
 */

#include "kernel.h"

enum { TAPS = 15, MATCHES = 7, SUMMARY = 3, RELEVANCE = 32, CLAUSE = 17, SENTENCE = 49, REACH = SENTENCE / 2 };

/* Those of evidence_reader.py and light_head.py: SHARPNESS, _ASKED, _SUPPORTED; and what some numbers are divided by. */
static const float SHARPNESS = 20, ASKED = 10, SUPPORTED = 0.55f, SHRINK = 5;

/* ---- layers ---- */

/* A matrix, laid out for `compare`. */
typedef struct {
    float *blocks;     /* (out / LANES, in, LANES) */
    const float *bias; /* (out), or NULL */
    int64_t in, out;   /* out is filled up to whole LANES */
} Layer;

static Layer layer(const float **weights, int64_t in, int64_t out, int has_bias)
{
    Layer made = {lay_out(*weights, out, in), has_bias ? *weights + in * out : NULL, in, out};
    *weights += in * out + (has_bias ? out : 0);
    return made;
}

/* Multiply rows, (rows, in), and add the products to `found`, (rows, out). */
static void apply(const Layer *layer, const float *inputs, int64_t rows, float *found)
{
    float rest[TOGETHER * 1024]; /* the last rows, with any numbers behind them */
    for (int64_t row = 0; row < rows; row += TOGETHER) {
        int64_t left = rows - row < TOGETHER ? rows - row : TOGETHER;
        const float *some = inputs + row * layer->in;
        if (left < TOGETHER)
            some = memcpy(rest, some, (size_t)(left * layer->in) * sizeof(float));
        for (int64_t first = 0; first < layer->out; first += LANES) {
            float products[TOGETHER][LANES];
            compare(layer->blocks + first * layer->in, some, layer->in, products);
            int64_t lanes = layer->out - first < LANES ? layer->out - first : LANES;
            for (int64_t one = 0; one < left; one++)
                for (int64_t lane = 0; lane < lanes; lane++)
                    found[(row + one) * layer->out + first + lane] +=
                        products[one][lane] + (layer->bias ? layer->bias[first + lane] : 0);
        }
    }
}

/* Add a multiple of one row to another; the width is one of whole LANES. */
INLINE void add_scaled(float *row, const float *other, float scale, int64_t width)
{
    Part *parts = (Part *)row;
    const Part *others = (const Part *)other;
    for (int64_t part = 0; part < width / WIDTH; part++)
        parts[part] += scale * others[part];
}

/* Sum up the numbers of a register, by halves: one after the other, each sum would wait for the one before. */
INLINE float sum_up(Part numbers)
{
#pragma GCC unroll 4
    for (int half = WIDTH / 2; half; half /= 2)
#pragma GCC unroll 8
        for (int lane = 0; lane < half; lane++)
            numbers[lane] += numbers[lane + half];
    return numbers[0];
}

/* Sum up a row, or the squares of its distances from `centre`. */
INLINE float sum_of(const float *row, int64_t width, float centre, int squares)
{
    Part sums = {0};
    const Part *parts = (const Part *)row;
    for (int64_t part = 0; part < width / WIDTH; part++) {
        Part distance = parts[part] - centre;
        if (squares)
            distance *= distance;
        sums += distance;
    }
    return sum_up(sums);
}

/* LayerNorm of one row. */
static void normalise(const float *row, const float *scale_and_shift, int64_t width, float *found)
{
    float share = 1 / (float)width, mean = sum_of(row, width, 0, 0) * share;
    float scale = 1 / sqrtf(sum_of(row, width, mean, 1) * share + 1e-5f);
    const Part *parts = (const Part *)row, *scales = (const Part *)scale_and_shift;
    for (int64_t part = 0; part < width / WIDTH; part++)
        ((Part *)found)[part] = (parts[part] - mean) * scale * scales[part] + scales[width / WIDTH + part];
}

/* exp of LANES numbers of at most 0: 2^whole e^rest with |rest| < 0.35, by its Taylor series; error 1.2e-7 of it. */
INLINE void exponentials(const float *numbers, float *found)
{
    int32_t bits[LANES];
    float rests[LANES], powers[LANES];
    for (int lane = 0; lane < LANES; lane++) {
        float number = numbers[lane] > -87 ? numbers[lane] : -87;
        int32_t whole = (int32_t)(number * 1.44269504f - 0.5f);
        rests[lane] = number - (float)whole * 0.69314718f;
        bits[lane] = (whole + 127) << 23;
    }
    memcpy(powers, bits, sizeof bits);
    for (int lane = 0; lane < LANES; lane++) {
        float rest = rests[lane];
        /* Products: a division takes several times as long. */
        float end = 1.0f / 24 + rest * (1.0f / 120 + rest * (1.0f / 720));
        float series = 1 + rest * (1 + rest * (0.5f + rest * (1.0f / 6 + rest * end)));
        found[lane] = powers[lane] * series;
    }
}

/* ---- what late interaction says: interact ---- */

typedef struct {
    float *similarities; /* (tokens, lanes) */
    float *matches;      /* (tokens, MATCHES + 1) */
    float *shares;       /* (tokens, lanes) */
    int64_t query_tokens, lanes;
} Found;

/* Let each row be the maximum of itself and of the row `step` further on, (rows, lanes). */
INLINE void widen(float *rows, int64_t count, int64_t lanes, int64_t step)
{
    Part *parts = (Part *)rows;
    int64_t width = lanes / WIDTH;
    for (int64_t part = 0; part < (count - step) * width; part++) {
        Part other = parts[part + step * width];
        for (int lane = 0; lane < WIDTH; lane++)
            parts[part][lane] = other[lane] > parts[part][lane] ? other[lane] : parts[part][lane];
    }
}

/* Write a column of the matches and the one behind it: the mean over the query tokens of the larger of two rows, which
 * lie `apart`, for each token from start to stop; and how far that lies below the best one. */
static void local_matches(const Found *found, int64_t start, int64_t stop, const float *rows, int64_t apart,
                          int64_t column)
{
    float highest = -INFINITY, *matches = found->matches + column;
    for (int64_t token = start; token < stop; token++, rows += found->lanes) {
        float sum = 0;
        for (int64_t asked = 0; asked < found->query_tokens; asked++) {
            float other = rows[apart * found->lanes + asked];
            sum += (rows[asked] > other ? rows[asked] : other) / (float)found->query_tokens;
        }
        matches[token * (MATCHES + 1)] = sum;
        highest = sum > highest ? sum : highest;
    }
    for (int64_t token = start; token < stop; token++)
        matches[token * (MATCHES + 1) + 1] = matches[token * (MATCHES + 1)] - highest;
}

/* The MaxSim of a clause and of a sentence around each token: maxima of 16 and 32 rows by doubling, and two of those
 * that overlap make 17 and 49. `rows` holds (count + 2 * REACH, lanes). */
static void match_stretches(const Found *found, int64_t start, int64_t stop, float *rows)
{
    int64_t lanes = found->lanes, count = stop - start + 2 * REACH;
    for (int64_t place = 0; place < count * lanes; place++)
        rows[place] = -INFINITY;
    memcpy(rows + REACH * lanes, found->similarities + start * lanes, (size_t)((stop - start) * lanes) * sizeof(float));
    for (int64_t step = 1; step < 16; step *= 2)
        widen(rows, count, lanes, step);
    local_matches(found, start, stop, rows + (REACH - CLAUSE / 2) * lanes, CLAUSE - 16, 3);
    widen(rows, count, lanes, 16);
    local_matches(found, start, stop, rows, SENTENCE - 32, 5);
}

/* Describe the tokens from start to stop, which are a passage. */
static void interact(const Found *found, int64_t start, int64_t stop, float *tops, float *rows, float *summary)
{
    int64_t query_tokens = found->query_tokens, lanes = found->lanes;
    memcpy(tops, found->similarities + start * lanes, (size_t)lanes * sizeof(float));
    for (int64_t token = start + 1; token < stop; token++)
        for (int64_t asked = 0; asked < lanes; asked++) {
            float match = found->similarities[token * lanes + asked];
            tops[asked] = match > tops[asked] ? match : tops[asked];
        }
    memset(summary, 0, SUMMARY * sizeof *summary);
    for (int64_t asked = 0; asked < query_tokens; asked++) {
        summary[0] += tops[asked] / (float)query_tokens;
        summary[1] += tops[asked] > SUPPORTED ? 1 / (float)query_tokens : 0;
    }
    summary[2] = logf((float)(stop - start)) / SHRINK;
    for (int64_t token = start; token < stop; token++) {
        const float *similarities = found->similarities + token * lanes;
        float best = -INFINITY, sum = 0, highest = 0, all = 0, *shares = found->shares + token * lanes;
        for (int64_t asked = 0; asked < query_tokens; asked++)
            best = similarities[asked] > best ? similarities[asked] : best;
        for (int64_t first = 0; first < lanes; first += LANES) {
            float below_top[LANES], below_best[LANES], nearness[LANES];
            for (int lane = 0; lane < LANES; lane++) {
                below_top[lane] = SHARPNESS * (similarities[first + lane] - tops[first + lane]);
                float below = ASKED * (similarities[first + lane] - best);
                below_best[lane] = below < 0 ? below : 0; /* lanes without a query token may lie above */
            }
            exponentials(below_top, nearness);
            exponentials(below_best, shares + first);
            for (int64_t lane = 0; lane < LANES && first + lane < query_tokens; lane++) {
                sum += nearness[lane];
                highest = nearness[lane] > highest ? nearness[lane] : highest;
                all += shares[first + lane];
            }
        }
        float rest = 1 / all;
        for (int64_t asked = 0; asked < lanes; asked++)
            shares[asked] *= rest;
        float *matches = found->matches + token * (MATCHES + 1);
        matches[0] = best, matches[1] = sum / SHRINK, matches[2] = highest, matches[MATCHES] = summary[0];
    }
    match_stretches(found, start, stop, rows);
}

/* ---- blocks: _Block ---- */

typedef struct {
    const float *norm, *kernel; /* (2, width): scale and shift; (TAPS, width) */
    Layer inner, outer;
} Block;

/* Mix each token of a passage, (count, width), with those around it. `space` holds (count, 5 * width). */
static void mix(const Block *block, float *tokens, int64_t count, int64_t width, float *space)
{
    float *joined = space, *inside = space + count * 2 * width;
    for (int64_t token = 0; token < count; token++)
        normalise(tokens + token * width, block->norm, width, joined + token * 2 * width);
    for (int64_t token = 0; token < count; token++) {
        Part *around = (Part *)(joined + token * 2 * width + width);
        int64_t first = token < TAPS / 2 ? TAPS / 2 - token : 0;
        int64_t last = count - token <= TAPS / 2 ? count - token + TAPS / 2 : TAPS;
        for (int64_t part = 0; part < width / WIDTH; part++) {
            Part sum = {0}; /* in a register, where it need not be read again after each tap */
            for (int64_t tap = first; tap < last; tap++) {
                const Part *normal = (const Part *)(joined + (token + tap - TAPS / 2) * 2 * width);
                sum += normal[part] * ((const Part *)(block->kernel + tap * width))[part];
            }
            around[part] = sum;
        }
    }
    memset(inside, 0, (size_t)(count * 2 * width) * sizeof *inside);
    apply(&block->inner, joined, count, inside);
    for (int64_t place = 0; place < count * 2 * width; place++)
        inside[place] = inside[place] > 0 ? inside[place] : 0;
    apply(&block->outer, inside, count, tokens);
}

/* ---- the whole: LightHead.forward ---- */

typedef struct {
    Layer matches, asked, query, content, attention, told, output, hidden, relevance;
    const float *unknown, *norm, *scale, *bias;
    Block blocks[8];
    int64_t layers, width, code;
} Head;

/* Count the weights of a head. */
static int64_t weight_count_of(const Head *head, int64_t dim)
{
    int64_t width = head->width, block = 17 * width + (2 * width + 1) * 2 * width + (2 * width + 1) * width;
    int64_t first = 2 + 3 * width + (MATCHES + 2) * width + (2 * dim + 1) * width + (head->code + 1) * width;
    int64_t whole = (width + 1) * (width + 2) + (width + SUMMARY + 2) * RELEVANCE + RELEVANCE + 1;
    return first + whole + head->layers * block;
}

/* Lay out the weights, which come in the order of `LightHead.weights`. */
static int open_head(Head *head, const float *weights, int64_t dim)
{
    int64_t width = head->width;
    head->scale = weights++, head->bias = weights++;
    head->unknown = weights, weights += width;
    head->norm = weights, weights += 2 * width;
    head->matches = layer(&weights, MATCHES + 1, width, 1);
    head->asked = layer(&weights, dim, width, 0);
    head->query = layer(&weights, dim, width, 1);
    head->content = layer(&weights, head->code, width, 1);
    head->attention = layer(&weights, width, 1, 1);
    head->told = layer(&weights, width, width, 1);
    head->output = layer(&weights, width, 1, 1);
    head->hidden = layer(&weights, width + SUMMARY + 1, RELEVANCE, 1);
    head->relevance = layer(&weights, RELEVANCE, 1, 1);
    for (int64_t number = 0; number < head->layers; number++) {
        Block *block = head->blocks + number;
        block->norm = weights, weights += 2 * width;
        block->kernel = weights, weights += TAPS * width;
        block->inner = layer(&weights, 2 * width, 2 * width, 1);
        block->outer = layer(&weights, 2 * width, width, 1);
        if (!block->inner.blocks || !block->outer.blocks)
            return NO_MEMORY;
    }
    return head->matches.blocks && head->asked.blocks && head->query.blocks && head->content.blocks &&
                   head->attention.blocks && head->told.blocks && head->output.blocks && head->hidden.blocks &&
                   head->relevance.blocks
               ? OK
               : NO_MEMORY;
}

static void close_head(Head *head)
{
    Layer *all[] = {&head->matches, &head->asked, &head->query, &head->content, &head->attention,
                    &head->told, &head->output, &head->hidden, &head->relevance};
    for (size_t one = 0; one < sizeof all / sizeof *all; one++)
        free(all[one]->blocks);
    for (int64_t number = 0; number < head->layers; number++)
        free(head->blocks[number].inner.blocks), free(head->blocks[number].outer.blocks);
}

/* What is worked out for one query, and room for one passage. */
typedef struct {
    float *asked;   /* (query_tokens, width): the query tokens as a passage token sees them */
    float *common;  /* (width): what the query adds to every token */
    float *numbers; /* (longest, code): the evidence codes, from -1 to 1 */
    float *tokens;  /* (longest, width) */
    float *space;   /* (longest, 5 * width) */
    float *tops;    /* (lanes) */
    float *rows;    /* (longest + 2 * REACH, lanes) */
} Room;

/* Score the tokens from start to stop, which are a passage. */
static void read_passage(const Head *head, const Found *found, const Room *room, int64_t start, int64_t stop,
                         const uint8_t *codes, float temperature, float *probabilities)
{
    int64_t count = stop - start, width = head->width;
    float summary[SUMMARY], *tokens = room->tokens;
    interact(found, start, stop, room->tops, room->rows, summary);
    for (int64_t token = 0; token < count; token++) {
        memcpy(tokens + token * width, room->common, (size_t)width * sizeof(float));
        if (!codes)
            add_scaled(tokens + token * width, head->unknown, 1, width);
        const float *shares = found->shares + (start + token) * found->lanes;
        for (int64_t part = 0; part < width / WIDTH; part++) {
            Part sum = {0};
            for (int64_t asked = 0; asked < found->query_tokens; asked++)
                sum += ((const Part *)(room->asked + asked * width))[part] * shares[asked];
            ((Part *)(tokens + token * width))[part] += sum;
        }
    }
    apply(&head->matches, found->matches + start * (MATCHES + 1), count, tokens);
    if (codes) {
        const uint8_t *bytes = codes + start * head->code / 2;
        for (int64_t place = 0; place < count * head->code; place++)
            room->numbers[place] = (float)(place % 2 ? bytes[place / 2] & 15 : bytes[place / 2] >> 4) / 15 * 2 - 1;
        apply(&head->content, room->numbers, count, tokens);
    }
    float described[1024] = {0}; /* the passage's mean, normalised; its summary; its strongest token */
    for (int64_t number = 0; number < head->layers; number++) {
        mix(head->blocks + number, tokens, count, width, room->space);
        if (number)
            continue;
        float mean[1024] = {0}, told[1024] = {0}, all = 0, *weights = room->numbers;
        memset(weights, 0, (size_t)count * sizeof *weights);
        apply(&head->attention, tokens, count, weights);
        for (int64_t token = 0; token < count; token++) {
            float weight = expf(weights[token] < -15 ? -15 : weights[token] > 15 ? 15 : weights[token]);
            all += weight;
            add_scaled(mean, tokens + token * width, weight, width);
        }
        for (int64_t place = 0; place < width; place++)
            mean[place] /= all;
        apply(&head->told, mean, 1, told);
        for (int64_t token = 0; token < count; token++)
            add_scaled(tokens + token * width, told, 1, width);
        normalise(mean, head->norm, width, described);
    }
    float strongest = -INFINITY, hidden[RELEVANCE] = {0}, relevance = 0;
    for (int64_t token = 0; token < count; token++) {
        normalise(tokens + token * width, head->norm, width, room->space + token * width);
        probabilities[start + token] = *head->scale * found->matches[(start + token) * (MATCHES + 1)] + *head->bias;
    }
    apply(&head->output, room->space, count, probabilities + start);
    for (int64_t token = start; token < stop; token++)
        strongest = probabilities[token] > strongest ? probabilities[token] : strongest;
    memcpy(described + width, summary, sizeof summary);
    described[width + SUMMARY] = strongest / SHRINK;
    apply(&head->hidden, described, 1, hidden);
    for (int64_t place = 0; place < RELEVANCE; place++)
        hidden[place] = hidden[place] > 0 ? hidden[place] : 0;
    apply(&head->relevance, hidden, 1, &relevance);
    double second = exp(-(double)relevance);
    for (int64_t token = start; token < stop; token++) {
        /* _both: the logit of two events is that of the odds (1 + e^-a)(1 + e^-b) - 1 against them. */
        double first = exp(-(double)probabilities[token]);
        probabilities[token] = (float)(1 / (1 + exp(log(first + second + first * second) / temperature)));
    }
}

/* Give the evidence probability of each token.
 *
 * query (query_tokens, dim); vectors (tokens, dim); lengths (passages), at least 1 each; codes (tokens, code / 2), or
 * NULL. width is a multiple of LANES, and no size is over 1,000. probabilities (tokens).
 */
FUNCTION(fgr_evidence)(const float *query, int64_t query_tokens, int64_t dim, const float *vectors, int64_t tokens,
                       const int64_t *lengths, int64_t passages, const uint8_t *codes, int64_t code,
                       const float *weights, int64_t weight_count, int64_t width, int64_t layers, double temperature,
                       float *probabilities)
{
    int64_t longest = 0, sum = 0, status = OK;
    for (int64_t passage = 0; passage < passages; passage++) {
        if (lengths[passage] < 1 || lengths[passage] > tokens - sum)
            return BAD_RANGE;
        sum += lengths[passage];
        longest = lengths[passage] > longest ? lengths[passage] : longest;
    }
    if (sum != tokens)
        return BAD_RANGE;
    Head head = {.layers = layers, .width = width, .code = code};
    if (weight_count_of(&head, dim) != weight_count)
        return BAD_WEIGHTS;
    status = open_head(&head, weights, dim);
    Layer asks = {lay_out(query, query_tokens, dim), NULL, dim, (query_tokens + LANES - 1) / LANES * LANES};
    int64_t sizes[] = {tokens * asks.out, tokens * (MATCHES + 1), tokens * asks.out, query_tokens * width,
                       width + dim, longest * (code + 1), longest * width, longest * 5 * width,
                       asks.out, (longest + 2 * REACH) * asks.out};
    float *room[sizeof sizes / sizeof *sizes];
    for (size_t one = 0; one < sizeof sizes / sizeof *sizes; one++)
        if (!(room[one] = calloc((size_t)sizes[one] + 1, sizeof(float))))
            status = NO_MEMORY;
    status = asks.blocks ? status : NO_MEMORY;
    if (!status) {
        Found found = {room[0], room[1], room[2], query_tokens, asks.out};
        Room rest = {room[3], room[4], room[5], room[6], room[7], room[8], room[9]};
        float gain = sqrtf((float)dim), *mean = rest.common + width;
        apply(&asks, vectors, tokens, found.similarities);
        apply(&head.asked, query, query_tokens, rest.asked);
        for (int64_t place = 0; place < query_tokens * width; place++)
            rest.asked[place] *= gain;
        for (int64_t place = 0; place < query_tokens * dim; place++)
            mean[place % dim] += query[place] * gain / (float)query_tokens;
        apply(&head.query, mean, 1, rest.common);
        for (int64_t passage = 0, start = 0; passage < passages; start += lengths[passage++])
            read_passage(&head, &found, &rest, start, start + lengths[passage], codes, (float)temperature,
                         probabilities);
    }
    for (size_t one = 0; one < sizeof sizes / sizeof *sizes; one++)
        free(room[one]);
    free(asks.blocks), close_head(&head);
    return (int)status;
}
