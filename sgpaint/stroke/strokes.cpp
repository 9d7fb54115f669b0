// The exact stroke renderer, row by row: strokes over a canvas, and the derivative. The lesson stroke.native explains it.
//
// Python gives CHORDS, STEPS, RADIUS_MIN, RADIUS_SPAN and STILL on the command line, so that each has one home.
// Units are pixels. Two functions are called from outside: `forward` and `backward`, at the end.

#include <algorithm>
#include <cmath>
#include <thread>
#include <vector>

// ---- what a stroke is, to a row ---------------------------------------------------------------------------------------------

// The numbers of `Primitive.native`.
enum { BEZIER, LINE, CIRCLE, TRIANGLE, BLOCK };

// One call: counts, sizes, the blend mode `paper` or not, 1 / (width of the soft edge), and what goes under square roots.
struct Frame { int primitive, strokes, columns, channels, height, width, masks, paper; float sharp, tiny; };

// A straight piece of a stroke: start, direction, direction / length², the shift of its foot towards the thicker end, the rows
// it can touch, and how far from it paint can lie.
struct Chord { float x, y, ex, ey, gx, gy, shift, low, high, slope, reach; };
struct Stroke {
  float x0, y0, x1, y1, x2, y2, r0, dr, a0, da, bx, by, ax, ay, turn, top, bottom;
  const float* colour; bool turned; int chords; Chord chord[CHORDS];
};
static inline float clamp01(float v) { return v < 0.f ? 0.f : v > 1.f ? 1.f : v; }
static inline float side(const Frame& f) { return float(std::min(f.height, f.width)); }

static void add_chord(const Frame& f, Stroke& s, float ax, float ay, float bx, float by, float reach,
                      float r = 0, float dr = 0) {
  Chord& c = s.chord[s.chords++];
  c.x = ax; c.y = ay; c.ex = bx - ax; c.ey = by - ay;
  float inverse = 1.f / std::max(c.ex * c.ex + c.ey * c.ey, f.tiny);
  c.gx = c.ex * inverse; c.gy = c.ey * inverse; c.shift = r * dr * inverse;
  c.low = std::min(ay, by) - reach; c.high = std::max(ay, by) + reach; c.reach = reach;
  c.slope = std::abs(c.ey) > 1e-3f ? 1.f / c.ey : 0.f;
  s.top = std::min(s.top, c.low); s.bottom = std::max(s.bottom, c.high);
}

// Points, radii and opacities from the columns of a primitive.
static void columns(const Frame& f, const float* v, Stroke& s, float& r2, float& a2) {
  float w = f.width, h = f.height, m = side(f);
  auto radius = [&](float r) { return (RADIUS_MIN + RADIUS_SPAN * r) * m; };
  s.x0 = s.x1 = s.x2 = v[0] * w; s.y0 = s.y1 = s.y2 = v[1] * h;
  if (f.primitive == BEZIER) {
    s.x1 = v[2] * w; s.y1 = v[3] * h; s.x2 = v[4] * w; s.y2 = v[5] * h;
    s.r0 = radius(v[6]); r2 = radius(v[7]); s.a0 = v[8]; a2 = v[9];
  } else if (f.primitive == LINE) {
    s.x2 = v[2] * w; s.y2 = v[3] * h; s.x1 = (s.x0 + s.x2) / 2; s.y1 = (s.y0 + s.y2) / 2;
    s.r0 = radius(v[4]); r2 = radius(v[5]); s.a0 = v[6]; a2 = v[7];
  } else if (f.primitive == TRIANGLE) {
    s.x1 = v[2] * w; s.y1 = v[3] * h; s.x2 = v[4] * w; s.y2 = v[5] * h;
    s.r0 = r2 = 0; s.a0 = a2 = v[6];
  } else {
    s.r0 = r2 = radius(v[2]); s.a0 = a2 = v[3];
  }
  float cross = (s.x1 - s.x0) * (s.y2 - s.y0) - (s.y1 - s.y0) * (s.x2 - s.x0);
  s.turn = cross > 0 ? 1.f : cross < 0 ? -1.f : 0.f;
}

// A stroke, turned so that it grows thicker along t, with its chords.
static Stroke load(const Frame& f, const float* v) {
  Stroke s{}; float half = .5f / f.sharp + .5f, r2, a2;
  columns(f, v, s, r2, a2);
  s.colour = v + f.columns - f.channels; s.top = 1e9f; s.bottom = -1e9f; s.turned = s.r0 > r2;
  if (s.turned) { std::swap(s.x0, s.x2); std::swap(s.y0, s.y2); std::swap(s.r0, r2); std::swap(s.a0, a2); }
  s.dr = r2 - s.r0; s.da = a2 - s.a0;
  s.bx = 2 * (s.x1 - s.x0); s.by = 2 * (s.y1 - s.y0); s.ax = s.x0 - 2 * s.x1 + s.x2; s.ay = s.y0 - 2 * s.y1 + s.y2;
  if (f.primitive == TRIANGLE) {
    add_chord(f, s, s.x0, s.y0, s.x1, s.y1, half);
    add_chord(f, s, s.x1, s.y1, s.x2, s.y2, half);
    add_chord(f, s, s.x2, s.y2, s.x0, s.y0, half);
  } else if (f.primitive == BLOCK) {
    float r = s.r0;
    add_chord(f, s, s.x0 - r, s.y0 - r, s.x0 - r, s.y0 + r, half);
    add_chord(f, s, s.x0 + r, s.y0 - r, s.x0 + r, s.y0 + r, half);
  } else {
    int n = f.primitive == BEZIER ? CHORDS : 1;
    float sag = std::hypot(s.ax, s.ay) / (4 * n * n);
    for (int i = 0; i < n; i++) {
      float a = float(i) / n, b = float(i + 1) / n, ra = s.r0 + a * s.dr, rb = s.r0 + b * s.dr;
      add_chord(f, s, s.x0 + a * (s.bx + a * s.ax), s.y0 + a * (s.by + a * s.ay), s.x0 + b * (s.bx + b * s.ax),
                s.y0 + b * (s.by + b * s.ay), std::max(ra, rb) + sag + half, (ra + rb) / 2, s.dr / n);
    }
  }
  return s;
}

// ---- which pixels of a row a stroke can touch -------------------------------------------------------------------------------

// First and last column, in whole vectors of pixels; false where there are none.
#ifndef VECTOR
#define VECTOR 16  // pixels; a power of 2
#endif
static bool touched_columns(const Stroke& s, float y, int width, int& first, int& last) {
  if (!(y > s.top && y < s.bottom)) return false;
  float low = 1e9f, high = -1e9f;
  for (int i = 0; i < s.chords; i++) {
    const Chord& c = s.chord[i];
    if (y <= c.low || y >= c.high) continue;
    float a = c.slope != 0 ? clamp01((y - c.reach - c.y) * c.slope) : 0.f;
    float b = c.slope != 0 ? clamp01((y + c.reach - c.y) * c.slope) : 1.f;
    float xa = c.x + a * c.ex, xb = c.x + b * c.ex;
    low = std::min(low, std::min(xa, xb) - c.reach); high = std::max(high, std::max(xa, xb) + c.reach);
  }
  first = low > 0 ? (low < width ? int(low) : width) : 0;
  last = high < width ? (high > 0 ? int(high) + 1 : 0) : width;
  if (first >= last) return false;
  first &= ~(VECTOR - 1); last = std::min(width, (last + VECTOR - 1) & ~(VECTOR - 1));
  return true;
}

// ---- t*, the nearest place, for the pixels of a row -------------------------------------------------------------------------

// Bézier: the best chord, then Newton steps that are accepted only where the distance falls.
static void nearest_curve(const Frame& f, const Stroke& s, float y, int first, int n, float* __restrict__ out) {
  const float px = s.x0, py = s.y0 - y, bx = s.bx, by = s.by, ax = s.ax, ay = s.ay, dr = s.dr, tiny = f.tiny;
  #pragma omp simd
  for (int i = 0; i < n; i++) {
    float x = first + i + .5f, best = 1e12f, t = 0;
    #pragma GCC unroll 16
    for (int k = 0; k < CHORDS; k++) {
      const Chord& c = s.chord[k];
      float wx = x - c.x, wy = y - c.y, u = clamp01(wx * c.gx + (wy * c.gy + c.shift));
      float dx = wx - u * c.ex, dy = wy - u * c.ey, d = dx * dx + dy * dy;
      u = (u + k) * (1.f / CHORDS);
      float gain = (u - t) * dr, m = d - best - gain * gain;
      bool closer = m * std::abs(m) < 4 * gain * gain * best;  // sqrt(d) - u dr < sqrt(best) - t dr, as dr >= 0
      t = closer ? u : t; best = closer ? d : best;
    }
    float qx = px - x + t * (bx + t * ax), qy = py + t * (by + t * ay), d = std::sqrt(qx * qx + qy * qy + tiny);
    #pragma GCC unroll 4
    for (int k = 0; k < STEPS; k++) {
      float vx = bx + 2 * t * ax, vy = by + 2 * t * ay, u = qx * vx + qy * vy;
      float bend = (vx * vx + vy * vy + 2 * (qx * ax + qy * ay)) * d - dr * u;
      float v = clamp01(t - (u - dr * d) * d / std::max(bend, tiny));
      float nx = px - x + v * (bx + v * ax), ny = py + v * (by + v * ay), e = std::sqrt(nx * nx + ny * ny + tiny);
      bool falls = e - v * dr < d - t * dr;
      t = falls ? v : t; qx = falls ? nx : qx; qy = falls ? ny : qy; d = falls ? e : d;
    }
    out[i] = t;
  }
}

// Line: the closed form.
static void nearest_line(const Frame& f, const Stroke& s, float y, int first, int n, float* __restrict__ out) {
  float ex = s.x2 - s.x0, ey = s.y2 - s.y0, length = ex * ex + ey * ey, inverse = 1.f / std::max(length, f.tiny);
  if (length <= s.dr * s.dr) { std::fill(out, out + n, s.dr > 0 ? 1.f : 0.f); return; }
  float slant = s.dr / std::sqrt(std::max(length - s.dr * s.dr, f.tiny)) * inverse;
  #pragma omp simd
  for (int i = 0; i < n; i++) {
    float wx = first + i + .5f - s.x0, wy = y - s.y0;
    out[i] = clamp01((wx * ex + wy * ey) * inverse + std::abs(wx * ey - wy * ex) * slant);
  }
}
// Triangle: the nearest edge and the place on it.
static void nearest_edge(const Stroke& s, float y, int first, int n, float* __restrict__ out) {
  #pragma omp simd
  for (int i = 0; i < n; i++) {
    float x = first + i + .5f, best = 1e30f, t = 0; bool inside = true;
    #pragma GCC unroll 3
    for (int k = 0; k < 3; k++) {
      const Chord& c = s.chord[k];
      float wx = x - c.x, wy = y - c.y, u = clamp01(wx * c.gx + wy * c.gy);
      float dx = wx - u * c.ex, dy = wy - u * c.ey, d = dx * dx + dy * dy;
      inside = inside & (s.turn * (c.ex * wy - c.ey * wx) > 0);
      t = d < best ? k + u : t; best = d < best ? d : best;
    }
    out[i] = inside ? t + 1 : -t - 1;  // 1 + edge + place on it, negative outside
  }
}

// ---- coverage, and the direction (nx, ny) in which the distance changes when the nearest point moves ------------------------

static void cover_swept(const Frame& f, const Stroke& s, float y, int first, int n, const float* __restrict__ t,
                        float* __restrict__ cover, float* __restrict__ nx, float* __restrict__ ny) {
  #pragma omp simd
  for (int i = 0; i < n; i++) {
    float u = t[i], qx = s.x0 - (first + i + .5f) + u * (s.bx + u * s.ax), qy = s.y0 - y + u * (s.by + u * s.ay);
    float d = std::sqrt(qx * qx + qy * qy + f.tiny);
    nx[i] = qx / d; ny[i] = qy / d; cover[i] = clamp01(.5f - (d - s.r0 - u * s.dr) * f.sharp);
  }
}
static void cover_block(const Frame& f, const Stroke& s, float y, int first, int n, float* __restrict__ cover,
                        float* __restrict__ nx, float* __restrict__ ny) {
  #pragma omp simd
  for (int i = 0; i < n; i++) {
    float qx = s.x0 - (first + i + .5f), qy = s.y0 - y, dx = std::abs(qx) - s.r0, dy = std::abs(qy) - s.r0;
    float ox = dx > 0 ? dx : 0.f, oy = dy > 0 ? dy : 0.f, d = std::sqrt(ox * ox + oy * oy + f.tiny);
    float m = dx > dy ? dx : dy;
    bool in = m < 0;
    float ix = in ? (dx > dy ? 1.f : 0.f) : ox / d, iy = in ? (dx > dy ? 0.f : 1.f) : oy / d;
    nx[i] = qx < 0 ? -ix : ix; ny[i] = qy < 0 ? -iy : iy; cover[i] = clamp01(.5f - (in ? m : d) * f.sharp);
  }
}

static void cover_triangle(const Frame& f, const Stroke& s, float y, int first, int n, const float* __restrict__ t,
                           float* __restrict__ cover, float* __restrict__ nx, float* __restrict__ ny) {
  const Chord &a = s.chord[0], &b = s.chord[1], &c = s.chord[2];
  #pragma omp simd
  for (int i = 0; i < n; i++) {
    float sign = t[i] > 0 ? -1.f : 1.f, u = std::abs(t[i]) - 1;
    bool e1 = u >= 1, e2 = u >= 2; u = u - (e1 ? 1.f : 0.f) - (e2 ? 1.f : 0.f);
    float cx = e2 ? c.x : e1 ? b.x : a.x, cy = e2 ? c.y : e1 ? b.y : a.y;
    float ex = e2 ? c.ex : e1 ? b.ex : a.ex, ey = e2 ? c.ey : e1 ? b.ey : a.ey;
    float qx = cx + u * ex - (first + i + .5f), qy = cy + u * ey - y, d = std::sqrt(qx * qx + qy * qy + f.tiny);
    nx[i] = sign * qx / d; ny[i] = sign * qy / d; cover[i] = clamp01(.5f - sign * d * f.sharp);
  }
}

// Coverage and alpha of a stroke on a row; `known`: t* is there from the forward pass.
struct Row { float *cover, *nx, *ny, *alpha; };
static void cover_pixels(const Frame& f, const Stroke& s, float y, int first, int n, float* __restrict__ t, bool known, Row r) {
  if (!known && f.primitive == BEZIER) nearest_curve(f, s, y, first, n, t);
  if (!known && f.primitive == LINE) nearest_line(f, s, y, first, n, t);
  if (!known && f.primitive == CIRCLE) std::fill(t, t + n, 0.f);
  if (!known && f.primitive == TRIANGLE) nearest_edge(s, y, first, n, t);
  if (f.primitive == TRIANGLE) cover_triangle(f, s, y, first, n, t, r.cover, r.nx, r.ny);
  else if (f.primitive == BLOCK) cover_block(f, s, y, first, n, r.cover, r.nx, r.ny);
  else cover_swept(f, s, y, first, n, t, r.cover, r.nx, r.ny);
  if (s.da == 0) for (int i = 0; i < n; i++) r.alpha[i] = r.cover[i] * s.a0;
  else for (int i = 0; i < n; i++) r.alpha[i] = r.cover[i] * (s.a0 + s.da * t[i]);
}

// ---- compositing ------------------------------------------------------------------------------------------------------------

struct StrokeMasks {  // masks of one picture, and index of them each stroke has; none: everywhere
  const float* masks; const int* index;
  const float* row(size_t j, size_t plane, size_t at) const { return masks ? masks + index[j] * plane + at : nullptr; }
};
static void mask_alpha(const Frame& f, const float* __restrict__ m, int n, float* __restrict__ a) {
  if (m && !f.paper) for (int i = 0; i < n; i++) a[i] *= m[i];
}
static void blend_row(const Frame& f, const float* __restrict__ m, int n, const float* __restrict__ a, float ink,
                      float* __restrict__ row) {
  if (m && f.paper) {
    #pragma omp simd
    for (int i = 0; i < n; i++) row[i] += a[i] * (ink * m[i] - row[i]);
  } else {
    #pragma omp simd
    for (int i = 0; i < n; i++) row[i] += a[i] * (ink - row[i]);
  }
}

// All strokes on some rows of a canvas; t* is kept in `ts` where a derivative will be wanted.
static void paint_rows(const Frame& f, const Stroke* strokes, StrokeMasks stroke_masks, float* canvas, float* ts, int from,
                       int to) {
  const int w = f.width; const size_t plane = size_t(f.height) * w;
  std::vector<float> buffer(5 * size_t(w)); float* p = buffer.data(); Row r{p, p + w, p + 2 * w, p + 3 * w};
  for (int y = from; y < to; y++)
    for (int j = 0; j < f.strokes; j++) {
      int first, last; const Stroke& s = strokes[j];
      if (!touched_columns(s, y + .5f, w, first, last)) continue;
      int n = last - first; size_t at = size_t(y) * w + first;
      cover_pixels(f, s, y + .5f, first, n, ts ? ts + j * plane + at : p + 4 * w, false, r);
      const float* m = stroke_masks.row(j, plane, at);
      mask_alpha(f, m, n, r.alpha);
      for (int k = 0; k < f.channels; k++) blend_row(f, m, n, r.alpha, s.colour[k], canvas + k * plane + at);
    }
}

// ---- the derivative ---------------------------------------------------------------------------------------------------------

// d is the derivative with respect to alpha; `out` collects those of points, radii and opacities.
static void sums_swept(const Frame& f, const Stroke& s, float y, int first, int n, const float* __restrict__ t,
                       const float* __restrict__ d, Row r, double* out) {
  const float *__restrict__ c = r.cover, *__restrict__ nx = r.nx, *__restrict__ ny = r.ny; const float sharp = f.sharp;
  float x0 = 0, y0 = 0, x1 = 0, y1 = 0, x2 = 0, y2 = 0, r0 = 0, r2 = 0, a0 = 0, a2 = 0;
  #pragma omp simd reduction(+:x0,y0,x1,y1,x2,y2,r0,r2,a0,a2)
  for (int i = 0; i < n; i++) {
    float u = t[i], v = 1 - u, cd = c[i] * d[i], g = c[i] > 0 && c[i] < 1 ? -sharp * (s.a0 + s.da * u) * d[i] : 0.f;
    float qx = s.x0 - (first + i + .5f) + u * (s.bx + u * s.ax), qy = s.y0 - y + u * (s.by + u * s.ay);
    float vx = s.bx + 2 * u * s.ax, vy = s.by + 2 * u * s.ay, speed = vx * vx + vy * vy;
    float bend = speed + 2 * (qx * s.ax + qy * s.ay) - s.dr * (vx * nx[i] + vy * ny[i]);
    float h = u > 0 && u < 1 && bend > STILL * speed ? -cd * s.da / std::max(bend, f.tiny) : 0.f;  // derivative through t*, by F'
    float gx = g * nx[i] + h * (vx - s.dr * nx[i]), gy = g * ny[i] + h * (vy - s.dr * ny[i]);
    float w0 = v * v, w1 = 2 * u * v, w2 = u * u;
    x0 += w0 * gx - 2 * v * h * qx; x1 += w1 * gx + 2 * (v - u) * h * qx; x2 += w2 * gx + 2 * u * h * qx;
    y0 += w0 * gy - 2 * v * h * qy; y1 += w1 * gy + 2 * (v - u) * h * qy; y2 += w2 * gy + 2 * u * h * qy;
    float far = h * (qx * nx[i] + qy * ny[i]); r0 += far - v * g; r2 -= far + u * g; a0 += v * cd; a2 += u * cd;
  }
  const float got[10] = {x0, y0, x1, y1, x2, y2, r0, r2, a0, a2};
  for (int k = 0; k < 10; k++) out[k] += got[k];
}

static void sums_block(const Frame& f, const Stroke& s, int n, const float* __restrict__ d, Row r, double* out) {
  const float *__restrict__ c = r.cover, *__restrict__ nx = r.nx, *__restrict__ ny = r.ny; const float sharp = f.sharp;
  float x0 = 0, y0 = 0, r0 = 0, a0 = 0;
  #pragma omp simd reduction(+:x0,y0,r0,a0)
  for (int i = 0; i < n; i++) {
    float g = c[i] > 0 && c[i] < 1 ? -sharp * s.a0 * d[i] : 0.f;
    x0 += g * nx[i]; y0 += g * ny[i]; r0 -= g * (std::abs(nx[i]) + std::abs(ny[i])); a0 += c[i] * d[i];
  }
  out[0] += x0; out[1] += y0; out[6] += r0; out[8] += a0;
}

static void sums_triangle(const Frame& f, const Stroke& s, int n, const float* __restrict__ t,
                          const float* __restrict__ d, Row r, double* out) {
  const float *__restrict__ c = r.cover, *__restrict__ nx = r.nx, *__restrict__ ny = r.ny; const float sharp = f.sharp;
  float x0 = 0, y0 = 0, x1 = 0, y1 = 0, x2 = 0, y2 = 0, a0 = 0;
  #pragma omp simd reduction(+:x0,y0,x1,y1,x2,y2,a0)
  for (int i = 0; i < n; i++) {
    float g = c[i] > 0 && c[i] < 1 ? -sharp * s.a0 * d[i] : 0.f, gx = g * nx[i], gy = g * ny[i], u = std::abs(t[i]) - 1;
    bool e1 = u >= 1, e2 = u >= 2; u = u - (e1 ? 1.f : 0.f) - (e2 ? 1.f : 0.f);
    float v = 1 - u, w0 = e2 ? u : e1 ? 0.f : v, w1 = e2 ? 0.f : e1 ? v : u, w2 = e2 ? v : e1 ? u : 0.f;
    x0 += w0 * gx; y0 += w0 * gy; x1 += w1 * gx; y1 += w1 * gy; x2 += w2 * gx; y2 += w2 * gy; a0 += c[i] * d[i];
  }
  const float got[9] = {x0, y0, x1, y1, x2, y2, 0, 0, a0};
  for (int k = 0; k < 9; k++) out[k] += got[k];
}

// From points, radii and opacities back to the columns of a primitive.
static void store(const Frame& f, bool turned, double* s, float* out) {
  if (turned) { std::swap(s[0], s[4]); std::swap(s[1], s[5]); std::swap(s[6], s[7]); std::swap(s[8], s[9]); }
  double w = f.width, h = f.height, r = RADIUS_SPAN * double(side(f)); int n = 0;
  double v[10] = {s[0] * w, s[1] * h, s[2] * w, s[3] * h, s[4] * w, s[5] * h, s[6] * r, s[7] * r, s[8], s[9]};
  auto put = [&](double x) { out[n++] = float(x); };
  if (f.primitive == LINE) { put(v[0] + v[2] / 2); put(v[1] + v[3] / 2); put(v[4] + v[2] / 2); put(v[5] + v[3] / 2); }
  else if (f.primitive == BEZIER || f.primitive == TRIANGLE) for (int k = 0; k < 6; k++) put(v[k]);
  else { put(v[0] + v[2] + v[4]); put(v[1] + v[3] + v[5]); put(v[6] + v[7]); }
  if (f.primitive <= LINE) for (int k = 6; k < 10; k++) put(v[k]);
  else put(v[8] + v[9]);
  for (int k = 0; k < f.channels; k++) put(s[10 + k]);
}

// One stroke on a row: its derivatives go to `out`, and `grad` becomes the derivative with respect to the canvas below it.
static void backward_stroke(const Frame& f, const Stroke& s, int y, int first, int n, float* t, const float* before,
                        const float* __restrict__ m, float* grad, Row r, float* __restrict__ d, double* out) {
  const float* __restrict__ a = r.alpha; const size_t plane = size_t(f.height) * f.width;
  std::fill_n(d, n, 0.f);
  for (int k = 0; k < f.channels; k++) {
    float ink = s.colour[k], sum = 0, *__restrict__ g = grad + k * plane;
    const float* __restrict__ b = before + size_t(k) * f.width;
    bool masked_colour = m && f.paper;
    #pragma omp simd reduction(+:sum)
    for (int i = 0; i < n; i++) {
      float rest = g[i] - a[i] * g[i], q = masked_colour ? m[i] : 1.f;
      d[i] += g[i] * (ink * q - b[i]); sum += a[i] * g[i] * q;
      g[i] = std::abs(rest) < 1e-30f ? 0.f : rest;  // numbers too small to be normal are slow
    }
    out[10 + k] += sum;
  }
  mask_alpha(f, m, n, d);
  if (f.primitive == TRIANGLE) sums_triangle(f, s, n, t, d, r, out);
  else if (f.primitive == BLOCK) sums_block(f, s, n, d, r, out);
  else sums_swept(f, s, y + .5f, first, n, t, d, r, out);
}

// Down: every row is painted again and each state kept. Up: the derivative goes from the last stroke to the first.
static void backward_rows(const Frame& f, const Stroke* strokes, StrokeMasks stroke_masks, const float* canvas, float* ts,
                      float* grad, double* sums) {
  const int w = f.width, C = f.channels, width = 10 + C; const size_t plane = size_t(f.height) * w, N = f.strokes;
  std::vector<float> before(N * C * w), buffer(N * 4 * w), row(size_t(C) * w), d(w);
  std::vector<int> from(N), to(N);
  auto place = [&](size_t j) { float* p = &buffer[j * 4 * w]; return Row{p, p + w, p + 2 * w, p + 3 * w}; };
  for (int y = 0; y < f.height; y++) {
    for (int k = 0; k < C; k++) std::copy_n(canvas + k * plane + size_t(y) * w, w, &row[size_t(k) * w]);
    for (size_t j = 0; j < N; j++) {
      if (!touched_columns(strokes[j], y + .5f, w, from[j], to[j])) { from[j] = to[j] = 0; continue; }
      int n = to[j] - from[j]; Row r = place(j);
      size_t at = size_t(y) * w + from[j]; const float* m = stroke_masks.row(j, plane, at);
      cover_pixels(f, strokes[j], y + .5f, from[j], n, ts + j * plane + at, true, r);
      mask_alpha(f, m, n, r.alpha);
      for (int k = 0; k < C; k++) {
        float* c = &row[size_t(k) * w + from[j]];
        std::copy_n(c, n, &before[(j * C + k) * w]);
        blend_row(f, m, n, r.alpha, strokes[j].colour[k], c);
      }
    }
    for (size_t j = N; j-- > 0;) {
      if (to[j] <= from[j]) continue;
      size_t at = size_t(y) * w + from[j];
      backward_stroke(f, strokes[j], y, from[j], to[j] - from[j], ts + j * plane + at, &before[j * C * w],
                  stroke_masks.row(j, plane, at), grad + at, place(j), d.data(), sums + j * width);
    }
  }
}

// ---- called from Python -----------------------------------------------------------------------------------------------------

// Work shared by threads, in equal parts.
template <class F> static void parallel(long count, int threads, F work) {
  if (std::min<long>(threads, count) < 2) return work(0L, count);
  std::vector<std::thread> workers;
  for (long i = 0; i < threads; i++) workers.emplace_back(work, count * i / threads, count * (i + 1) / threads);
  for (auto& one : workers) one.join();
}

static StrokeMasks masks_of(const Frame& f, long b, const float* masks, const int* index) {
  return {masks ? masks + size_t(b) * f.masks * f.height * f.width : nullptr, index};
}
extern "C" void forward(const Frame* f, int batch, const float* strokes, const float* masks, const int* index,
                      float* canvas, float* ts, int threads) {
  const size_t plane = size_t(f->height) * f->width, N = f->strokes; const long rows = f->height;
  std::vector<Stroke> s(batch * N);
  for (size_t i = 0; i < s.size(); i++) s[i] = load(*f, strokes + i * f->columns);
  parallel(batch * rows, threads, [&](long from, long to) {
    for (long b = from / rows; b * rows < to; b++)
      paint_rows(*f, s.data() + b * N, masks_of(*f, b, masks, index), canvas + b * f->channels * plane,
                 ts ? ts + b * N * plane : nullptr, int(std::max(from - b * rows, 0L)),
                 int(std::min(to - b * rows, rows)));
  });
}
extern "C" void backward(const Frame* f, int batch, const float* strokes, const float* masks, const int* index,
                     const float* canvas, float* ts, float* grad, float* out, int threads) {
  const size_t plane = size_t(f->height) * f->width, N = f->strokes, C = f->channels, width = 10 + C;
  parallel(batch, threads, [&](long from, long to) {
    for (long b = from; b < to; b++) {
      std::vector<Stroke> s(N); std::vector<double> sums(N * width);
      for (size_t j = 0; j < N; j++) s[j] = load(*f, strokes + (b * N + j) * f->columns);
      backward_rows(*f, s.data(), masks_of(*f, b, masks, index), canvas + b * C * plane, ts + b * N * plane,
                grad + b * C * plane, sums.data());
      for (size_t j = 0; j < N; j++) store(*f, s[j].turned, &sums[j * width], out + (b * N + j) * f->columns);
    }
  });
}
