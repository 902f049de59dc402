/* Instance norm and exact GELU in two passes over a map; included once for each type of sample.
 *
 * A map is `pixels` rows of `channels` samples. SAMPLE is the type, LOAD and STORE turn it to float and back, and
 * NAMED(x) is x with the type's suffix. */

/* Sums of x and of its square over pixels [begin, end), added to `sums`: first all sums, then all squares. */
static void NAMED(add_moments)(const SAMPLE *x, long begin, long end, long channels, double *sums)
{
    for (long from = 0; from < channels; from += LANES) {
        const long n = channels - from < LANES ? channels - from : LANES;
        for (long piece = begin; piece < end; piece += PIECE) {
            /* In single precision over short pieces only, about a value of each: neither long maps nor such as are far
             * from zero, or have one loud moment, lose anything. */
            const long stop = piece + PIECE < end ? piece + PIECE : end;
            float sum[LANES] = {0}, square[LANES] = {0}, pivot[LANES];
            for (long c = 0; c < n; c++)
                pivot[c] = LOAD(x[piece * channels + from + c]);
            if (n == LANES)
                for (long p = piece; p < stop; p++) {
                    const SAMPLE *row = x + p * channels + from;
                    for (int c = 0; c < LANES; c++) {
                        const float value = LOAD(row[c]) - pivot[c];
                        sum[c] += value;
                        square[c] += value * value;
                    }
                }
            else
                for (long p = piece; p < stop; p++) {
                    const SAMPLE *row = x + p * channels + from;
                    for (long c = 0; c < n; c++) {
                        const float value = LOAD(row[c]) - pivot[c];
                        sum[c] += value;
                        square[c] += value * value;
                    }
                }
            for (long c = 0; c < n; c++) {
                const double middle = pivot[c], count = (double)(stop - piece);
                sums[from + c] += sum[c] + count * middle;
                sums[channels + from + c] += square[c] + middle * (2.0 * sum[c] + count * middle);
            }
        }
    }
}

/* y = gelu(norm(x)). Where `fold` is set, four neighbours of a map of `width` become one pixel of four times the
 * channels. Rows of y are `stride` samples apart. `work` holds (2 * threads + 1) * channels doubles. */
void NAMED(norm_gelu)(const SAMPLE *x, SAMPLE *y, const float *gain, const float *bias, float epsilon, long pixels,
                      long channels, long width, long stride, int fold, int threads, double *work)
{
    float *scale = (float *)(work + 2 * threads * channels), *middle = scale + channels;
#pragma omp parallel num_threads(threads)
    {
        const long team = TEAM_SIZE, member = TEAM_MEMBER;
        const long begin = pixels * member / team, end = pixels * (member + 1) / team;
        double *sums = work + 2 * member * channels;
        memset(sums, 0, 2 * channels * sizeof(double));
        NAMED(add_moments)(x, begin, end, channels, sums);
#pragma omp barrier
#pragma omp single
        for (long c = 0; c < channels; c++) {
            double sum = 0, square = 0;
            for (long m = 0; m < team; m++) {
                sum += work[2 * m * channels + c];
                square += work[(2 * m + 1) * channels + c];
            }
            const double mean = sum / pixels, spread = square / pixels - mean * mean;
            const double inverse = 1.0 / sqrt((spread < 0 ? 0 : spread) + epsilon);
            scale[c] = (float)(inverse * gain[c]);
            middle[c] = (float)mean;
        }
        for (long p = begin; p < end; p++) {
            const long t = p / width, f = p % width;
            const long place =
                fold ? (t / 2 * (width / 2) + f / 2) * stride + (t % 2 * 2 + f % 2) * channels : p * stride;
            const SAMPLE *from = x + p * channels;
            SAMPLE *to = y + place;
#pragma omp simd
            for (long c = 0; c < channels; c++)
                to[c] = STORE(gelu((LOAD(from[c]) - middle[c]) * scale[c] + bias[c]));
        }
    }
}
