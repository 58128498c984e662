// What all parts of the page share: elements, colours, words for numbers, the
// moment and frame that are looked at.

// el makes an element; text is only ever set as text.
function el(tag, attrs, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attrs || {})) {
    if (k === 'class') e.className = v;
    else if (k === 'on') for (const [name, fn] of Object.entries(v)) e.addEventListener(name, fn);
    else if (v !== null && v !== undefined && v !== false) e.setAttribute(k, v === true ? '' : v);
  }
  for (const c of children.flat()) if (c !== null && c !== undefined && c !== false) e.append(c);
  return e;
}

const SVG = 'http://www.w3.org/2000/svg';
function svg(tag, attrs, ...children) {
  const e = document.createElementNS(SVG, tag);
  for (const [k, v] of Object.entries(attrs || {})) e.setAttribute(k, v);
  e.append(...children);
  return e;
}

const NS = 1e9;
const seconds = (ns, digits = 3) => (ns / NS).toFixed(digits) + ' s';

function duration(ns) {
  const a = Math.abs(ns);
  if (a === 0) return '0';
  if (a < 1e3) return ns + ' ns';
  if (a < 1e6) return +(ns / 1e3).toPrecision(4) + ' µs';
  if (a < 1e9) return +(ns / 1e6).toPrecision(4) + ' ms';
  if (a < 120e9) return +(ns / 1e9).toPrecision(4) + ' s';
  if (a < 7200e9) return +(ns / 60e9).toPrecision(4) + ' min';
  return +(ns / 3600e9).toPrecision(4) + ' h';
}

const grouped = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, '\u202f');

function bytes(n) {
  if (n < 10000) return grouped(n) + ' B';
  if (n < 1e7) return +(n / 1e3).toPrecision(4) + ' kB';
  return +(n / 1e6).toPrecision(4) + ' MB';
}

const plural = (n, word) => grouped(n) + ' ' + word + (n === 1 ? '' : 's');

// The colours of Okabe and Ito, which those who see no red or no green tell
// apart; each has a shape or a word beside it. They come from the style sheet.
const colours = {};
function readColours() {
  const s = getComputedStyle(document.documentElement);
  for (const k of ['ink', 'soft', 'faint', 'line', 'paper', 'panel', 'blue', 'sky', 'green', 'orange', 'red', 'purple', 'shade', 'select', 'warn-shade', 'bad-shade']) {
    colours[k] = s.getPropertyValue('--' + k).trim();
  }
}

const FONT = 'system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif';
const MONO = 'ui-monospace, "SF Mono", "Cascadia Mono", "Roboto Mono", "DejaVu Sans Mono", monospace';

// fit gives a canvas its size in pixels of the screen and returns its context.
function fit(canvas, w, h) {
  const r = Math.max(1, window.devicePixelRatio || 1);
  const pw = Math.round(w * r), ph = Math.round(h * r);
  if (canvas.width !== pw || canvas.height !== ph) {
    canvas.width = pw;
    canvas.height = ph;
    canvas.style.width = w + 'px';
    canvas.style.height = h + 'px';
  }
  const c = canvas.getContext('2d');
  c.setTransform(r, 0, 0, r, 0, 0);
  return c;
}

// clip shortens a text to a width; what was measured is remembered.
const widths = new Map();
function clip(c, text, width) {
  if (width <= 0) return '';
  const key = c.font + '\u0000' + text;
  let w = widths.get(key);
  if (w === undefined) {
    if (widths.size > 20000) widths.clear();
    widths.set(key, w = c.measureText(text).width);
  }
  if (w <= width) return text;
  const n = Math.max(0, Math.floor(text.length * width / w) - 1);
  return n < 2 ? '' : text.slice(0, n) + '…';
}

// ticks are round values of an axis.
function ticks(from, to, most) {
  const span = to - from;
  if (!(span > 0)) return [];
  const raw = span / Math.max(1, most), mag = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * mag).find((x) => x >= raw);
  const all = [];
  for (let x = Math.ceil(from / step) * step; x <= to + step * 1e-9; x += step) all.push(x);
  return all;
}

// The state that the parts share; whoever wants to know of a change listens.
const view = {
  model: null,
  from: 0, to: 1, // of the charts
  lane: 0,
  selected: null, // {frame} or {event}
  listeners: [],
  on(fn) { this.listeners.push(fn); },
  changed(what) { for (const fn of this.listeners) fn(what); },
  select(what, by) {
    this.selected = what;
    this.by = by;
    this.changed('selection');
  },
};

// soon does something with the next picture, however often it is asked.
function soon(fn) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; fn(); });
  };
}
