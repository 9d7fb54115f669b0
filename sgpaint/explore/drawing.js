// PaintAlong and MaskBrush: the view. State and validation are in Python (nbs/explore/02_drawing.ipynb).

const ROUNDS = 16, SEGMENTS = 64, MAX_POINTS = 1000; // the first two as in explore.drawing

// ---- fit a stroke to a path --------------------------------------------------------------------------------------------------

function lengthShares(points, [height, width]) {
  const sums = [0];
  for (let i = 1; i < points.length; i++)
    sums.push(sums[i - 1] + Math.hypot((points[i][0] - points[i - 1][0]) * width, (points[i][1] - points[i - 1][1]) * height));
  const total = Math.max(sums.at(-1), 1e-12);
  return sums.map((v) => v / total);
}

function controlPoint(points, t) {
  const [first, last] = [points[0], points.at(-1)];
  let x = 0, y = 0, total = 0;
  points.forEach(([px, py], i) => {
    const a = (1 - t[i]) ** 2, c = t[i] ** 2, weight = 2 * t[i] * (1 - t[i]);
    x += weight * (px - a * first[0] - c * last[0]); y += weight * (py - a * first[1] - c * last[1]); total += weight * weight;
  });
  return total > 1e-6 ? [x / total, y / total] : [(first[0] + last[0]) / 2, (first[1] + last[1]) / 2];
}

function interpolated(at, xs, ys) {
  let k = 0;
  return at.map((v) => {
    while (k < xs.length - 2 && xs[k + 1] <= v) k++;
    const wide = xs[k + 1] - xs[k];
    return wide > 0 ? ys[k] + (ys[k + 1] - ys[k]) * Math.min(1, Math.max(0, (v - xs[k]) / wide)) : ys[k];
  });
}

// The quadratic curve closest to a path, as a row of 13 numbers.
function fitStroke(path, size, colour, radius, opacity) {
  const points = path.map((p) => p.map(clamp01)), [first, last] = [points[0], points.at(-1)], shares = lengthShares(points, size);
  const u = Array.from({ length: SEGMENTS + 1 }, (_, i) => i / SEGMENTS);
  let t = shares;
  for (let i = 0; i < ROUNDS; i++) {
    const middle = controlPoint(points, t);
    const curve = u.map((v) => [0, 1].map((k) => (1 - v) ** 2 * first[k] + 2 * v * (1 - v) * middle[k] + v * v * last[k]));
    t = interpolated(shares, lengthShares(curve, size), u);
  }
  const control = controlPoint(points, t).map((v) => Math.max(-1, Math.min(2, v)));
  return [...first, ...control, ...last, radius, radius, opacity, opacity, ...colour];
}

// ---- drawing paths over a picture, by pointer and keys ----------------------------------------------------------------------------

// Calls `begin()` (false: no path begins), `grow(path)`, `finish(path)`, `cancel()`. By keys: arrows move a cross, space puts a point, Enter finishes.
class PathInput {
  constructor(board, size, handlers) {
    Object.assign(this, { board, size, handlers, path: null, cross: [0.5, 0.5], byKeys: false });
    drags(board, {
      start: (event) => { this.byKeys = false; return this.begin(placeOf(event, board)); },
      move: (event) => this.add(placeOf(event, board)),
      end: (event, cancelled) => (cancelled ? this.drop() : this.done()),
    });
    board.addEventListener("pointermove", (event) => { if (!this.byKeys) { this.cross = placeOf(event, board); handlers.over(this.cross); } });
    board.addEventListener("pointerleave", () => { if (!this.byKeys) handlers.over(null); });
    board.addEventListener("keydown", (event) => this.key(event));
    board.addEventListener("blur", () => { if (this.byKeys) { this.drop(); handlers.over(null); } });
  }
  begin(at) {
    if (!this.handlers.begin()) return false;
    this.path = [at.map(clamp01)];
    this.handlers.grow(this.path);
    return true;
  }
  add(at) {
    const point = at.map(clamp01), [x, y] = this.path.at(-1);
    if (Math.hypot((point[0] - x) * this.size[1], (point[1] - y) * this.size[0]) < 0.5 || this.path.length >= MAX_POINTS) return;
    this.path.push(point);
    this.handlers.grow(this.path);
  }
  done() { const path = this.path; this.path = null; if (path) this.handlers.finish(path); }
  drop() { if (this.path) { this.path = null; this.handlers.cancel(); } }
  key(event) {
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (arrow) {
      const step = event.shiftKey ? [1 / this.size[1], 1 / this.size[0]] : [0.05, 0.05];
      this.cross = this.cross.map((v, k) => clamp01(v + arrow[k] * step[k]));
    } else if (event.key === " ") { if (this.path) this.add(this.cross); else this.begin(this.cross); }
    else if (event.key === "Enter") { if (!this.path && !this.begin(this.cross)) return; this.add(this.cross); this.done(); }
    else if (event.key === "Escape") this.drop();
    else if (!this.handlers.key?.(event, this.cross)) return;
    this.byKeys = true;
    this.handlers.over(this.cross, this.path?.length ?? 0);
    event.preventDefault();
  }
}

const BUTTON_ICONS = { undo: "M7 2L2 7l5 5V9c4 0 6 1 7 4 0-5-3-8-7-8z", clear: "M4 3h8v1H4zM5 5h6l-1 9H6z", race: "M3 14V2h9l-2 3 2 3H5v6z" };

function iconButton(name, label, text, does) {
  return h("button", { type: "button", title: label, "aria-label": label, onclick: does },
           h("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, h("path", { d: BUTTON_ICONS[name] })), text ? ` ${text}` : null);
}

const bytes = (colour) => colour.map((v) => Math.round(255 * v));
const hex = (colour) => `#${bytes(colour).map((v) => v.toString(16).padStart(2, "0")).join("")}`;
const unhex = (text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16) / 255);

// ---- PaintAlong ----------------------------------------------------------------------------------------------------------

const ALONG = "Drag to paint a stroke; press on the picture to pick its colour there. Keys on the canvas: arrows move the cross (Shift: by a pixel), " +
  "space puts a point, Enter ends the stroke, Escape drops it, P picks the picture's colour, [ and ] change the radius, U takes a stroke back.";

class AlongView {
  constructor(el, model) {
    Object.assign(this, { el, link: new Link(model), live: null, over: null });
    const { link } = this, setup = link.get("setup");
    this.size = setup.empty.size;
    this.look(setup);
    this.arrange(setup);
    this.later = soon(() => this.draw());
    link.on("marks colour radius opacity show_picture scores painting_urls status", this.later);
    this.ready = this.open(setup);
  }
  async open(setup) {
    const p = (this.p = await readPainting(setup.empty)), long = p.columns.length;
    p.strokes = new Float64Array(long * (this.link.get("strokes") + 1)); // room for all, and the one being drawn
    p.at = (k, name) => p.strokes[k * long + p.columns.indexOf(name)];
    this.easel = new Easel(this.p, ...this.size);
    this.rows = [];
    this.target = await pixelsOf(setup.picture_url, ...this.size);
    this.input = new PathInput(this.board, this.size, {
      begin: () => this.begin(), grow: (path) => this.grow(path), finish: (path) => this.finish(path), cancel: () => this.cancel(),
      over: (at, points) => this.hover(at, points), key: (event, at) => this.key(event, at),
    });
    this.draw();
  }
  // The two pictures, and what lies over the canvas.
  look(setup) {
    const box = boxOf(shownAs(this.size, 360)), [rows, columns] = this.size;
    this.help = h("p", { class: "sg-help", id: idFor("help") }, ALONG);
    this.canvas = h("canvas", { width: columns, height: rows, role: "img", "aria-label": "your painting" });
    this.below = h("img", { src: setup.picture_url, alt: "", draggable: "false", style: "opacity:.35" });
    this.marks = h("svg", { viewBox: `0 0 ${columns} ${rows}`, preserveAspectRatio: "none", "aria-hidden": "true",
                            style: "position:absolute;inset:0;width:100%;height:100%;pointer-events:none" });
    this.board = h("div", { class: "sg-stack sg-draw", style: box, tabindex: 0, role: "application", "aria-label": "canvas to paint on",
                            "aria-describedby": this.help.id }, this.canvas, this.below, this.marks);
    this.model = h("div", { class: "sg-stack sg-draw", style: box, onpointerdown: (event) => this.pick(placeOf(event, this.model)) },
                   h("img", { src: setup.picture_url, alt: "the picture to paint", draggable: "false" }));
  }
  // The brush, the buttons, the score board.
  arrange(setup) {
    const ask = (name) => () => { this.link.push(); this.link.model.send({ command: name }); };
    const slide = (name) => h("input", { type: "range", min: 0, max: 1, step: 0.01, onchange: () => this.link.push(),
                                         oninput: () => this.brush(name, +this.sliders[name].value) });
    this.chips = setup.palette.map((colour) => h("button", { type: "button", class: "sg-pick", style: `background:${hex(colour)}`, title: hex(colour),
                                                             "aria-label": `colour ${hex(colour)}`, onclick: () => this.brush("colour", colour, true) }));
    this.any = h("input", { type: "color", oninput: () => this.brush("colour", unhex(this.any.value)), onchange: () => this.link.push() });
    this.sliders = { radius: slide("radius"), opacity: slide("opacity") };
    this.figures = { radius: h("output", { style: "min-width:9ch" }), opacity: h("output", { style: "min-width:6ch" }) };
    this.overlay = h("input", { type: "checkbox", onchange: () => this.brush("show_picture", this.overlay.checked, true) });
    this.undoer = iconButton("undo", "undo", "undo", ask("undo"));
    this.clearer = iconButton("clear", "clear", "clear", ask("clear"));
    this.racer = iconButton("race", "let the others paint", "let the others paint", ask("race"));
    this.counter = h("span", { "aria-live": "polite" });
    this.status = h("span", { role: "status" });
    this.lines = h("tbody");
    this.gallery = h("div", { class: "sg-panels sg-row" });
    const heads = ["painter", "strokes", "mean squared error"].map((text) => h("th", { scope: "col" }, text));
    panel(this.el, this.link, "paint along",
      h("div", { class: "sg-panels" }, h("figure", {}, this.model, h("figcaption", {}, `The picture, ${setup.size_text}`)),
        h("figure", {}, this.board, h("figcaption", {}, "Your canvas. ", this.counter))),
      h("div", { class: "sg-row", role: "group", "aria-label": "colour" }, ...this.chips, labelled("any colour", this.any)),
      h("div", { class: "sg-row" }, labelled("radius", this.sliders.radius, this.figures.radius), labelled("opacity", this.sliders.opacity, this.figures.opacity),
        labelled("see the picture through", this.overlay)),
      h("div", { class: "sg-row" }, this.undoer, this.clearer, this.racer, this.status),
      h("table", { class: "sg-score" }, h("caption", { class: "sg-off" }, "score board"), h("thead", {}, h("tr", {}, ...heads)), this.lines),
      this.gallery, this.help);
  }

  brush(name, value, push = false) { this.link.set(name, value); if (push) this.link.push(); this.later(); }
  pick([x, y]) {
    if (!this.target) return;
    const [height, width] = this.size, plane = height * width;
    const i = Math.min(height - 1, Math.floor(clamp01(y) * height)) * width + Math.min(width - 1, Math.floor(clamp01(x) * width));
    this.brush("colour", [0, 1, 2].map((c) => +this.target[i + c * plane].toFixed(4)), true);
  }
  begin() {
    const free = this.link.get("marks").length < this.link.get("strokes");
    if (!free) this.counter.textContent = "All strokes are used: undo one, or clear.";
    else this.link.hold("marks");
    return free;
  }
  row(path) { return fitStroke(path, this.size, this.link.get("colour"), this.link.get("radius"), this.link.get("opacity")); }
  grow(path) { this.live = this.row(path); this.later(); }
  finish(path) {
    this.link.set("marks", [...this.link.get("marks"), this.row(path)]);
    this.live = null;
    this.link.release();
    this.later();
  }
  cancel() { this.live = null; this.link.release(); this.later(); }
  hover(at, points) { this.over = at; this.points = points; this.later(); }
  key(event, at) {
    const step = { "[": -0.02, "]": 0.02 }[event.key];
    if (step) this.brush("radius", +clamp01(this.link.get("radius") + step).toFixed(4));
    else if (event.key === "p" || event.key === "P") this.pick(at);
    else if (event.key === "u" || event.key === "U") this.undoer.click();
    else return false;
    return true;
  }

  // Strokes that changed, and those after them, are drawn again; the others are kept.
  repaint() {
    const rows = this.live ? [...this.link.get("marks"), this.live] : this.link.get("marks"), long = this.p.columns.length;
    let first = 0;
    while (first < rows.length && first < this.rows.length && rows[first].every((v, i) => v === this.rows[first][i])) first++;
    if (first === rows.length && first === this.rows.length && this.painted) return;
    for (let k = first; k < Math.max(rows.length, this.rows.length); k++) this.easel.changed(k);
    rows.slice(first).forEach((row, i) => this.p.strokes.set(row, (first + i) * long));
    this.p.n = rows.length;
    this.rows = rows;
    putPixels(this.canvas, this.easel.draw(rows.length), ...this.size);
    this.painted = true;
    let sum = 0;
    for (let i = 0; i < this.target.length; i++) sum += (this.easel.canvas[i] - this.target[i]) ** 2;
    this.error = sum / this.target.length;
  }
  draw() {
    if (!this.target) return;
    const { link } = this, [marks, colour, most] = [link.get("marks"), link.get("colour"), link.get("strokes")];
    this.repaint();
    this.cursor(colour);
    this.chips.forEach((chip) => chip.setAttribute("aria-pressed", String(chip.title === hex(colour))));
    this.any.value = hex(colour);
    for (const [name, slider] of Object.entries(this.sliders)) slider.value = link.get(name);
    this.figures.radius.textContent = `${((RADIUS_MIN + RADIUS_SPAN * link.get("radius")) * Math.min(...this.size)).toFixed(1)} pixels`;
    this.figures.opacity.textContent = `${Math.round(100 * link.get("opacity"))} %`;
    this.overlay.checked = link.get("show_picture"); this.below.hidden = !link.get("show_picture");
    this.counter.textContent = marks.length < most ? `${marks.length} of ${most} strokes${this.points ? `, ${this.points} points put` : ""}` : `All ${most} strokes are used: undo one, or clear.`;
    this.status.textContent = link.get("status");
    this.score();
  }
  score() {
    const { link } = this, [known, ...others] = link.get("scores"), mine = { name: "you", strokes: this.rows.length, error: this.error };
    if (Math.abs(known.error - mine.error) < 1e-4) mine.error = known.error; // the kernel has caught up, and has not rounded the picture
    const lines = [...link.get("baselines"), mine, ...others], best = Math.min(...lines.map((line) => line.error));
    this.lines.replaceChildren(...lines.map((line) => h("tr", {}, h("th", { scope: "row" }, line.name), h("td", { class: "figure" }, line.strokes ?? "none"),
      h("td", { class: "figure" }, line.error.toFixed(5)), h("td", {}, line.error === best ? "smallest" : ""))));
    this.racer.hidden = !link.get("remaining"); this.racer.disabled = Boolean(link.get("status"));
    const urls = link.get("painting_urls");
    if (this.gallery.childElementCount === Object.keys(urls).length) return;
    const box = boxOf(shownAs(this.size, 200));
    this.gallery.replaceChildren(...Object.entries(urls).map(([name, url]) => h("figure", {},
      h("div", { class: "sg-stack", style: box }, h("img", { src: url, alt: `painted by ${name}`, draggable: "false" })), h("figcaption", {}, name))));
  }
  cursor(colour) {
    const parts = [];
    if (this.over) {
      const [rows, columns] = this.size, [x, y] = [this.over[0] * columns, this.over[1] * rows];
      const r = (RADIUS_MIN + RADIUS_SPAN * this.link.get("radius")) * Math.min(rows, columns);
      for (const [stroke, wide] of [["#000", 3], ["#fff", 1]]) parts.push(h("circle", { cx: x, cy: y, r, fill: "none", stroke, "stroke-width": wide, "vector-effect": "non-scaling-stroke" }));
      if (this.input?.byKeys) for (const d of [`M${x - r} ${y}h${2 * r}`, `M${x} ${y - r}v${2 * r}`]) parts.push(h("path", { d, stroke: "#fff", "vector-effect": "non-scaling-stroke" }));
    }
    this.marks.replaceChildren(...parts);
  }
  close() { this.link.close(); }
}

// ---- MaskBrush --------------------------------------------------------------------------------------------------------

const MASK = "Drag over an object to mark it. Keys on the picture: arrows move the cross (Shift: by a pixel), space puts a point, Enter ends the scribble, " +
  "Escape drops it, 1 to 8 choose the object, E turns the eraser on and off, [ and ] change the radius, U takes a scribble back.";

class MaskView {
  constructor(el, model) {
    Object.assign(this, { el, link: new Link(model), live: null, over: null });
    const { link } = this, setup = link.get("setup");
    Object.assign(this, { size: setup.size, colours: setup.colours });
    this.look(setup);
    this.arrange(setup);
    this.later = soon(() => this.draw());
    link.on("marks instance erase radius coverage note", this.later);
    this.input = new PathInput(this.board, this.size, {
      begin: () => { link.hold("marks"); return true; }, grow: (path) => { this.live = this.mark(path); this.later(); },
      finish: (path) => { link.set("marks", [...link.get("marks"), this.mark(path)]); this.live = null; link.release(); this.later(); },
      cancel: () => { this.live = null; link.release(); this.later(); },
      over: (at) => { this.over = at; this.later(); }, key: (event) => this.key(event),
    });
    this.draw();
  }
  look(setup) {
    const [height, width] = shownAs(this.size, 480), box = boxOf([height, width]);
    this.help = h("p", { class: "sg-help", id: idFor("help") }, MASK);
    this.fine = [height, width];
    this.canvas = h("canvas", { width, height, "aria-hidden": "true", style: "position:absolute;inset:0;opacity:.6" });
    this.marks = h("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", style: "position:absolute;inset:0;width:100%;height:100%;pointer-events:none" });
    this.board = h("div", { class: "sg-stack sg-draw", style: box, tabindex: 0, role: "application", "aria-label": "picture to scribble on",
                            "aria-describedby": this.help.id }, h("img", { src: setup.picture_url, alt: "", draggable: "false" }), this.canvas, this.marks);
  }
  arrange(setup) {
    const ask = (name) => () => { this.link.push(); this.link.model.send({ command: name }); };
    this.numbers = this.colours.map((colour, i) => h("button", { type: "button", class: "sg-on", "aria-label": `object ${i + 1}`, onclick: () => this.choose(i + 1) },
      h("span", { class: "swatch", style: `background:${colour}` }), ` ${i + 1}`));
    this.eraser = h("button", { type: "button", class: "sg-on", onclick: () => this.put("erase", !this.link.get("erase"), true) }, "eraser");
    this.slider = h("input", { type: "range", min: 0.005, max: 0.5, step: 0.005, oninput: () => this.put("radius", +this.slider.value), onchange: () => this.link.push() });
    this.figure = h("output", { style: "min-width:9ch" });
    this.undoer = iconButton("undo", "undo", "undo", ask("undo"));
    this.note = h("p", { "aria-live": "polite" });
    panel(this.el, this.link, "mask brush",
      h("div", { class: "sg-panels" }, h("figure", {}, this.board, h("figcaption", {}, `The picture, ${setup.size_text}`))),
      h("div", { class: "sg-row", role: "group", "aria-label": "object" }, "object", ...this.numbers, this.eraser),
      h("div", { class: "sg-row" }, labelled("radius", this.slider, this.figure), this.undoer, iconButton("clear", "clear", "clear", ask("clear"))),
      this.note, this.help);
  }
  put(name, value, push = false) { this.link.set(name, value); if (push) this.link.push(); this.later(); }
  choose(number) { this.link.set("erase", false); this.put("instance", number, true); }
  mark(path) { return { instance: this.link.get("erase") ? 0 : this.link.get("instance"), radius: this.link.get("radius"), points: path }; }
  key(event) {
    const step = { "[": -0.01, "]": 0.01 }[event.key], number = Number(event.key);
    if (step) this.put("radius", Math.max(0.005, Math.min(0.5, +(this.link.get("radius") + step).toFixed(4))));
    else if (number >= 1 && number <= this.colours.length) this.choose(number);
    else if (event.key === "e" || event.key === "E") this.eraser.click();
    else if (event.key === "u" || event.key === "U") this.undoer.click();
    else return false;
    return true;
  }
  // A scribble as a line with round ends; instance 0 erases.
  drawScribble(context, { instance, radius, points }) {
    const [height, width] = this.fine, reach = Math.max(radius * Math.min(height, width), 0.75 * Math.min(height / this.size[0], width / this.size[1]));
    Object.assign(context, { lineCap: "round", lineJoin: "round", lineWidth: 2 * reach, strokeStyle: instance ? this.colours[instance - 1] : "#000",
                             globalCompositeOperation: instance ? "source-over" : "destination-out" });
    context.beginPath();
    const [first, ...others] = points.map(([x, y]) => [x * width, y * height]);
    context.moveTo(...first);
    for (const point of others.length ? others : [first]) context.lineTo(...point);
    context.stroke();
  }
  draw() {
    const { link } = this, context = this.canvas.getContext("2d"), [height, width] = this.fine, [erase, chosen] = [link.get("erase"), link.get("instance")];
    const all = this.live ? [...link.get("marks"), this.live] : link.get("marks");
    context.globalCompositeOperation = "source-over";
    context.clearRect(0, 0, width, height);
    for (const mark of all) this.drawScribble(context, mark);
    this.numbers.forEach((button, i) => button.setAttribute("aria-pressed", String(!erase && chosen === i + 1)));
    this.eraser.setAttribute("aria-pressed", String(erase));
    this.slider.value = link.get("radius");
    this.figure.textContent = `${(100 * link.get("radius")).toFixed(1)} % of a side`;
    this.note.textContent = link.get("note");
    this.signs(height, width, all);
  }
  // The brush, and each object's number at its first scribble: colour alone does not tell them apart.
  signs(height, width, all) {
    const parts = [], seen = new Set(), coverage = this.link.get("coverage");
    for (const { instance, points } of all) {
      if (!coverage[instance] || seen.has(instance)) continue;
      seen.add(instance);
      const [x, y] = points[Math.floor(points.length / 2)];
      parts.push(h("text", { x: x * width, y: y * height, "text-anchor": "middle", "dominant-baseline": "central", fill: "#fff", stroke: "#000", "stroke-width": 3,
                             "paint-order": "stroke", "font-size": 16, "font-weight": "bold" }, String(instance)));
    }
    if (this.over) {
      const [x, y] = [this.over[0] * width, this.over[1] * height], r = this.link.get("radius") * Math.min(height, width);
      for (const [stroke, wide] of [["#000", 3], ["#fff", 1]]) parts.push(h("circle", { cx: x, cy: y, r, fill: "none", stroke, "stroke-width": wide }));
    }
    this.marks.replaceChildren(...parts);
  }
  close() { this.link.close(); }
}

function render({ model, el }) {
  const view = new { along: AlongView, mask: MaskView }[model.get("kind")](el, model);
  return () => view.close();
}
