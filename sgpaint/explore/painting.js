// StrokeExplorer, KappaExplorer and RewardExplorer: the player of player.js, connected to a kernel. State and validation are in Python
// (nbs/explore/03_painting.ipynb). `Player`, `chart` and `h` come from player.js, `Link` from panel.js.

const POINTS = { x0: "start", x1: "control point", x2: "end" };

// A player with an editor for the selected stroke: handles on its points, its colour, radii and opacities. Every change is drawn at once.
class PaintingEditor extends Player {
  constructor(host, paintings, extras) {
    super(host, paintings, extras);
    paintings.forEach((p) => { p.original = p.strokes.slice(); });
    this.edits = new Map();
    this.controls = h("div", { class: "sg-row", role: "group", "aria-label": "change the selected stroke" });
    this.heading.parentElement.after(this.controls);
    for (const v of this.views) {
      v.handles = h("svg", { viewBox: `0 0 ${v.width} ${v.height}`, preserveAspectRatio: "none" });
      v.board.append(v.handles);
    }
    this.watchers.push((name) => { if (name === "pinned") this.showControls(); });
    this.showControls();
  }
  selectedView() { return this.of && this.views.includes(this.of) ? this.of : this.views[0]; }
  // Controls for the selected stroke: handles on its points, its colour, its radii and its opacities.
  showControls() {
    this.views.forEach((v) => v.handles.replaceChildren());
    const v = this.selectedView(), k = this.pinned;
    if (k === null || k >= v.p.n) {
      this.controls.replaceChildren(...(this.total ? [h("span", {}, "Click a stroke, or press Enter for the newest, to change it.")] : []));
      return;
    }
    v.handles.append(...Object.keys(POINTS).filter((name) => v.p.columns.includes(name)).map((name) => this.handle(v, k, name)));
    const range = (name, label) => h("label", {}, `${label} `, h("input", { type: "range", min: 0, max: 1, step: 0.01, value: v.p.at(k, name), style: "flex:0 1 90px;min-width:70px",
      oninput: (event) => this.edit(v, k, { [name]: +event.target.value }) }));
    const hex = `#${["red", "green", "blue"].map((c) => Math.round(255 * v.p.at(k, c)).toString(16).padStart(2, "0")).join("")}`;
    const colour = h("input", { type: "color", value: hex, oninput: (event) => {
      const number = parseInt(event.target.value.slice(1), 16);
      this.edit(v, k, { red: (number >> 16) / 255, green: ((number >> 8) & 255) / 255, blue: (number & 255) / 255 });
    } });
    const names = { r0: v.p.columns.includes("r2") ? "radius at the start" : "radius", r2: "radius at the end", a0: v.p.columns.includes("a2") ? "opacity at the start" : "opacity", a2: "opacity at the end" };
    this.controls.replaceChildren(h("label", {}, "colour ", colour), ...Object.entries(names).filter(([name]) => v.p.columns.includes(name)).map(([name, label]) => range(name, label)),
      h("button", { type: "button", onclick: () => this.restore() }, "undo all edits"));
    guard(this.controls);
  }
  handle(v, k, name) {
    const [cx, cy] = [name, `y${name[1]}`], dot = h("circle", { class: "grip", r: (7 * v.width) / v.shown, fill: name === "x1" ? "#fff" : "#000", stroke: name === "x1" ? "#000" : "#fff",
      "stroke-width": 2, "vector-effect": "non-scaling-stroke", tabindex: 0, role: "button", "aria-label": `${POINTS[name]}: drag, or press arrows` });
    const place = () => { dot.setAttribute("cx", v.p.at(k, cx) * v.width); dot.setAttribute("cy", v.p.at(k, cy) * v.height); };
    const move = (x, y) => { this.edit(v, k, { [cx]: x, [cy]: y }); place(); };
    drags(dot, {
      start: (event) => { event.stopPropagation(); this.pause(); return true; },
      move: (event) => { const box = v.board.getBoundingClientRect(); move((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height); },
      end: () => this.tell("released"),
    });
    dot.addEventListener("click", (event) => event.stopPropagation());
    dot.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!by) return;
      event.preventDefault(); event.stopPropagation();
      move(v.p.at(k, cx) + 0.01 * by[0], v.p.at(k, cy) + 0.01 * by[1]);
    });
    place();
    return dot;
  }
  key(event) {
    if (event.key === "Enter" && !["BUTTON", "SELECT", "INPUT"].includes(event.composedPath()[0].tagName) || (event.key === "Enter" && event.composedPath()[0] === this.slider)) {
      event.preventDefault();
      this.of = this.selectedView();
      return this.pin(this.strokes(this.of) ? this.strokes(this.of) - 1 : null);
    }
    super.key(event);
  }
  edit(v, k, values) {
    const { columns, strokes } = v.p;
    for (const [name, value] of Object.entries(values)) {
      const wide = v.p.primitive === "bezier" && (name === "x1" || name === "y1"), kept = Math.fround(Math.min(wide ? 2 : 1, Math.max(wide ? -1 : 0, value)));
      strokes[k * columns.length + columns.indexOf(name)] = kept;
      this.edits.set(`${v.i} ${k} ${name}`, [v.i, k, name, kept]);
    }
    this.redraw(v, k); this.tell("edits");
  }
  redraw(v, k) {
    for (const easel of [v.easel, v.fine]) easel?.changed(k);
    v.errors = null; v.probe = null;
    this.work();
  }
  // Replace all edits by these.
  apply(list) {
    for (const v of this.views) v.p.strokes.set(v.p.original);
    this.edits = new Map(list.map(([i, k, name, value]) => [`${i} ${k} ${name}`, [i, k, name, value]]));
    for (const [i, k, name, value] of list) { const { p } = this.views[i]; p.strokes[k * p.columns.length + p.columns.indexOf(name)] = value; }
    for (const v of this.views) { for (const easel of [v.easel, v.fine]) if (easel) { easel.kept.clear(); easel.room = 16e6; easel.reset(); } v.errors = v.probe = null; }
    this.showControls(); this.work();
  }
  restore() { this.apply([]); this.tell("edits"); this.tell("released"); }
}

// The traits of a `StrokeExplorer`: the event that changes each, and how to read it from the editor and set it there.
const TRAITS = {
  stroke: { when: "n", get: (e) => e.n, set: (e, value) => { e.pause(); e.seek(value); } },
  playing: { when: "playing", get: (e) => e.playing, set: (e, value) => (value ? e.play() : e.pause()) },
  speed: { when: "speed", get: (e) => e.speed, set: (e, value) => { e.speed = value; e.pace.value = value; } },
  selected: { when: "pinned", get: (e) => (e.pinned === null ? [] : [e.selectedView().i, e.pinned]), set: (e, value) => { if (value.length) e.of = e.views[value[0]]; e.pin(value.length ? value[1] : null); } },
  hidden: { when: "hidden", get: (e) => [...e.hidden].sort(), set: (e, value) => e.showOnly(value) },
  only_selected: { when: "alone", get: (e) => e.alone, set: (e, value) => { e.alone = value; e.boxes.get("alone").checked = value; e.work(); } },
  overlay: { when: "overlay", get: (e) => e.overlay, set: (e, value) => { e.overlay = value; if (e.layers) e.layers.value = value; e.mark(); } },
  edits: { when: "edits", get: (e) => [...e.edits.values()], set: (e, value) => e.apply(value) },
};

async function strokeExplorer(model, el, link) {
  const host = h("div"), editor = new PaintingEditor(host, ...(await readStory(model.get("player_data"))));
  el.append(host);
  await editor.ready;
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  for (const [name, { get, set }] of Object.entries(TRAITS)) {
    if (!same(get(editor), link.get(name))) set(editor, link.get(name));
    link.on(name, () => { if (!same(get(editor), link.get(name))) set(editor, link.get(name)); });
  }
  editor.watchers.push((when) => {
    for (const [name, trait] of Object.entries(TRAITS)) if (trait.when === when && !same(trait.get(editor), link.get(name))) link.set(name, trait.get(editor));
    if (when === "released") link.push();
  });
  host.sgpaint = editor;
  return editor;
}

// One of several computed paintings, chosen by a slider.
async function kappaExplorer(model, el, link) {
  const [paintings, extras] = await readStory(model.get("player_data")), known = model.get("kappas"), board = h("div"), curve = plotting();
  const value = h("output", { style: "min-width:12ch" });
  const slider = h("input", { type: "range", min: 0, max: known.length - 1, step: 1, "aria-label": "kappa", oninput: () => { link.set("kappa", known[+slider.value]); show(); }, onchange: () => link.push() });
  let player = null, shown = -1;
  function show() {
    const i = known.indexOf(link.get("kappa")), n = player?.n;
    slider.value = i; value.textContent = `κ = ${known[i]}`; slider.setAttribute("aria-valuetext", value.textContent);
    chart(curve, [model.get("errors")], { what: `${model.get("metric_name")} at κ = ${known.join(", ")}`, at: i, last: Math.max(1, known.length - 1), dots: true });
    if (i === shown) return;
    shown = i; player?.close();
    const host = h("div");
    board.replaceChildren(host);
    player = new Player(host, [paintings[i]], [extras[i]]);
    host.sgpaint = player;
    if (n !== undefined && n < player.total) player.seek(n);
  }
  panel(el, link, "kappa explorer", h("div", { class: "sg-row" }, h("span", {}, "focus reward"), slider, value), board, curve.legend, curve.svg);
  link.on("kappa", show);
  show();
  return { close: () => player?.close() };
}

// The reward of every stroke, term by term, and their weighted sum.
async function rewardExplorer(model, el, link) {
  const [[p], extras] = await readStory(model.get("player_data")), terms = model.get("terms"), names = Object.keys(terms);
  const host = h("div"), curve = plotting();
  const player = new Player(host, [p], extras);
  const total = h("output", { style: "min-width:44ch" });
  const weights = names.map((name) => {
    const number = h("output", { style: "min-width:5ch" }), slider = h("input", { type: "range", min: 0, max: model.get("max_weight"), step: 0.1, "aria-label": `weight of ${name}`, style: "flex:0 1 140px",
      oninput: () => { link.set("weights", { ...link.get("weights"), [name]: +slider.value }); show(); }, onchange: () => link.push() });
    return { name, slider, number, row: h("div", { class: "sg-row" }, h("span", { style: "min-width:12ch" }, name), slider, number) };
  });
  function show() {
    const given = link.get("weights");
    for (const { name, slider, number } of weights) { slider.value = given[name]; number.textContent = given[name].toFixed(1); }
    const sum = Array.from({ length: p.n }, (_, k) => names.reduce((s, name) => s + given[name] * terms[name][k], 0)), best = sum.indexOf(Math.max(...sum));
    chart(curve, [sum, ...names.map((name) => terms[name])], { what: "reward of each stroke", names: ["weighted sum", ...names], at: player.n, last: Math.max(1, p.n), first: 1 });
    total.textContent = p.n ? `stroke ${best + 1} has the largest reward: ${sum[best].toExponential(2)}; sum over all strokes ${sum.reduce((a, b) => a + b, 0).toExponential(2)}` : "no strokes";
  }
  host.sgpaint = player;
  player.watchers.push((name) => { if (name === "n") { link.set("stroke", player.n); show(); } });
  link.on("weights", show);
  link.on("stroke", () => { if (player.n !== link.get("stroke")) player.seek(link.get("stroke")); });
  panel(el, link, "reward explorer", ...weights.map((w) => w.row), host, curve.legend, curve.svg, h("div", { class: "sg-row" }, total));
  if (link.get("stroke") !== player.n) player.seek(link.get("stroke"));
  show();
  return player;
}

async function render({ model, el }) {
  const link = new Link(model), kinds = { strokes: strokeExplorer, kappa: kappaExplorer, rewards: rewardExplorer };
  const view = await kinds[model.get("kind")](model, el, link);
  return () => { view.close(); link.close(); };
}
