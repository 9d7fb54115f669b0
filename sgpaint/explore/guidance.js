// AlignmentExplorer and FocusExplorer: the view. State and validation are in Python (nbs/explore/01_guidance.ipynb).

// ---- the box ---------------------------------------------------------------------------------------------------------------

// Bilinear sampling of a line of `pixels` at `count` places: the first pixel and the weights of each, as in `guide.align`.
function bilinearWeights(low, side, count, pixels, antialias) {
  const wide = antialias ? Math.max(1, (side * pixels) / count) : 1;
  return Array.from({ length: count }, (_, i) => {
    const at = (low + (side * (i + 0.5)) / count) * pixels - 0.5;
    const first = Math.max(0, Math.ceil(at - wide)), last = Math.min(pixels - 1, Math.floor(at + wide)), weights = [];
    for (let j = first; j <= last; j++) weights.push((1 - Math.abs(at - j) / wide) / wide);
    return [first, weights];
  });
}

// The crop of a picture (3·h·w) to a box, `rows` x `columns` pixels (Eq 8 to 10); outside the picture every value is 0.
function zoom(source, [height, width], [x, y, w, h], [rows, columns], antialias) {
  const across = bilinearWeights(x, w, columns, width, antialias), down = bilinearWeights(y, h, rows, height, antialias);
  const middle = new Float32Array(columns), out = new Float32Array(3 * rows * columns);
  for (let c = 0; c < 3; c++) down.forEach(([first, weights], row) => {
    middle.fill(0);
    weights.forEach((weight, k) => {
      const from = (c * height + first + k) * width;
      for (let i = 0; i < columns; i++) {
        const [start, list] = across[i];
        let sum = 0;
        for (let j = 0; j < list.length; j++) sum += list[j] * source[from + start + j];
        middle[i] += weight * sum;
      }
    });
    out.set(middle, (c * rows + row) * columns);
  });
  return out;
}

const theta = ([x, y, w, h]) => [[w, 0, 2 * x + w - 1], [0, h, 2 * y + h - 1]]; // Eq 21

const HANDLES = [[0, 0], [0.5, 0], [1, 0], [0, 0.5], [1, 0.5], [0, 1], [0.5, 1], [1, 1]]; // where a box is taken to resize it
const SIDES = ["x, its left", "y, its top", "w, its width", "h, its height"];

class BoxView {
  constructor(el, model) {
    Object.assign(this, { link: new Link(model), drag: null });
    const { link } = this, [height, width] = (this.pixels = link.get("picture_size")), shown = shownAs(this.pixels);
    this.marks = h("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    this.board = h("div", { class: "sg-stack", style: boxOf(shown) },
                   h("img", { src: link.get("picture_url"), alt: "", draggable: "false" }), this.marks);
    const help = h("p", { class: "sg-help", id: idFor("help") }, "Drag inside the box to move it, a handle to resize it, elsewhere to draw a new one. " +
      "Keys: arrows move, Shift and arrows resize, Ctrl ten times as far; Page Up and Page Down grow and shrink; Home takes the whole picture.");
    this.stage = h("div", { class: "sg-box sg-draw", tabindex: 0, role: "application", "aria-label": "the box on the picture",
                            "aria-describedby": help.id }, this.board);
    const frame = link.get("crop_size"), cropped = shownAs(frame);
    this.crop = h("canvas", { width: frame[1], height: frame[0], role: "img", "aria-label": "the crop" });
    this.cells = [0, 1, 2, 3, 4, 5].map(() => h("td"));
    const rows = [this.cells.slice(0, 3), this.cells.slice(3)].map((cells) => h("tr", {}, ...cells));
    this.fields = SIDES.map((name, i) => h("input", { type: "number", step: 1 / [width, height][i % 2], oninput: () => this.typed(i), onchange: () => this.link.push(), onblur: () => this.later() }));
    this.smooth = h("input", { type: "checkbox", onchange: () => { this.link.set("antialias", this.smooth.checked); this.link.push(); this.draw(); } });
    this.note = h("p", { "aria-live": "polite" });
    const title = h("figcaption", {}, `The picture, ${link.get("size_text")}`);
    panel(el, link, "alignment explorer",
      h("div", { class: "sg-panels" }, h("figure", {}, this.stage, title),
        h("figure", {}, h("div", { style: "padding:28px 0" }, h("div", { class: "sg-stack", style: boxOf(cropped) }, this.crop)),
          h("figcaption", {}, `The crop, ${frame[1]} x ${frame[0]} pixels`))),
      h("div", { class: "sg-row" }, ...SIDES.map((name, i) => labelled(name, this.fields[i])), labelled("average when shrinking", this.smooth)),
      h("div", { class: "sg-row" }, h("span", {}, "Eq 21, from places in the crop to places in the picture:"),
        h("table", { class: "sg-matrix" }, h("tbody", {}, ...rows))),
      this.note, help);
    this.later = soon(() => this.draw());
    this.listen();
    this.ready = pixelsOf(link.get("picture_url"), height, width).then((values) => { this.source = values; this.draw(); });
    this.draw();
  }
  get box() { return this.link.get("box"); }
  move(box, push = false) { this.link.set("box", box); if (push) this.link.push(); this.later(); }

  listen() {
    this.link.on("box antialias", () => this.later());
    this.link.on("note", () => { this.note.textContent = this.link.get("note"); });
    drags(this.stage, { start: (e) => this.start(e), move: (e) => this.dragged(e), end: (e, cancelled) => this.stop(cancelled) });
    this.stage.addEventListener("keydown", (event) => this.key(event));
    this.stage.addEventListener("pointermove", (event) => { if (!this.drag) this.stage.style.cursor = this.cursor(placeOf(event, this.board)); });
  }
  // The handle under a place, the inside, or nothing.
  handle([px, py]) {
    const [x, y, w, h] = this.box, rect = this.board.getBoundingClientRect();
    let best = null, near = 12;
    for (const [gx, gy] of HANDLES) {
      const away = Math.hypot((px - x - gx * w) * rect.width, (py - y - gy * h) * rect.height);
      if (away < near) { near = away; best = [gx, gy]; }
    }
    return best ?? (px >= x && px <= x + w && py >= y && py <= y + h ? "inside" : null);
  }
  cursor(place) {
    const handle = this.handle(place);
    if (handle === null) return "crosshair";
    if (handle === "inside") return "move";
    return handle[0] === 0.5 ? "ns-resize" : handle[1] === 0.5 ? "ew-resize" : handle[0] === handle[1] ? "nwse-resize" : "nesw-resize";
  }
  start(event) {
    const at = placeOf(event, this.board);
    this.drag = { at, box: this.box, handle: this.handle(at) ?? "new" };
    this.link.hold("box");
    return true;
  }
  dragged(event) {
    const [px, py] = placeOf(event, this.board), { at, box: [x, y, w, h], handle } = this.drag, dx = px - at[0], dy = py - at[1];
    if (handle === "inside") return this.move([x + dx, y + dy, w, h].map(this.kept));
    let [left, top, right, bottom] = [x, y, x + w, y + h];
    if (handle === "new") [left, top, right, bottom] = [at[0], at[1], px, py];
    else {
      if (handle[0] === 0) left += dx; if (handle[0] === 1) right += dx;
      if (handle[1] === 0) top += dy; if (handle[1] === 1) bottom += dy;
    }
    this.stretch(left, top, right, bottom);
  }
  kept(v) { return Math.max(-10, Math.min(10, v)); }
  stretch(left, top, right, bottom) {
    const least = [1 / this.pixels[1], 1 / this.pixels[0]], ends = [left, top, right, bottom].map((v) => Math.max(-4.5, Math.min(4.5, v)));
    const [x, y] = [Math.min(ends[0], ends[2]), Math.min(ends[1], ends[3])];
    this.move([x, y, Math.max(least[0], Math.abs(ends[2] - ends[0])), Math.max(least[1], Math.abs(ends[3] - ends[1]))]);
  }
  stop(cancelled) {
    if (cancelled) this.move(this.drag.box);
    this.drag = null;
    this.link.release();
    this.later();
  }
  key(event) {
    const [x, y, w, h] = this.box, far = event.ctrlKey || event.metaKey ? 10 : 1, step = [far / this.pixels[1], far / this.pixels[0]];
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const grow = { PageUp: 1.1, PageDown: 1 / 1.1 }[event.key];
    if (arrow && event.shiftKey) this.stretch(x, y, Math.max(x + step[0], x + w + arrow[0] * step[0]), Math.max(y + step[1], y + h + arrow[1] * step[1]));
    else if (arrow) this.move([x + arrow[0] * step[0], y + arrow[1] * step[1], w, h].map(this.kept));
    else if (grow) this.stretch(x + (w - w * grow) / 2, y + (h - h * grow) / 2, x + (w + w * grow) / 2, y + (h + h * grow) / 2);
    else if (event.key === "Home") this.move([0, 0, 1, 1]);
    else return;
    event.preventDefault();
  }
  typed(i) {
    const value = this.fields[i].valueAsNumber;
    if (!Number.isFinite(value)) return;
    this.move(this.box.map((v, k) => (k === i ? value : v)));
  }
  draw() {
    const box = this.box, [x, y, w, h] = box, [height, width] = this.pixels;
    if (!(w > 0 && h > 0 && box.every(Number.isFinite))) return; // invalid: the kernel shows why
    const rect = this.board.getBoundingClientRect(), unit = rect.width ? width / rect.width : 1, tall = rect.height ? height / rect.height : 1;
    const outline = (stroke, dash, wide) => this.mark("rect", { x: x * width, y: y * height, width: w * width, height: h * height, fill: "none", stroke,
                                                                "stroke-width": wide, "stroke-dasharray": dash, "vector-effect": "non-scaling-stroke" });
    const handles = HANDLES.map(([gx, gy]) => this.mark("rect", { x: (x + gx * w) * width - 5 * unit, y: (y + gy * h) * height - 5 * tall, width: 10 * unit, height: 10 * tall,
                                                              fill: "#fff", stroke: "#000", "vector-effect": "non-scaling-stroke" }));
    this.marks.replaceChildren(outline("#fff", null, 4), outline("#d55e00", "8 4", 2), ...handles);
    this.fields.forEach((field, i) => { if (document.activeElement !== field && field.getRootNode().activeElement !== field) field.value = box[i].toFixed(4); });
    theta(box).flat().forEach((v, i) => { this.cells[i].textContent = v.toFixed(4); });
    this.smooth.checked = this.link.get("antialias");
    this.note.textContent = this.link.get("note");
    if (this.source) putPixels(this.crop, zoom(this.source, this.pixels, box, this.link.get("crop_size"), this.smooth.checked), ...this.link.get("crop_size"));
  }
  mark(name, attributes) { return h(name, attributes); }
  close() { this.link.close(); }
}

// ---- the focus map ----------------------------------------------------------------------------------------------------------

const CHOICES = { picture: "picture", class_name: "class", layer: "layer", method: "method" };

class FocusView {
  constructor(el, model) {
    this.link = new Link(model);
    const { link } = this;
    this.selects = Object.fromEntries(Object.keys(CHOICES).map((name) => [name, this.select(name)]));
    this.rows = Object.fromEntries(Object.entries(this.selects).map(([name, select]) => [name, labelled(CHOICES[name], select)]));
    this.parts = h("input", { type: "checkbox", onchange: () => { link.set("show_parts", this.parts.checked); link.push(); this.draw(); } });
    this.partsRow = labelled("outline the known parts", this.parts);
    this.image = h("img", { draggable: "false" });
    this.map = h("img", { draggable: "false" });
    this.outlines = [0, 1].map(() => h("img", { alt: "", draggable: "false" }));
    this.stacks = [h("div", { class: "sg-stack" }, this.image, this.outlines[0]), h("div", { class: "sg-stack" }, this.map, this.outlines[1])];
    this.prediction = h("p");
    this.note = h("p", { "aria-live": "polite" });
    this.caption = h("figcaption");
    panel(el, link, "focus explorer",
      h("div", { class: "sg-row" }, ...Object.values(this.rows), this.partsRow),
      h("div", { class: "sg-panels sg-row" }, h("figure", {}, this.stacks[0], h("figcaption", {}, "What the expert sees")),
        h("figure", {}, this.stacks[1], this.caption)),
      h("p", {}, "0 ", h("span", { class: "sg-cividis", role: "img", "aria-label": "colours from dark blue to yellow" }), " 1, square root of the map"),
      this.prediction, this.note);
    this.later = soon(() => this.draw());
    link.on("picture class_name layer method show_parts options picture_url map_url parts_url prediction_text note", this.later);
    this.image.addEventListener("load", () => this.size());
    this.draw();
  }
  select(name) {
    return h("select", { onchange: () => {
      const { value } = this.selects[name];
      this.link.set(name, name === "picture" ? Number(value) : value);
      this.link.push();
      this.draw();
    } });
  }
  size() {
    const style = boxOf(shownAs([this.image.naturalHeight, this.image.naturalWidth], 320));
    for (const stack of this.stacks) stack.setAttribute("style", style);
  }
  draw() {
    const { link } = this, available = link.get("options"), edges = link.get("method") === "edges";
    for (const [name, select] of Object.entries(this.selects)) {
      const options = available[name] ?? [], values = name === "picture" ? options.map((_, i) => String(i)) : options;
      if (select.options.length !== options.length) select.replaceChildren(...options.map((text, i) => h("option", { value: values[i] }, text)));
      select.value = String(link.get(name));
      this.rows[name].hidden = options.length < 2 || (edges && (name === "class_name" || name === "layer")); // no control that cannot act
    }
    const set = (image, url) => { if (image.getAttribute("src") !== url) image.setAttribute("src", url); };
    const caption = edges ? "Strength of edges" : `Pixels that support ${link.get("class_name")} (${link.get("method")}, ${link.get("layer")})`;
    set(this.image, link.get("picture_url")); set(this.map, link.get("map_url"));
    this.image.alt = available.picture?.[link.get("picture")] ?? ""; this.map.alt = caption;
    this.caption.textContent = caption; this.prediction.textContent = link.get("prediction_text"); this.note.textContent = link.get("note");
    const known = link.get("parts_url");
    this.partsRow.hidden = !known; this.parts.checked = link.get("show_parts");
    for (const image of this.outlines) { image.hidden = !(known && link.get("show_parts")); if (known) set(image, known); }
  }
  close() { this.link.close(); }
}

function render({ model, el }) {
  const view = new { alignment: BoxView, focus: FocusView }[model.get("kind")](el, model);
  return () => view.close();
}
