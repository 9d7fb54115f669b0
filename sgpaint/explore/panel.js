// What all explorers share; `h`, `LOOK`, `sheetFor` and `guard` come from player.js.

const PUSH = 200; // ms between two messages to the kernel while something is dragged

// The browser's copy of a widget's state. A value set here counts at once and is sent at most every PUSH ms and on release;
// changes of the same trait that the kernel sends meanwhile are ignored.
class Link {
  constructor(model) { Object.assign(this, { model, waiting: new Map(), unsent: new Set(), held: new Set(), timer: 0, last: 0, undo: [] }); }
  get(name) { return this.waiting.has(name) ? this.waiting.get(name) : this.model.get(name); }
  set(name, value) {
    this.waiting.set(name, value);
    this.unsent.add(name);
    if (!this.timer) this.timer = setTimeout(() => this.push(), Math.max(0, this.last + PUSH - performance.now()));
  }
  push() {
    clearTimeout(this.timer); this.timer = 0;
    const changes = [...this.unsent].map((name) => [name, this.waiting.get(name)]);
    this.unsent.clear();
    for (const name of [...this.waiting.keys()]) if (!this.held.has(name)) this.waiting.delete(name);
    if (!changes.length) return;
    for (const [name, value] of changes) this.model.set(name, value);
    this.last = performance.now();
    this.model.save_changes();
  }
  hold(name) { this.held.add(name); }
  release() { this.held.clear(); this.push(); }
  on(names, act) {
    for (const name of names.split(" ")) {
      const listener = () => { if (!this.waiting.has(name) && !this.held.has(name)) act(); };
      this.model.on(`change:${name}`, listener);
      this.undo.push(() => this.model.off(`change:${name}`, listener));
    }
  }
  close() { this.push(); this.undo.forEach((f) => f()); }
}

const PANEL = `
.sg-panels { display: flex; flex-wrap: wrap; gap: 12px; align-items: flex-start; }
.sg-panels figure { margin: 0; max-width: 100%; }
.sg-stack { position: relative; line-height: 0; background: #000; overflow: hidden; }
.sg-stack img { position: absolute; inset: 0; width: 100%; height: 100%; image-rendering: pixelated; }
.sg-stack canvas { display: block; width: 100%; height: 100%; image-rendering: pixelated; }
.sg-draw { touch-action: none; cursor: crosshair; user-select: none; }
.sg-box { overflow: visible; padding: 28px; background: repeating-conic-gradient(#8884 0 25%, transparent 0 50%) 0 0/16px 16px; }
.sg-box .sg-stack { overflow: visible; pointer-events: none; }
.sg-box svg { position: absolute; inset: 0; width: 100%; height: 100%; overflow: visible; }
.sg input[type=number] { width: 10ch; background: transparent; border: 1px solid var(--sg-line); border-radius: 4px; min-height: 28px; padding: 0 4px; }
.sg table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.sg .sg-matrix { border: solid var(--sg-ink); border-width: 0 2px; border-radius: 4px; } .sg-matrix td { padding: 0 6px; text-align: right; min-width: 8ch; }
.sg p { margin: 6px 0 0; } .sg .sg-help { font-size: 12px; }
.sg-cividis { display: inline-block; width: 120px; height: 10px; border: 1px solid var(--sg-line);
  background: linear-gradient(90deg, #00224e, #434e6c 25%, #7d7c78 50%, #bcae6c 75%, #fee838); }
.sg-off { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.sg .sg-pick { width: 30px; height: 30px; min-width: 30px; min-height: 30px; padding: 0; border-radius: 4px; }
.sg .sg-pick[aria-pressed=true], .sg button.sg-on[aria-pressed=true] { outline: 3px solid var(--sg-ink); outline-offset: 1px; }
.sg .sg-score td, .sg .sg-score th { padding: 2px 10px 2px 0; text-align: left; } .sg-score td.figure { min-width: 9ch; display: table-cell; }
.sg input[type=color] { width: 44px; height: 30px; padding: 1px; background: transparent; border: 1px solid var(--sg-line); border-radius: 4px; }
`;

// The frame of an explorer: its sheet, its parts, and a place where errors are shown.
function panel(el, link, label, ...parts) {
  const message = h("p", { class: "wrong", role: "alert", hidden: true });
  const showError = () => { message.textContent = link.get("error"); message.hidden = !message.textContent; };
  link.on("error", showError);
  const root = h("div", { class: "sg", role: "group", "aria-label": label }, h("style", {}, PANEL), ...parts, message);
  sheetFor(root);
  el.append(root);
  guard(root);
  showError();
  return root;
}

const MODULE = Math.random().toString(36).slice(2, 10); // every explorer of a page has its own copy of this script
let made = 0;
const idFor = (name) => `sg-${name}-${MODULE}-${++made}`; // for labels and descriptions

function labelled(text, control, unit = null) {
  control.id = idFor("control");
  return h("span", {}, h("label", { for: control.id }, text, " "), control, unit);
}

// CSS pixels for a picture of h x w, as large as `room` allows.
function shownAs([height, width], room = 380) {
  const scale = room / Math.max(height, width);
  return [Math.max(8, Math.round(height * scale)), Math.max(8, Math.round(width * scale))];
}

// The same as a style: smaller, and of the same shape, where the page is narrow.
const boxOf = ([height, width]) => `width:${width}px;max-width:100%;aspect-ratio:${width}/${height}`;

// The place of a pointer over an element: (0, 0) its top left, (1, 1) its bottom right.
function placeOf(event, element) {
  const box = element.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}

// Drags by mouse, touch or pen: `start(event)` says whether one begins; one pointer at a time.
function drags(element, { start, move, end }) {
  let pointer = null;
  element.addEventListener("pointerdown", (event) => {
    if (pointer !== null || event.button !== 0 || !start(event)) return;
    pointer = event.pointerId;
    element.setPointerCapture(pointer);
    element.focus({ preventScroll: true });
    event.preventDefault();
  });
  element.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pointer) return;
    for (const one of event.getCoalescedEvents?.().length ? event.getCoalescedEvents() : [event]) move(one);
  });
  const stop = (cancelled) => (event) => {
    if (event.pointerId !== pointer) return;
    pointer = null;
    end(event, cancelled);
  };
  element.addEventListener("pointerup", stop(false));
  element.addEventListener("pointercancel", stop(true));
}

// Draw once a frame, however often it is asked for.
function soon(draw) {
  let asked = 0;
  return () => { asked ||= requestAnimationFrame(() => { asked = 0; draw(); }); };
}

// Planar values (3·h·w, in [0, 1]) onto a canvas.
function putPixels(canvas, values, height, width) {
  const image = new ImageData(width, height), plane = height * width;
  for (let i = 0, j = 0; i < plane; i++, j += 4) {
    image.data[j] = 255 * values[i]; image.data[j + 1] = 255 * values[i + plane]; // these arrays round by themselves
    image.data[j + 2] = 255 * values[i + 2 * plane]; image.data[j + 3] = 255;
  }
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  canvas.getContext("2d", { willReadFrequently: true }).putImageData(image, 0, 0);
}
