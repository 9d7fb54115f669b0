// A painting is a list of strokes; this script draws it, by the formula that `stroke.exact` uses, wherever a page can run one.
// CHORDS, STEPS, RADIUS_MIN, RADIUS_SPAN, PRIMITIVES, OPACITY_PRESETS, BACKGROUNDS, SCHEMA and WORKING come from Python: `stroke.page` writes them first.

// ---- reading ---------------------------------------------------------------------------------------------------------------

const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function readPainting(value) {
  const p = typeof value === "string" ? JSON.parse(value) : value;
  if (p?.schema !== SCHEMA) throw new Error(`expected a painting of schema ${SCHEMA}, got ${p?.schema}`);
  const columns = PRIMITIVES[p.primitive];
  if (!columns) throw new Error(`expected strokes of ${Object.keys(PRIMITIVES).join(", ")}, got ${p.primitive}`);
  const n = p.strokes.length, strokes = Float64Array.from(p.strokes.flat());
  if (strokes.length !== n * columns.length || strokes.some((v) => !Number.isFinite(v)))
    throw new Error(`expected ${columns.length} finite numbers for each of ${n} strokes`);
  let masks = null;
  if (p.masks) {
    const bytes = await inflate(bytesOf(p.masks["float32-zlib-base64"])), [count, h, w] = p.masks.shape;
    if (bytes.length !== 4 * count * h * w) throw new Error("the masks are damaged");
    masks = { count, h, w, data: new Float32Array(bytes.buffer) };
  }
  const background = typeof p.background === "string" ? BACKGROUNDS[p.background] : p.background;
  return { ...p, n, columns, strokes, masks, background, at: (k, name) => strokes[k * columns.length + columns.indexOf(name)] };
}

// ---- drawing ---------------------------------------------------------------------------------------------------------------

const clamp01 = (v) => (v < 0 ? 0 : v > 1 ? 1 : v), TINY = 1e-9;
const NEAR = 40, THROUGH = 2e-4; // strokes that are painted on rather than begun anew; light that is none

// A stroke in pixels: ends, control point, radii and opacities; a thicker start is turned into a thicker end.
function inPixels(p, k, h, w) {
  const names = p.columns, side = Math.min(h, w), get = (name, other) => p.at(k, names.includes(name) ? name : other);
  const radius = (v) => (RADIUS_MIN + RADIUS_SPAN * v) * side, point = p.primitive === "circle" || p.primitive === "block";
  const s = { primitive: p.primitive, x0: p.at(k, "x0") * w, y0: p.at(k, "y0") * h, r0: 0, r2: 0, a0: p.at(k, "a0") };
  s.x2 = point ? s.x0 : p.at(k, "x2") * w; s.y2 = point ? s.y0 : p.at(k, "y2") * h; s.a2 = get("a2", "a0");
  s.x1 = names.includes("x1") ? p.at(k, "x1") * w : (s.x0 + s.x2) / 2;
  s.y1 = names.includes("y1") ? p.at(k, "y1") * h : (s.y0 + s.y2) / 2;
  if (names.includes("r0")) { s.r0 = radius(p.at(k, "r0")); s.r2 = radius(get("r2", "r0")); }
  const [[low0, span0], [low2, span2]] = OPACITY_PRESETS[p.opacity];
  s.a0 = low0 + span0 * s.a0; s.a2 = names.includes("a2") ? low2 + span2 * s.a2 : s.a0;
  if (s.r0 > s.r2) [s.x0, s.x2, s.y0, s.y2, s.r0, s.r2, s.a0, s.a2] = [s.x2, s.x0, s.y2, s.y0, s.r2, s.r0, s.a2, s.a0];
  s.dr = s.r2 - s.r0; s.da = s.a2 - s.a0;
  s.bx = 2 * (s.x1 - s.x0); s.by = 2 * (s.y1 - s.y0); s.ax = s.x0 - 2 * s.x1 + s.x2; s.ay = s.y0 - 2 * s.y1 + s.y2;
  return s;
}

// Straight pieces of a stroke's spine: where alpha may be above 0, and where the search for the nearest point begins.
function chordsOf(s) {
  const list = [], half = 1;
  const add = (ax, ay, bx, by, reach, shift = 0) => {
    const ex = bx - ax, ey = by - ay, inverse = 1 / Math.max(ex * ex + ey * ey, TINY);
    list.push({ x: ax, y: ay, ex, ey, gx: ex * inverse, gy: ey * inverse, shift: shift * inverse, reach,
                low: Math.min(ay, by) - reach, high: Math.max(ay, by) + reach, slope: Math.abs(ey) > 1e-3 ? 1 / ey : 0 });
  };
  if (s.primitive === "triangle") {
    add(s.x0, s.y0, s.x1, s.y1, half); add(s.x1, s.y1, s.x2, s.y2, half); add(s.x2, s.y2, s.x0, s.y0, half);
  } else if (s.primitive === "block") {
    add(s.x0 - s.r0, s.y0 - s.r0, s.x0 - s.r0, s.y0 + s.r0, half); add(s.x0 + s.r0, s.y0 - s.r0, s.x0 + s.r0, s.y0 + s.r0, half);
  } else {
    const n = s.primitive === "bezier" ? CHORDS : 1, sag = Math.hypot(s.ax, s.ay) / (4 * n * n);
    const at = (t) => [s.x0 + t * (s.bx + t * s.ax), s.y0 + t * (s.by + t * s.ay)];
    for (let i = 0; i < n; i++) {
      const a = i / n, b = (i + 1) / n, ra = s.r0 + a * s.dr, rb = s.r0 + b * s.dr;
      add(...at(a), ...at(b), Math.max(ra, rb) + sag + half, ((ra + rb) / 2) * (s.dr / n));
    }
  }
  return list;
}

// Alpha of a stroke at a pixel centre: 1/2 minus the signed distance, times the opacity there.
const covers = {
  bezier(s, chords) {
    const flat = new Float64Array(chords.flatMap((c) => [c.x, c.y, c.ex, c.ey, c.gx, c.gy, c.shift]));
    const { bx, by, ax, ay, dr, r0, a0, da } = s, n = chords.length, far = r0 + 2 + Math.hypot(ax, ay) / (4 * n * n);
    return (x, y) => {
      let best = Infinity, t = 0;
      for (let i = 0, j = 0; i < n; i++, j += 7) {
        const wx = x - flat[j], wy = y - flat[j + 1];
        let u = wx * flat[j + 4] + wy * flat[j + 5] + flat[j + 6]; u = u < 0 ? 0 : u > 1 ? 1 : u;
        const dx = wx - u * flat[j + 2], dy = wy - u * flat[j + 3], v = (u + i) / n, d = Math.sqrt(dx * dx + dy * dy) - v * dr;
        if (d < best) { best = d; t = v; }
      }
      if (best > far) return 0;
      let qx = s.x0 - x + t * (bx + t * ax), qy = s.y0 - y + t * (by + t * ay), d = Math.sqrt(qx * qx + qy * qy + TINY);
      for (let i = 0; i < STEPS; i++) {
        const vx = bx + 2 * t * ax, vy = by + 2 * t * ay, u = qx * vx + qy * vy;
        const bend = (vx * vx + vy * vy + 2 * (qx * ax + qy * ay)) * d - dr * u;
        const v = clamp01(t - ((u - dr * d) * d) / Math.max(bend, TINY));
        const nx = s.x0 - x + v * (bx + v * ax), ny = s.y0 - y + v * (by + v * ay), e = Math.sqrt(nx * nx + ny * ny + TINY);
        if (e - v * dr < d - t * dr) { t = v; qx = nx; qy = ny; d = e; }
      }
      return clamp01(0.5 - d + r0 + t * dr) * (a0 + t * da);
    };
  },
  line(s) {
    const ex = s.x2 - s.x0, ey = s.y2 - s.y0, long = ex * ex + ey * ey, inverse = 1 / Math.max(long, TINY);
    const swallowed = long <= s.dr * s.dr, slant = s.dr / Math.sqrt(Math.max(long - s.dr * s.dr, TINY)) * inverse;
    return (x, y) => {
      const wx = x - s.x0, wy = y - s.y0;
      const t = swallowed ? +(s.dr > 0) : clamp01((wx * ex + wy * ey) * inverse + Math.abs(wx * ey - wy * ex) * slant);
      return clamp01(0.5 - Math.hypot(wx - t * ex, wy - t * ey) + s.r0 + t * s.dr) * (s.a0 + t * s.da);
    };
  },
  circle: (s) => (x, y) => clamp01(0.5 - Math.hypot(x - s.x0, y - s.y0) + s.r0) * s.a0,
  block: (s) => (x, y) => {
    const dx = Math.abs(x - s.x0) - s.r0, dy = Math.abs(y - s.y0) - s.r0, inside = Math.max(dx, dy);
    return clamp01(0.5 - (inside < 0 ? inside : Math.hypot(Math.max(dx, 0), Math.max(dy, 0)))) * s.a0;
  },
  triangle(s, chords) {
    const turn = Math.sign((s.x1 - s.x0) * (s.y2 - s.y0) - (s.y1 - s.y0) * (s.x2 - s.x0));
    return (x, y) => {
      let best = Infinity, inside = true;
      for (const c of chords) {
        const wx = x - c.x, wy = y - c.y, u = clamp01(wx * c.gx + wy * c.gy);
        inside = inside && turn * (c.ex * wy - c.ey * wx) > 0;
        best = Math.min(best, Math.hypot(wx - u * c.ex, wy - u * c.ey));
      }
      return clamp01(0.5 + (inside ? best : -best)) * s.a0;
    };
  },
};

// First and last pixel of a row that a stroke may touch.
function reach(chords, y, width) {
  let low = Infinity, high = -Infinity;
  for (const c of chords) {
    if (y <= c.low || y >= c.high) continue;
    const a = c.slope ? clamp01((y - c.reach - c.y) * c.slope) : 0, b = c.slope ? clamp01((y + c.reach - c.y) * c.slope) : 1;
    const xa = c.x + a * c.ex, xb = c.x + b * c.ex;
    low = Math.min(low, xa - c.reach, xb - c.reach); high = Math.max(high, xa + c.reach, xb + c.reach);
  }
  return [Math.max(0, Math.floor(low)), Math.min(width, Math.ceil(high) + 1)];
}

// What a stroke covers: rows from `top`, for each its first pixel and how many, and their alpha one after the other.
function coverOf(p, k, h, w) {
  const s = inPixels(p, k, h, w), chords = chordsOf(s), alphaAt = covers[s.primitive](s, chords);
  const top = Math.max(0, Math.floor(Math.min(...chords.map((c) => c.low)))), rows = [];
  const bottom = Math.min(h, Math.ceil(Math.max(...chords.map((c) => c.high))));
  const spans = []; let total = 0;
  for (let y = top; y < bottom; y++) {
    const [first, last] = reach(chords, y + 0.5, w), count = Math.max(0, last - first);
    spans.push(first, count); total += count;
  }
  const alpha = new Float32Array(total);
  for (let i = 0, j = 0; i < spans.length; i += 2)
    for (let x = spans[i], end = x + spans[i + 1], y = top + i / 2 + 0.5; x < end; x++) alpha[j++] = alphaAt(x + 0.5, y);
  return { top, spans, alpha };
}

// A mask at another size, as torch's bilinear interpolation with antialiasing gives it.
function resized(data, h, w, H, W) {
  const weights = (n, N) => Array.from({ length: N }, (_, i) => {
    const scale = n / N, wide = Math.max(1, scale), centre = scale * (i + 0.5);
    const first = Math.max(0, Math.trunc(centre - wide + 0.5)), last = Math.min(n, Math.trunc(centre + wide + 0.5));
    const list = Array.from({ length: last - first }, (_, j) => Math.max(0, 1 - Math.abs((j + first - centre + 0.5) / wide)));
    const sum = list.reduce((a, b) => a + b, 0);
    return [first, list.map((v) => v / sum)];
  });
  if (h === H && w === W) return data;
  const across = weights(w, W), down = weights(h, H), middle = new Float32Array(h * W), out = new Float32Array(H * W);
  for (let y = 0; y < h; y++) across.forEach(([first, list], x) => {
    middle[y * W + x] = list.reduce((sum, v, j) => sum + v * data[y * w + first + j], 0);
  });
  down.forEach(([first, list], y) => {
    for (let x = 0; x < W; x++) out[y * W + x] = clamp01(list.reduce((sum, v, j) => sum + v * middle[(first + j) * W + x], 0));
  });
  return out;
}

// A canvas that stands after any stroke: covers and some earlier states are kept, so that going back is as quick as going on.
class Easel {
  constructor(painting, height, width) {
    Object.assign(this, { p: painting, h: height, w: width, kept: new Map(), room: 16e6, stencils: new Map(), hidden: null });
    this.every = Math.max(1, Math.ceil(painting.n / Math.max(2, Math.min(32, Math.floor(6e6 / (3 * height * width))))));
    this.reset();
  }
  reset() { this.states = new Map([[0, this.blank()]]); this.canvas = this.blank(); this.at = 0; this.job = null; }
  blank() {
    const plane = this.h * this.w, canvas = new Float32Array(3 * plane);
    this.p.background.forEach((v, c) => canvas.fill(v, c * plane, (c + 1) * plane));
    return canvas;
  }
  cover(k) {
    let cover = this.kept.get(k);
    if (cover) return cover;
    cover = coverOf(this.p, k, this.h, this.w);
    if ((this.room -= cover.alpha.length) > 0) this.kept.set(k, cover); else this.room += cover.alpha.length;
    return cover;
  }
  stroke_masks(k) {
    const { p, h, w } = this, instance = p.instance ? p.instance[k] : -1, key = `${p.layer[k]} ${instance}`;
    if (this.stencils.has(key)) return this.stencils.get(key);
    const one = (i) => resized(p.masks.data.subarray(i * p.masks.h * p.masks.w, (i + 1) * p.masks.h * p.masks.w), p.masks.h, p.masks.w, h, w);
    let mask = instance >= 0 ? one(instance).slice() : one(0).slice();
    if (instance < 0) for (let i = 1; i < p.masks.count; i++) one(i).forEach((v, j) => { if (v > mask[j]) mask[j] = v; });
    if (!p.layer[k]) mask = mask.map((v) => 1 - v);
    this.stencils.set(key, mask);
    return mask;
  }
  // Every pixel that stroke k may change: act(pixel, alpha, share of the stroke's colour that is laid there).
  each(k, act) {
    const { top, spans, alpha } = this.cover(k), p = this.p;
    const mask = p.blend_mode === "plain" ? null : this.stroke_masks(k), paper = p.blend_mode === "paper";
    for (let i = 0, j = 0; i < spans.length; i += 2) {
      const start = (top + i / 2) * this.w + spans[i];
      for (let x = start, end = start + spans[i + 1]; x < end; x++, j++) {
        if (alpha[j] === 0) continue;
        if (!mask) act(x, alpha[j], 1); else if (paper) act(x, alpha[j], mask[x]); else act(x, alpha[j] * mask[x], 1);
      }
    }
  }
  ink(k) { return ["red", "green", "blue"].map((name) => this.p.at(k, name)); }
  lay(k, canvas) {
    const plane = this.h * this.w, [red, green, blue] = this.ink(k);
    this.each(k, (x, a, s) => {
      canvas[x] += a * (s * red - canvas[x]);
      canvas[x + plane] += a * (s * green - canvas[x + plane]);
      canvas[x + 2 * plane] += a * (s * blue - canvas[x + 2 * plane]);
    });
  }
  // Go towards n strokes until a moment (performance.now()); true when there.
  advance(n, until = Infinity) {
    if (n < this.at) {
      this.at = Math.max(...[...this.states.keys()].filter((k) => k <= n));
      this.canvas.set(this.states.get(this.at));
    }
    while (this.at < n) {
      if (!this.hidden || !this.hidden(this.at)) this.lay(this.at, this.canvas);
      this.at++;
      if (this.at % this.every === 0 && !this.states.has(this.at)) this.states.set(this.at, this.canvas.slice());
      if (performance.now() > until) return this.at === n;
    }
    return true;
  }
  draw(n) { this.advance(Math.min(n, this.p.n)); return this.canvas; }
  // To n strokes by the shorter way: on from what stands, or down from the last stroke.
  go(n, until = Infinity) {
    const from = n >= this.at ? this.at : Math.max(...[...this.states.keys()].filter((k) => k <= n));
    return n - from > NEAR ? this.lift(n, until) : this.advance(n, until);
  }
  // The canvas after n strokes, the last one first: what lies under paint that lets nothing through is not worked out.
  lift(n, until = Infinity) {
    const plane = this.h * this.w;
    if (this.job?.n !== n) this.job = { n, k: n, open: plane, left: new Float32Array(plane).fill(1), canvas: new Float32Array(3 * plane) };
    const job = this.job;
    while (job.k > 0 && job.open > 0) {
      job.k--;
      if (!this.hidden?.(job.k)) this.slip(job.k, job);
      if (performance.now() > until) break;
    }
    if (job.k > 0 && job.open > 0) return false;
    this.canvas = this.seen(); this.at = n; this.job = null;
    return true;
  }
  // Stroke k under what the job holds.
  slip(k, job) {
    const plane = this.h * this.w, { left, canvas } = job, [red, green, blue] = this.ink(k);
    this.each(k, (x, a, s) => {
      if (left[x] === 0) return;
      const share = s * a * left[x];
      canvas[x] += share * red; canvas[x + plane] += share * green; canvas[x + 2 * plane] += share * blue;
      left[x] *= 1 - a;
      if (left[x] < THROUGH) { left[x] = 0; job.open--; }
    });
  }
  // What stands: of an unfinished job the strokes that are done, over the background.
  seen() {
    if (!this.job) return this.canvas;
    const { left, canvas } = this.job, plane = this.h * this.w, out = canvas.slice();
    this.p.background.forEach((v, c) => { for (let i = 0; i < plane; i++) out[i + c * plane] += left[i] * v; });
    return out;
  }
  only(k) { const canvas = this.blank(); this.lay(k, canvas); return canvas; }
  changed(k) {
    const old = this.kept.get(k);
    if (old) { this.room += old.alpha.length; this.kept.delete(k); }
    for (const at of [...this.states.keys()]) if (at > k) this.states.delete(at);
    this.job = null;
    if (this.at <= k) return;
    this.at = Math.max(...this.states.keys());
    this.canvas.set(this.states.get(this.at));
  }
  show(context, canvas = this.canvas) {
    const { h, w } = this, image = new ImageData(w, h), plane = h * w;
    for (let i = 0, j = 0; i < plane; i++, j += 4) {
      image.data[j] = 255 * canvas[i]; image.data[j + 1] = 255 * canvas[i + plane];
      image.data[j + 2] = 255 * canvas[i + 2 * plane]; image.data[j + 3] = 255;
    }
    Object.assign(context.canvas, { width: w, height: h });
    context.putImageData(image, 0, 0);
  }
  // The topmost stroke among the first n that covers a pixel; -1 for none.
  hit(n, x, y) {
    for (let k = n - 1; k >= 0; k--) {
      if (this.hidden?.(k)) continue;
      const s = inPixels(this.p, k, this.h, this.w), alpha = covers[s.primitive](s, chordsOf(s))(x + 0.5, y + 0.5);
      const seen = this.p.blend_mode === "masked" ? this.stroke_masks(k)[y * this.w + x] : 1;
      if (alpha * seen > 0.1) return k;
    }
    return -1;
  }
}

// ---- elements, colours, keys -----------------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";

// An element: attributes by name, `on…` as listeners, children as elements or text; data never becomes markup.
function h(tag, attributes = {}, ...children) {
  const drawn = ["svg", "path", "circle", "rect", "line", "polyline", "g", "text"].includes(tag);
  const element = drawn ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((c) => c != null));
  return element;
}

const LOOK = `
:host, .sg { --sg-ink: var(--jp-ui-font-color1, var(--vscode-foreground, #1b1f24));
  --sg-paper: var(--jp-layout-color1, var(--vscode-editor-background, #ffffff));
  --sg-line: var(--jp-border-color0, var(--vscode-contrastBorder, #767c84)); --sg-accent: var(--jp-brand-color1, #0b63a5);
  --sg-blue: #0072b2; --sg-orange: #d55e00; --sg-green: #009e73; --sg-pink: #cc79a7; }
@media (prefers-color-scheme: dark) { :host, .sg { --sg-ink: var(--jp-ui-font-color1, var(--vscode-foreground, #e8eaed));
  --sg-paper: var(--jp-layout-color1, var(--vscode-editor-background, #16181c));
  --sg-line: var(--jp-border-color0, var(--vscode-contrastBorder, #8b929b)); --sg-accent: var(--jp-brand-color1, #6cb6ff);
  --sg-blue: #56b4e9; --sg-orange: #f0a35e; } }
.sg { color: var(--sg-ink); background: var(--sg-paper); font: 14px/1.45 system-ui, sans-serif; padding: 8px; max-width: 1060px;
  border: 1px solid var(--sg-line); border-radius: 6px; margin: 0; box-sizing: border-box; text-align: left; }
.sg *, .sg *::before { box-sizing: border-box; }
.sg-row { display: flex; flex-wrap: wrap; gap: 8px 12px; align-items: center; margin-top: 6px; }
.sg-stages { display: flex; flex-wrap: wrap; gap: 12px; align-items: flex-start; }
.sg-stage { margin: 0; position: relative; flex: 0 1 auto; max-width: 100%; } .sg-stages > .sg-stage { flex: 1 1 240px; min-width: 0; }
.sg-board { position: relative; line-height: 0; }
.sg-board canvas { display: block; width: 100%; height: 100%; outline: 1px solid var(--sg-line); }
.sg-board svg { position: absolute; inset: 0; width: 100%; height: 100%; overflow: visible; pointer-events: none; }
.sg-board .marks { clip-path: inset(-9px); } .sg-board svg .grip { pointer-events: all; cursor: grab; touch-action: none; }
.sg button, .sg select, .sg input { font: inherit; color: inherit; }
.sg button, .sg select { background: transparent; border: 1px solid var(--sg-line); border-radius: 4px; min-height: 28px; min-width: 32px; }
.sg option { color: #1b1f24; background: #ffffff; }
.sg button svg { width: 16px; height: 16px; vertical-align: middle; fill: currentColor; }
.sg :focus-visible { outline: 3px solid var(--sg-accent); outline-offset: 2px; }
.sg input[type=range] { flex: 1 1 160px; min-width: 120px; accent-color: var(--sg-accent); }
.sg output, .sg .figure { font-variant-numeric: tabular-nums; display: inline-block; }
.sg figcaption { line-height: 1.3; margin-top: 4px; overflow-wrap: anywhere; }
.sg dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(118px, 1fr)); gap: 0 12px; margin: 6px 0 0; }
.sg dl div { display: flex; justify-content: space-between; gap: 6px; } .sg dd { margin: 0; font-variant-numeric: tabular-nums; }
.sg .swatch { display: inline-block; width: 14px; height: 14px; border: 1px solid var(--sg-line); vertical-align: -2px; }
.sg .wrong { border-left: 4px solid var(--sg-orange); padding-left: 8px; } .sg fieldset { border: 0; margin: 0; padding: 0; display: flex; gap: 10px; flex-wrap: wrap; }
.sg .chart { width: 100%; max-width: 520px; height: 120px; display: block; } .sg label { white-space: nowrap; }
@media (prefers-reduced-motion: reduce) { .sg * { transition: none; animation: none; } }
`;

const ICONS = { first: "M3 2h2v12H3zM14 2v12L6 8z", back: "M11 2v12L3 8z", play: "M4 2l10 6-10 6z", pause: "M3 2h4v12H3zM9 2h4v12H9z",
                on: "M5 2v12l8-6z", last: "M2 2v12l8-6zM11 2h2v12h-2z" };
const icon = (name) => h("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, h("path", { d: ICONS[name] }));

const sheetFor = (el) => el.append(h("style", {}, LOOK));

// Keys pressed here stay here: JupyterLab would cut a cell at an x.
function guard(root) {
  for (const element of [root, ...root.querySelectorAll("button, input, select, textarea, [tabindex]")])
    element.setAttribute("data-lm-suppress-shortcuts", "true");
  for (const name of ["keydown", "keyup", "keypress"]) root.addEventListener(name, (event) => event.stopPropagation());
}

// The size to draw at while things move; `stroke.page` has the same function.
function working([height, width]) {
  const scale = Math.min(WORKING[0] / Math.min(height, width), WORKING[1] / Math.max(height, width));
  return [Math.max(1, Math.round(height * scale)), Math.max(1, Math.round(width * scale))];
}

// Pixels (3·h·w, in [0, 1]) of a picture given as a data address, at a size.
async function pixelsOf(url, height, width) {
  const image = new Image();
  image.src = url;
  await image.decode();
  const context = h("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height), plane = height * width, out = new Float32Array(3 * plane);
  for (let i = 0; i < plane; i++) for (let c = 0; c < 3; c++) out[i + c * plane] = data[4 * i + c] / 255;
  return out;
}

// The outline of a stroke as an SVG path, for the eye: discs along the spine, joined on both sides.
function outline(p, k, height, width) {
  const s = inPixels(p, k, height, width), f = (v) => v.toFixed(2);
  if (s.primitive === "triangle") return `M${f(s.x0)} ${f(s.y0)}L${f(s.x1)} ${f(s.y1)}L${f(s.x2)} ${f(s.y2)}Z`;
  if (s.primitive === "block") return `M${f(s.x0 - s.r0)} ${f(s.y0 - s.r0)}h${f(2 * s.r0)}v${f(2 * s.r0)}h${f(-2 * s.r0)}Z`;
  const disc = (x, y, r) => `M${f(x - r)} ${f(y)}a${f(r)} ${f(r)} 0 1 0 ${f(2 * r)} 0a${f(r)} ${f(r)} 0 1 0 ${f(-2 * r)} 0`;
  if (s.primitive === "circle") return disc(s.x0, s.y0, s.r0);
  const left = [], right = [];
  for (let i = 0; i <= 24; i++) {
    const t = i / 24, vx = s.bx + 2 * t * s.ax, vy = s.by + 2 * t * s.ay, long = Math.hypot(vx, vy) || 1, r = s.r0 + t * s.dr;
    const x = s.x0 + t * (s.bx + t * s.ax), y = s.y0 + t * (s.by + t * s.ay);
    left.push(`${f(x - (vy / long) * r)} ${f(y + (vx / long) * r)}`); right.unshift(`${f(x + (vy / long) * r)} ${f(y - (vx / long) * r)}`);
  }
  return `M${left.join("L")}M${right.join("L")}${disc(s.x0, s.y0, s.r0)}${disc(s.x2, s.y2, s.r2)}`;
}

// ---- the player ------------------------------------------------------------------------------------------------------------

const INKS = ["--sg-blue", "--sg-orange", "--sg-green", "--sg-pink"], DASH = ["", "6 3", "2 3", "8 3 2 3"];
const SPEEDS = [0.25, 0.5, 1, 2, 4];

// Paintings side by side, on one clock. `extras[i]` may hold `target` (a data address), `boxes` [[x, y, w, h]] and `panels` [{name, url}].
class Player {
  constructor(host, paintings, extras = []) {
    Object.assign(this, { host, paintings, n: Math.max(0, ...paintings.map((p) => p.n)), speed: 1, playing: false, pinned: null, hover: null,
                          hidden: new Set(), alone: false, overlay: "none", watchers: [] });
    this.total = this.n;
    this.views = paintings.map((p, i) => this.view(p, extras[i] ?? {}, i));
    this.build();
    this.ready = Promise.all(this.views.map((v) => this.prepare(v))).then(() => this.work(true));
    this.watch = new IntersectionObserver(([seen]) => { if (!seen.isIntersecting) this.pause(); });
    this.watch.observe(host);
  }
  close() { this.pause(); this.watch.disconnect(); cancelAnimationFrame(this.frame); clearTimeout(this.later); }
  tell(name) { this.watchers.forEach((f) => f(name, this)); }

  view(p, extra, i) {
    const [height, width] = working(p.size), v = { p, extra, i, easel: new Easel(p, height, width), height, width, errors: null };
    v.shown = Math.round(this.paintings.length > 1 ? Math.min(420, 420 * width / height) : Math.min(768, 512 * Math.max(1, width / height)));
    if (height > width) v.shown = Math.round((this.paintings.length > 1 ? 420 : 512) * width / height);
    v.shown = Math.max(v.shown, 48);
    const name = p.title || "a painting without a title";
    v.canvas = h("canvas", { width, height, role: "img", "aria-label": name });
    v.context = v.canvas.getContext("2d", { willReadFrequently: true });
    v.marks = h("svg", { class: "marks", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    v.board = h("div", { class: "sg-board", style: `width:${v.shown}px;max-width:100%;aspect-ratio:${width}/${height}` }, v.canvas, v.marks);
    v.board.addEventListener("pointermove", (event) => this.over(v, event));
    v.board.addEventListener("pointerleave", () => this.point(null));
    v.board.addEventListener("click", (event) => this.pin(this.under(v, event)));
    v.caption = h("output", { style: "min-width:30ch" });
    v.panels = h("div", { class: "sg-row" });
    v.figure = h("figure", { class: "sg-stage", style: `max-width:max(${v.shown}px,32ch)` }, v.board, h("figcaption", {}, h("strong", {}, name), h("br"), v.caption));
    if (this.paintings.length > 1) v.figure.append(v.panels);  // beside a single painting, below each of several
    return v;
  }
  async prepare(v) {
    for (const { name, url } of v.extra.panels ?? [])
      v.panels.append(h("figure", { class: "sg-stage" }, h("img", { src: url, alt: name, width: 128, style: "image-rendering:pixelated" }), h("figcaption", {}, name)));
    if (!v.extra.target) return;
    v.target = await pixelsOf(v.extra.target, v.height, v.width);
    v.wrong = h("canvas", { width: v.width, height: v.height, role: "img", "aria-label": "error map", style: "width:128px" });
    v.panels.append(
      h("figure", { class: "sg-stage" }, h("img", { src: v.extra.target, alt: "the picture", width: 128 }), h("figcaption", {}, "picture")),
      h("figure", { class: "sg-stage" }, v.wrong, h("figcaption", {}, "error, dark to bright")));
  }

  build() {
    const button = (name, label, act) => h("button", { type: "button", title: label, "aria-label": label, onclick: act }, icon(name));
    this.slider = h("input", { type: "range", min: 0, max: this.total, step: 1, value: this.n, "aria-label": "strokes painted",
                               oninput: () => { this.pause(); this.seek(+this.slider.value); } });
    this.count = h("output", { style: `min-width:${2 * `${this.total}`.length + 11}ch` });
    this.toggle = button("play", "play", () => (this.playing ? this.pause() : this.play()));
    this.pace = h("select", { "aria-label": "speed", onchange: () => { this.speed = +this.pace.value; this.tell("speed"); } },
                  ...SPEEDS.map((v) => h("option", { value: v, selected: v === 1 }, `${v}×`)));
    this.facts = h("dl", { "aria-live": "off" });
    this.heading = h("div", { class: "figure", style: "min-width:34ch" });
    this.charts = { errors: plotting(), rewards: plotting() };
    this.root = h("div", { class: "sg", role: "group", "aria-label": "painting player", onkeydown: (event) => this.key(event) },
      h("div", { class: "sg-stages" }, ...this.views.flatMap((v) => (this.views.length > 1 ? [v.figure] : [v.figure, v.panels]))),
      this.total === 0 ? h("p", {}, "This painting has no strokes.") : h("div", { class: "sg-row" },
        button("first", "to the empty canvas", () => this.seek(0)), button("back", "one stroke back", () => this.step(-1)), this.toggle,
        button("on", "one stroke on", () => this.step(1)), button("last", "to the last stroke", () => this.seek(this.total)),
        this.slider, this.count, this.pace),
      this.choices(), h("div", { class: "sg-row" }, this.heading), this.facts, ...Object.values(this.charts).flatMap(({ legend, svg }) => [legend, svg]));
    this.shell = this.host.shadowRoot ?? this.host.attachShadow({ mode: "open" });
    this.shell.replaceChildren(h("style", {}, LOOK), this.root);
    this.host.setAttribute("data-lm-suppress-shortcuts", "true");
    guard(this.root);
  }
  // Switches for what there is: layers, instances, overlays; none that could not act.
  choices() {
    this.boxes = new Map();
    const tick = (name, label, on, act) => {
      this.boxes.set(name, h("input", { type: "checkbox", checked: on, onchange: (e) => act(e.target.checked) }));
      return h("label", {}, this.boxes.get(name), ` ${label}`);
    };
    const groups = new Set(this.paintings.flatMap((p) => [...(p.layer ?? []).map((v) => `layer ${v}`), ...(p.masks?.count > 1 ? (p.instance ?? []).map((v) => `instance ${v}`) : [])]));
    const called = { "layer 0": "background", "layer 1": "foreground", "instance -1": "all instances" };
    const list = [...groups].sort();
    const row = h("div", { class: "sg-row" });
    if (list.length > 1) row.append(h("fieldset", { "aria-label": "strokes shown" }, ...list.map((g) => tick(g, called[g] ?? g, true, (on) => this.hide(g, !on)))));
    if (this.total > 0) row.append(tick("alone", "this stroke alone", false, (on) => { this.alone = on; this.work(); this.tell("alone"); }));
    const overlays = ["none", ...(this.paintings.some((p) => p.masks) ? ["mask"] : []), ...(this.views.some((v) => v.extra.boxes) ? ["box"] : [])];
    if (overlays.length > 1) {
      this.layers = h("select", { onchange: () => { this.overlay = this.layers.value; this.mark(); this.tell("overlay"); } }, ...overlays.map((o) => h("option", {}, o)));
      row.append(h("label", {}, "overlay ", this.layers));
    }
    return row;
  }

  key(event) {
    const tag = event.composedPath()[0].tagName, typed = tag === "SELECT" || (tag === "INPUT" && event.composedPath()[0].type !== "range");
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageUp: 10, PageDown: -10, Home: -this.total, End: this.total };
    if (typed || event.ctrlKey || event.metaKey || event.altKey || !this.total) return;
    if (event.key in steps) this.step(steps[event.key]);
    else if (event.key === " " && tag !== "BUTTON") this.playing ? this.pause() : this.play();
    else if (event.key === "Escape") this.pin(null);
    else return;
    event.preventDefault();
  }

  // -- time
  step(by) { this.pause(); this.seek(this.n + by); }
  seek(n) { this.n = Math.max(0, Math.min(this.total, Math.round(n))); this.work(); this.tell("n"); }
  play() {
    if (this.playing || !this.total) return;
    if (this.n >= this.total) this.n = 0;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    let at = this.n, before = performance.now();
    const tick = (now) => {
      at += ((now - before) / 8000) * this.total * this.speed; before = now;
      const n = Math.min(this.total, Math.floor(calm ? at - (at % Math.max(1, this.total / 10)) : at));
      if (at >= this.total) { this.seek(this.total); return this.pause(); }
      if (n > this.n) this.seek(n);
      this.clock = requestAnimationFrame(tick);
    };
    this.playing = true; this.button("pause"); this.clock = requestAnimationFrame(tick); this.tell("playing");
  }
  pause() {
    if (!this.playing) return;
    this.playing = false; cancelAnimationFrame(this.clock); this.button("play"); this.tell("playing"); this.work();
  }
  button(name) { this.toggle.replaceChildren(icon(name)); this.toggle.title = name; this.toggle.setAttribute("aria-label", name); }

  // -- drawing: at a small size at once, in slices where there is much to do; then sharp, when nothing moves
  strokes(v) { return Math.min(this.n, v.p.n); }
  work(opening = false) {
    cancelAnimationFrame(this.frame); clearTimeout(this.later);
    const until = performance.now() + 25, left = this.views.filter((v) => !v.easel.go(this.strokes(v), until));
    this.views.forEach((v) => { if (!left.includes(v)) this.paint(v, v.easel); else if (opening) v.easel.show(v.context, v.easel.seen()); });
    this.read();
    if (left.length) this.frame = requestAnimationFrame(() => this.work(opening));
    else if (!this.playing) this.later = setTimeout(() => this.refine(), 150);
  }
  paint(v, easel) {
    const k = this.pinned ?? this.strokes(v) - 1;
    easel.show(v.context, this.alone && k >= 0 && k < v.p.n ? easel.only(k) : easel.canvas);
    v.canvas.setAttribute("data-strokes", easel.at);
  }
  refine() {
    const until = performance.now() + 12, ratio = Math.min(2, devicePixelRatio || 1);
    const rest = this.views.filter((v) => {
      const wide = Math.round(Math.min(640, (v.board.clientWidth || v.shown) * ratio)), tall = Math.max(1, Math.round((wide * v.height) / v.width));
      if (wide <= v.width) return false;
      if (v.fine?.w !== wide) { v.fine = new Easel(v.p, tall, wide); v.fine.hidden = v.easel.hidden; }
      if (!v.fine.go(this.strokes(v), until)) return true;
      this.paint(v, v.fine);
      return false;
    });
    if (rest.length) this.later = setTimeout(() => this.refine(), 0);
    else this.measure();
  }
  hide(group, hidden) { this.hidden[hidden ? "add" : "delete"](group); this.showing(); }
  showOnly(hidden) { this.hidden = new Set(hidden); this.boxes.forEach((box, name) => { if (name !== "alone") box.checked = !this.hidden.has(name); }); this.showing(); }
  showing() {
    for (const v of this.views) {
      const of = (k) => this.hidden.has(`layer ${v.p.layer?.[k]}`) || this.hidden.has(`instance ${v.p.instance?.[k]}`);
      for (const easel of [v.easel, v.fine]) if (easel) { easel.hidden = this.hidden.size ? of : null; easel.reset(); }
    }
    this.work(); this.tell("hidden");
  }

  // -- which stroke is looked at
  under(v, event) {
    const box = v.board.getBoundingClientRect(), x = ((event.clientX - box.left) / box.width) * v.width, y = ((event.clientY - box.top) / box.height) * v.height;
    const k = v.easel.hit(this.strokes(v), Math.floor(x), Math.floor(y));
    this.of = v;
    return k < 0 ? null : k;
  }
  over(v, event) { if (!event.buttons && this.pinned === null) this.point(this.under(v, event)); }
  point(k) { if (this.hover !== k) { this.hover = k; this.read(); } }
  pin(k) { this.pinned = k; this.hover = null; if (this.alone) this.work(); else this.read(); this.tell("pinned"); }

  // -- words and figures
  read() {
    if (!this.total) return;
    this.slider.value = this.n; this.slider.setAttribute("aria-valuetext", `${this.n} of ${this.total} strokes`);
    this.count.textContent = `stroke ${this.n} of ${this.total}`;
    for (const v of this.views) {
      const wrong = v.target ? `, error ${errorOf(v.easel.canvas, v.target).toPrecision(3)} at ${v.height}×${v.width}` : "";
      v.caption.textContent = `${this.strokes(v)} of ${v.p.n} ${v.p.primitive} strokes${wrong}`;
      if (v.wrong) showError(v.wrong.getContext("2d"), v.easel, v.target);
    }
    const v = this.of && this.views.includes(this.of) ? this.of : this.views[0], k = this.pinned ?? this.hover ?? this.strokes(v) - 1;
    this.describe(v, k); this.mark(v, k); this.plot();
  }
  describe(v, k) {
    if (k < 0 || k >= v.p.n) { this.heading.textContent = "no stroke yet"; this.facts.replaceChildren(); return; }
    const how = this.pinned !== null ? "chosen; Escape lets go" : this.hover !== null ? "under the pointer" : "the newest";
    const rgb = ["red", "green", "blue"].map((c) => Math.round(255 * v.p.at(k, c)));
    const facts = v.p.columns.map((name) => [name, v.p.at(k, name).toFixed(3)]);
    if (v.p.layer) facts.push(["layer", v.p.layer[k] ? "foreground" : "background"]);
    if (v.p.instance) facts.push(["instance", v.p.instance[k] < 0 ? "all" : v.p.instance[k]]);
    if (v.p.step) facts.push(["step", v.p.step[k]]);
    if (v.p.reward) facts.push(["reward", v.p.reward[k].toExponential(2)]);
    this.heading.replaceChildren(h("span", { class: "swatch", style: `background:rgb(${rgb})` }), ` stroke ${k + 1} (${how})`);
    this.facts.replaceChildren(...facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, `${value}`))));
  }
  mark(v = this.of ?? this.views[0], k = this.pinned ?? this.hover ?? -1) {
    for (const view of this.views) view.marks.replaceChildren(...this.overlaid(view));
    if ((this.pinned === null && this.hover === null) || k < 0 || k >= v.p.n) return;
    const d = outline(v.p, k, v.height, v.width), thin = { d, fill: "none", "vector-effect": "non-scaling-stroke" };
    v.marks.append(h("path", { ...thin, stroke: "#000", "stroke-width": 3.5 }), h("path", { ...thin, stroke: "#fff", "stroke-width": 1.5, "stroke-dasharray": "5 3" }));
  }
  overlaid(v) {
    const ink = { fill: "none", stroke: "var(--sg-orange)", "stroke-width": 2, "vector-effect": "non-scaling-stroke" };
    if (this.overlay === "box") return (v.extra.boxes ?? []).map(([x, y, w, t]) => h("rect", { x: x * v.width, y: y * v.height, width: w * v.width, height: t * v.height, ...ink }));
    if (this.overlay !== "mask" || !v.p.masks) return [];
    const { count, h: tall, w: wide, data } = v.p.masks;
    return Array.from({ length: count }, (_, i) => h("path", { d: border(data.subarray(i * tall * wide, (i + 1) * tall * wide), tall, wide, v.height / tall, v.width / wide), ...ink, "stroke-dasharray": DASH[i % 4] }));
  }

  // -- the curves: the error after every stroke where the picture is known, and the reward of every stroke where it is
  measure() {
    const v = this.views.find((v) => v.target && !v.errors);
    if (!v) return;
    if (!v.probe) { v.probe = new Easel(v.p, v.height, v.width); v.probe.kept = v.easel.kept; v.list = [errorOf(v.probe.canvas, v.target)]; }
    const until = performance.now() + 12;
    while (v.list.length <= v.p.n && performance.now() < until) { v.probe.advance(v.list.length); v.list.push(errorOf(v.probe.canvas, v.target)); }
    if (v.list.length > v.p.n) { v.errors = v.list; v.probe = null; this.plot(); this.tell("errors"); }
    this.later = setTimeout(() => this.measure(), 0);
  }
  plot() {
    const how = { names: this.views.map((v, i) => v.p.title || `${i + 1}`), at: this.n, last: this.total };
    chart(this.charts.errors, this.views.map((v) => v.errors), { ...how, what: "error after each stroke (logarithmic)", log: true });
    chart(this.charts.rewards, this.views.map((v) => v.p.reward), { ...how, what: "reward of each stroke", first: 1 });
  }
}

function errorOf(canvas, target) {
  let sum = 0;
  for (let i = 0; i < target.length; i++) sum += (canvas[i] - target[i]) ** 2;
  return sum / target.length;
}

// A place for curves, and for the words that say what they are.
const plotting = () => ({ svg: h("svg", { class: "chart", viewBox: "0 0 520 120", role: "img", preserveAspectRatio: "none" }), legend: h("div", { class: "sg-row" }) });

// Curves over strokes `first`, `first` + 1, … with a cursor; each has its colour, its dashes and its name. Without values: nothing.
function chart({ svg, legend }, curves, { what, log = false, names = [], at = 0, last = 1, first = 0, dots = false }) {
  const all = curves.flatMap((c) => c ?? []), any = all.length > 0 && last > 0;
  svg.style.display = legend.style.display = any ? "" : "none";
  if (!any) return;
  const f = log ? (y) => Math.log(Math.max(y, 1e-6)) : (y) => y, low = Math.min(...all.map(f)), high = Math.max(...all.map(f));
  const x = (i) => 4 + (512 * i) / last, y = (value) => 114 - (108 * (f(value) - low)) / (high - low || 1), thin = { "vector-effect": "non-scaling-stroke" };
  const parts = curves.flatMap((c, i) => !c ? [] : [h("polyline", { points: c.map((value, j) => `${x(j + first).toFixed(1)},${y(value).toFixed(1)}`).join(" "),
    fill: "none", stroke: `var(${INKS[i % 4]})`, "stroke-width": 2, "stroke-dasharray": DASH[i % 4], ...thin }),
    ...(dots ? c.map((value, j) => h("circle", { cx: x(j + first), cy: y(value), r: 3, fill: `var(${INKS[i % 4]})` })) : [])]);
  svg.replaceChildren(...parts, h("line", { x1: x(at), x2: x(at), y1: 2, y2: 118, stroke: "currentColor", ...thin }));
  const word = (value) => (value && Math.abs(value) < 0.001 ? value.toExponential(1) : value.toPrecision(3));
  const said = `${what}, ${word(Math.min(...all))} to ${word(Math.max(...all))}`, style = ["solid", "dashed", "dotted", "double"];
  svg.setAttribute("aria-label", said);
  legend.replaceChildren(h("span", {}, said), ...(curves.length < 2 ? [] : names.map((name, i) =>
    h("span", {}, h("span", { style: `display:inline-block;width:26px;border-top:3px ${style[i % 4]} var(${INKS[i % 4]});vertical-align:4px` }), ` ${name}`))));
}

// The absolute error of every pixel, from dark blue to yellow (cividis in four steps).
function showError(context, easel, target) {
  const steps = [[0, 32, 76], [87, 93, 109], [165, 156, 116], [255, 233, 69]], plane = easel.h * easel.w, image = new ImageData(easel.w, easel.h);
  for (let i = 0; i < plane; i++) {
    const e = [0, 1, 2].reduce((sum, c) => sum + Math.abs(easel.canvas[i + c * plane] - target[i + c * plane]), 0), at = Math.min(2.999, 3 * Math.min(1, e)), j = Math.floor(at);
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = steps[j][c] + (at - j) * (steps[j + 1][c] - steps[j][c]);
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

// The border of a mask (at one half) along its pixels' edges, as an SVG path.
function border(mask, tall, wide, sy, sx) {
  const on = (y, x) => y >= 0 && x >= 0 && y < tall && x < wide && mask[y * wide + x] > 0.5, parts = [], f = (v) => v.toFixed(1);
  for (let y = 0; y <= tall; y++) for (let x = 0; x <= wide; x++) {
    if (on(y, x) !== on(y - 1, x)) parts.push(`M${f(x * sx)} ${f(y * sy)}h${f(sx)}`);
    if (on(y, x) !== on(y, x - 1)) parts.push(`M${f(x * sx)} ${f(y * sy)}v${f(sy)}`);
  }
  return parts.join("");
}

// Paintings and what is shown beside them, from what `page.story` tells.
async function readStory(text) {
  const story = JSON.parse(text), paintings = await Promise.all(story.paintings.map(readPainting));
  return [paintings, story.extras.map((e) => ("target" in e ? { ...e, target: story.targets[e.target] } : e))];
}

// Every player of a page that does not play yet: its picture goes, what it holds comes; what went wrong is said.
async function sgpaintPlayAll() {
  for (const host of document.querySelectorAll("[data-sgpaint=player]")) {
    host.setAttribute("data-sgpaint", "playing");
    try {
      host.sgpaint = new Player(host, ...(await readStory(host.querySelector("script").textContent)));
      await host.sgpaint.ready;
    } catch (error) {
      host.setAttribute("data-sgpaint", "failed");
      host.append(h("p", { class: "wrong" }, `This painting cannot be played here: ${error.message}`));
      console.error(error);
    }
  }
}
