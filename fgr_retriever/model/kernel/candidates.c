/* Which passages are worth scoring: candidates.py. */

#include "kernel.h"

typedef struct {
    float score;
    int64_t number;
} Near;

/* Put a centroid where it belongs among the `count` best, whose last one is worse. */
static void insert(Near *best, int64_t count, float score, int64_t number)
{
    int64_t place = count - 1;
    for (; place > 0 && best[place - 1].score < score; place--)
        best[place] = best[place - 1];
    best[place] = (Near){score, number};
}

/* _nearest: find the `count` centroids with the highest scores for each query token, the highest first; among equals,
 * the one with the lower number.
 *
 * query (tokens, dim), centroids (centroids, dim); numbers and scores (tokens, count), count <= centroids.
 */
FUNCTION(fgr_nearest)(const float *query, int64_t tokens, int64_t dim, const float *centroids,
                      int64_t centroid_count, int64_t count, int64_t *numbers, float *scores)
{
    float *blocks = lay_out(query, tokens, dim);
    Near *best = malloc((size_t)(LANES * count) * sizeof *best);
    float *rest = calloc((size_t)(TOGETHER * dim), sizeof(float)); /* the last centroids, filled up with zeros */
    if (!blocks || !best || !rest) {
        free(blocks), free(best), free(rest);
        return NO_MEMORY;
    }
    for (int64_t first = 0; first < tokens; first += LANES) {
        int64_t lanes = tokens - first < LANES ? tokens - first : LANES;
        float least[LANES]; /* the score that a centroid must exceed */
        for (int lane = 0; lane < LANES; lane++)
            least[lane] = lane < lanes ? -INFINITY : INFINITY;
        for (int64_t place = 0; place < LANES * count; place++)
            best[place] = (Near){-INFINITY, 0};
        for (int64_t start = 0; start < centroid_count; start += TOGETHER) {
            const float *vectors = centroids + start * dim;
            int64_t left = centroid_count - start < TOGETHER ? centroid_count - start : TOGETHER;
            if (left < TOGETHER)
                vectors = memcpy(rest, vectors, (size_t)(left * dim) * sizeof(float));
            float found[TOGETHER][LANES];
            compare(blocks + first * dim, vectors, dim, found);
            for (int64_t one = 0; one < left; one++) {
                int better = 0;
                for (int lane = 0; lane < LANES; lane++)
                    better |= found[one][lane] > least[lane];
                if (!better)
                    continue;
                for (int64_t lane = 0; lane < lanes; lane++)
                    if (found[one][lane] > least[lane]) {
                        insert(best + lane * count, count, found[one][lane], start + one);
                        least[lane] = best[lane * count + count - 1].score;
                    }
            }
        }
        for (int64_t place = 0; place < lanes * count; place++) {
            numbers[first * count + place] = best[place].number;
            scores[first * count + place] = best[place].score;
        }
    }
    free(blocks), free(best), free(rest);
    return OK;
}

/* The inverted lists of a segment. */
typedef struct {
    const int64_t *bounds; /* (centroids + 1) */
    int64_t centroids;
    const uint16_t *slots; /* (entries) */
    int64_t entries;
} Lists;

/* What the tokens of a query probe: centroids, and what is gained there, both (tokens, probes), by ascending gain. */
typedef struct {
    const int64_t *centroids;
    const float *gains;
    int64_t tokens, probes;
} Probes;

enum { SOON = 4 }; /* lists that are fetched from memory before they are read */

INLINE int64_t centroid_of(const Probes *probes, int64_t step)
{
    int64_t token = step / probes->probes + 1;
    return probes->centroids[token * probes->probes - 1 - step % probes->probes]; /* the one with the most gain first */
}

INLINE int has_list(const Lists *lists, int64_t number)
{
    return number >= 0 && number < lists->centroids && lists->bounds[number] >= 0 &&
           lists->bounds[number] <= lists->bounds[number + 1] && lists->bounds[number + 1] <= lists->entries;
}

/* Find the first entry of a list, whose slots ascend, with a slot of at least `least`. */
INLINE int64_t entry_from(const uint16_t *slots, int64_t first, int64_t last, int64_t least)
{
    while (least && first < last) {
        int64_t middle = first + (last - first) / 2;
        if (slots[middle] < least)
            first = middle + 1;
        else
            last = middle;
    }
    return first;
}

/* gains_in: sum up the gains in some passages of a segment, from the first to before the last. */
static int gains_of(const Lists *lists, const Probes *probes, int64_t first, int64_t last, int64_t passages,
                    double *totals, int32_t *claimed)
{
    memset(totals, 0, (size_t)(last - first) * sizeof *totals);
    memset(claimed, 0, (size_t)(last - first) * sizeof *claimed); /* the last token that gained there, from 1 */
    int64_t steps = probes->tokens * probes->probes;
    for (int64_t step = 0; step < steps; step++) {
        int64_t number = centroid_of(probes, step);
        if (!has_list(lists, number))
            return BAD_LIST;
        int64_t soon = step + SOON < steps ? centroid_of(probes, step + SOON) : -1;
        if (has_list(lists, soon))
            __builtin_prefetch(lists->slots + lists->bounds[soon]);
        int32_t token = (int32_t)(step / probes->probes + 1);
        double gain = probes->gains[token * probes->probes - 1 - step % probes->probes];
        int64_t stop = lists->bounds[number + 1], entry = entry_from(lists->slots, lists->bounds[number], stop, first);
        stop = last < passages ? entry_from(lists->slots, entry, stop, last) : stop;
        for (; entry < stop; entry++) {
            int64_t slot = lists->slots[entry] - first;
            if (slot < 0 || slot >= last - first)
                return BAD_LIST;
            totals[slot] += claimed[slot] != token ? gain : 0;
            claimed[slot] = token;
        }
    }
    return OK;
}

/* _gains: sum up what the query tokens gain in each passage; of a token's gains in a passage, only the best counts.
 *
 * bounds and slots (count): the lists of each segment, with bounds (centroids + 1) and slots (entries), NULL for a
 * segment without; entries (count); firsts (count + 1): the first passage of each segment, and at last their number.
 * probed and gains (tokens, probes): the centroids of each token, by ascending gain. first and last: which passages to
 * sum up, of all. totals (last - first): the sums, 0 where nothing is gained.
 */
FUNCTION(fgr_gains)(const int64_t *const *bounds, int64_t centroids, const uint16_t *const *slots,
                    const int64_t *entries, const int64_t *firsts, int64_t count, const int64_t *probed,
                    const float *gains, int64_t tokens, int64_t probes, int64_t first, int64_t last, float *totals)
{
    Probes all = {probed, gains, tokens, probes};
    double *sums = malloc((size_t)(last - first + 1) * sizeof *sums);
    int32_t *claimed = malloc((size_t)(last - first + 1) * sizeof *claimed);
    int status = sums && claimed ? OK : NO_MEMORY;
    for (int64_t segment = 0; !status && segment < count; segment++) {
        Lists lists = {bounds[segment], centroids, slots[segment], entries[segment]};
        int64_t begin = firsts[segment] > first ? firsts[segment] : first;
        int64_t end = firsts[segment + 1] < last ? firsts[segment + 1] : last;
        if (begin >= end)
            continue;
        float *found = totals + (begin - first);
        memset(found, 0, (size_t)(end - begin) * sizeof *found);
        if (!lists.bounds)
            continue;
        int64_t before = firsts[segment];
        status = gains_of(&lists, &all, begin - before, end - before, firsts[segment + 1] - before, sums, claimed);
        for (int64_t passage = 0; passage < end - begin; passage++)
            found[passage] = (float)sums[passage];
    }
    free(sums), free(claimed);
    return status;
}
