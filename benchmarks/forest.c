/* A forest as one array of nodes; see forest.py. */
#include <stddef.h>
#include <stdint.h>
#include <math.h>

typedef struct {
    double value;     /* of an inner node what is compared with, of a leaf the share of class 1 */
    int32_t feature;  /* -1: a leaf */
    int32_t child[2]; /* where a value that is not greater leads, and one that is */
    int32_t unused;
} node;

enum { WIDEST = 64 };

/* Nulls become statistics, and one flag per column of `flagged` says that they did; then, as scikit-learn does it, inputs
   are cast to single precision, and the trees' shares are added in their order and divided by their number. */
void score(const node *nodes, const int32_t *roots, int32_t trees, const double *statistics, int32_t columns,
           const int32_t *flagged, int32_t flags, const double *rows, int32_t count, double *scores) {
    for (int32_t row = 0; row < count; row++) {
        const double *given = rows + (size_t)row * columns;
        float inputs[WIDEST];
        double sum = 0;
        for (int32_t i = 0; i < columns; i++) inputs[i] = (float)(isnan(given[i]) ? statistics[i] : given[i]);
        for (int32_t i = 0; i < flags; i++) inputs[columns + i] = (float)isnan(given[flagged[i]]);
        for (int32_t tree = 0; tree < trees; tree++) {
            const node *at = nodes + roots[tree];
            while (at->feature >= 0) at = nodes + at->child[(double)inputs[at->feature] > at->value];
            sum += at->value;
        }
        scores[row] = sum / trees;
    }
}
