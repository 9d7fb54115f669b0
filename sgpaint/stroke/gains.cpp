// The gain of strokes, each painted alone on the canvas: by how much the weighted squared error falls, the colour that makes
// it fall most, and the derivative of the gain. Python calls `gains`, at the end; sgpaint/stroke/gains.py explains it.

#define VECTOR 8  // a stroke alone is often short: smaller vectors waste less
#include "strokes.cpp"

// planes (9, H, W), see WeightedCanvas.planes: R (3), RC, AA, C (3), CC. A stroke of alpha a and colour k gains
// sum over pixels of 2 a (k.R - RC) - a a (k.k AA - 2 k.C + CC).
struct Gain {
  const Frame& f; const float* planes; float* room;  // room: 5 planes that the rows are computed in
  size_t plane() const { return size_t(f.height) * f.width; }
  Row at(size_t i) const { float* p = room + i; return {p, p + plane(), p + 2 * plane(), p + 3 * plane()}; }

  // Sums over the pixels of the stroke: a R (3), a RC, a a AA, a a C (3), a a CC.
  void sums(const Stroke& s, int top, int bottom, double* total) const {
    const size_t step = plane();
    for (int y = top; y < bottom; y++) {
      int first, last;
      if (!touched_columns(s, y + .5f, f.width, first, last)) continue;
      int n = last - first; size_t i0 = size_t(y) * f.width + first; Row row = at(i0);
      cover_pixels(f, s, y + .5f, first, n, room + i0 + 4 * step, false, row);
      const float *__restrict__ a = row.alpha, *__restrict__ q = planes + i0;
      float r0 = 0, r1 = 0, r2 = 0, rc = 0, aa = 0, c0 = 0, c1 = 0, c2 = 0, cc = 0;
      #pragma omp simd reduction(+:r0,r1,r2,rc,aa,c0,c1,c2,cc)
      for (int i = 0; i < n; i++) {
        float u = a[i], v = u * u;
        r0 += u * q[i]; r1 += u * q[i + step]; r2 += u * q[i + 2 * step]; rc += u * q[i + 3 * step];
        aa += v * q[i + 4 * step];
        c0 += v * q[i + 5 * step]; c1 += v * q[i + 6 * step]; c2 += v * q[i + 7 * step]; cc += v * q[i + 8 * step];
      }
      const float got[9] = {r0, r1, r2, rc, aa, c0, c1, c2, cc};
      for (int j = 0; j < 9; j++) total[j] += got[j];
    }
  }

  // The derivative of the gain with respect to the stroke, its colour k held; `sums` has filled the rows.
  void derivative(const Stroke& s, int top, int bottom, const float* k, float* out) const {
    const size_t step = plane(); double total[13] = {}; std::vector<float> by_alpha(f.width);
    const float kk = k[0] * k[0] + k[1] * k[1] + k[2] * k[2];
    for (int y = top; y < bottom; y++) {
      int first, last;
      if (!touched_columns(s, y + .5f, f.width, first, last)) continue;
      int n = last - first; size_t i0 = size_t(y) * f.width + first; Row row = at(i0);
      const float *__restrict__ a = row.alpha, *__restrict__ q = planes + i0; float* __restrict__ d = by_alpha.data();
      #pragma omp simd
      for (int i = 0; i < n; i++) {
        float linear = k[0] * q[i] + k[1] * q[i + step] + k[2] * q[i + 2 * step] - q[i + 3 * step];
        float square = kk * q[i + 4 * step] + q[i + 8 * step]
                       - 2 * (k[0] * q[i + 5 * step] + k[1] * q[i + 6 * step] + k[2] * q[i + 7 * step]);
        d[i] = 2 * (linear - a[i] * square);
      }
      sums_swept(f, s, y + .5f, first, n, room + i0 + 4 * step, d, row, total);
    }
    store(f, s.turned, total, out);
  }

  float of(const Stroke& s, bool solve, float* k, float* grad) const {
    int top = std::max(0, int(s.top - .5f)), bottom = std::min(f.height, int(s.bottom + 1.5f));
    double total[9] = {};
    sums(s, top, bottom, total);
    const double *r = total, *c = total + 5, aa = total[4];
    double gain = -2 * total[3] - total[8];
    for (int j = 0; j < 3; j++) {
      if (solve) k[j] = aa > 1e-9 ? clamp01(float((r[j] + c[j]) / aa)) : .5f;  // least squares
      gain += 2 * k[j] * r[j] - k[j] * (k[j] * aa - 2 * c[j]);
    }
    if (grad) derivative(s, top, bottom, k, grad);
    return float(gain);
  }
};

// Of every stroke (batch, f->strokes, f->columns): the gain, the colour (3), and where `grad` is given the derivative.
extern "C" void gains(const Frame* f, int batch, const float* strokes, const float* planes, int solve, float* colour,
                      float* gain, float* grad, int threads) {
  const size_t plane = size_t(f->height) * f->width; const long N = f->strokes, P = f->columns;
  parallel(batch * N, threads, [&](long from, long to) {
    std::vector<float> room(5 * plane);
    for (long i = from; i < to; i++)
      gain[i] = Gain{*f, planes + i / N * 9 * plane, room.data()}.of(load(*f, strokes + i * P), solve, colour + 3 * i,
                                                                     grad ? grad + i * P : nullptr);
  });
}
