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

/* _gains: sum up what the query tokens gain in each passage of a segment; of a token's gains in a passage, only the
 * best counts.
 *
 * probed and gains (tokens, probes): the centroids of each token, by ascending gain. bounds (centroids + 1) and
 * slots (entries): the lists. totals (passages) float64: the sums, 0 where nothing is gained.
 */
FUNCTION(fgr_gains)(const int64_t *bounds, int64_t centroids, const uint16_t *slots, int64_t entries,
                    int64_t passages, const int64_t *probed, const float *gains, int64_t tokens, int64_t probes,
                    double *totals)
{
    int64_t *claimed = calloc((size_t)passages, sizeof *claimed); /* the last token that gained there, from 1 */
    if (!claimed)
        return NO_MEMORY;
    memset(totals, 0, (size_t)passages * sizeof *totals);
    int fits = 1;
    for (int64_t step = 0; fits && step < tokens * probes; step++) {
        int64_t token = step / probes + 1, place = token * probes - 1 - step % probes, number = probed[place];
        if (number < 0 || number >= centroids || bounds[number] < 0 || bounds[number] > bounds[number + 1] ||
            bounds[number + 1] > entries) {
            fits = 0;
            break;
        }
        for (int64_t entry = bounds[number]; entry < bounds[number + 1]; entry++) {
            int64_t slot = slots[entry];
            if (slot >= passages) {
                fits = 0;
                break;
            }
            if (claimed[slot] != token) {
                claimed[slot] = token;
                totals[slot] += gains[place];
            }
        }
    }
    free(claimed);
    return fits ? OK : BAD_LIST;
}
