// The time charts: one picture with a track for each quantity over one axis.

const LEFT = 214, RIGHT = 14, AXIS = 24;

class Charts {
  constructor(box) {
    this.box = box;
    this.canvas = el('canvas', {tabindex: '0', role: 'img', 'aria-label': 'Time charts; the arrow keys move, plus and minus zoom, Enter shows the moment on the ladder'});
    this.over = el('canvas', {class: 'over', 'aria-hidden': 'true'});
    this.tip = el('div', {class: 'tip', hidden: true});
    box.append(el('div', {class: 'stack'}, this.canvas, this.over), this.tip);
    this.draw = soon(() => this.paint());
    this.mark = soon(() => this.paintOver());
    this.hover = null;
    this.drag = null;
    this.window = null; // what the ladder shows
    new ResizeObserver(() => this.draw()).observe(box);
    this.canvas.addEventListener('pointerdown', (e) => this.down(e));
    this.canvas.addEventListener('pointermove', (e) => this.move(e));
    this.canvas.addEventListener('pointerup', (e) => this.up(e));
    this.canvas.addEventListener('pointerleave', () => { this.hover = null; this.tip.hidden = true; this.mark(); });
    this.canvas.addEventListener('dblclick', () => this.zoomTo(0, view.model.head.length));
    this.canvas.addEventListener('wheel', (e) => { if (e.ctrlKey || e.shiftKey) { e.preventDefault(); this.zoom(e.deltaY > 0 ? 1.25 : 0.8, this.time(e.offsetX)); } }, {passive: false});
    this.canvas.addEventListener('keydown', (e) => this.key(e));
    view.on((what) => { if (what === 'data') this.rebuild(); if (what === 'colours' || what === 'lane' || what === 'data') { this.tracks = this.build(); this.draw(); } else this.mark(); });
  }

  rebuild() { this.cache = null; }

  get plot() { return Math.max(40, this.width - this.left - RIGHT); }
  time(x) { return view.from + (x - this.left) / this.plot * (view.to - view.from); }
  x(t) { return this.left + (t - view.from) / (view.to - view.from) * this.plot; }

  paint() {
    if (!this.tracks) return;
    this.width = this.box.clientWidth;
    if (this.width < 40) return;
    this.tip.hidden = true;
    if (this.narrow !== this.width < 560) {
      this.narrow = this.width < 560;
      this.tracks = this.build();
    }
    this.left = this.narrow ? 76 : LEFT;
    const c = fit(this.canvas, this.width, this.height);
    c.clearRect(0, 0, this.width, this.height);
    const axis = view.to - view.from < 10 ? [] : ticks(view.from / NS, view.to / NS, Math.max(2, this.plot / 90)); // nothing has happened yet
    c.font = '11px ' + FONT;
    c.lineWidth = 1;
    const bottom = this.height - AXIS;
    for (const s of axis) {
      const x = Math.round(this.x(s * NS)) + 0.5;
      c.strokeStyle = colours.line;
      c.beginPath(); c.moveTo(x, 4); c.lineTo(x, bottom); c.stroke();
      c.fillStyle = colours.soft;
      c.textAlign = 'center';
      c.textBaseline = 'top';
      c.fillText(+s.toPrecision(9) + ' s', Math.min(Math.max(x, this.left + 12), this.width - 18), bottom + 6);
    }
    for (const t of this.tracks) this.paintTrack(c, t);
    this.paintOver();
  }

  paintTrack(c, t) {
    const narrow = this.narrow;
    c.textAlign = 'left';
    c.textBaseline = 'top';
    c.fillStyle = colours.ink;
    c.font = '600 12px ' + FONT;
    c.fillText(t.name, 0, narrow ? t.y - 17 : t.y + 1);
    let nx = c.measureText(t.name).width + 12;
    c.font = '11px ' + FONT;
    if (t.kind === 'bands') return this.paintBands(c, t);
    if (t.kind === 'marks') return this.paintMarks(c, t);
    const [low, high] = this.range(t);
    t.low = low;
    t.high = high;
    const y = (v) => t.y + t.height - (v - low) / (high - low) * t.height;
    c.fillStyle = colours.soft;
    c.strokeStyle = colours.line;
    for (const v of ticks(low, high, Math.max(1, t.height / 30)).filter((v) => !t.count || Number.isInteger(v))) {
      const py = Math.round(y(v)) + 0.5;
      c.beginPath(); c.moveTo(this.left, py); c.lineTo(this.left + this.plot, py); c.stroke();
      c.textAlign = 'right';
      c.textBaseline = 'middle';
      c.fillText(t.time ? duration(v) : grouped(+v.toPrecision(6)), this.left - 6, Math.max(py, t.y + 5));
    }
    if (narrow) {
      c.textAlign = 'left';
      c.textBaseline = 'middle';
      for (const l of t.lines) {
        if (nx + 17 + c.measureText(l.label).width > this.width) break;
        this.swatch(c, l, nx, t.y - 10);
        c.fillStyle = colours.soft;
        c.fillText(l.label, nx + 17, t.y - 10);
        nx += 27 + c.measureText(l.label).width;
      }
    } else {
      let ly = t.y + 21;
      c.textAlign = 'left';
      c.textBaseline = 'middle';
      for (const l of t.lines) {
        if (ly > t.y + t.height + 2) break;
        this.swatch(c, l, 0, ly);
        c.fillStyle = colours.soft;
        c.font = '11px ' + FONT;
        c.fillText(clip(c, l.label, this.left - 74), 17, ly);
        c.font = '11px ' + FONT;
        ly += 13;
      }
    }
    c.save();
    c.beginPath();
    c.rect(this.left, t.y - 3, this.plot, t.height + 6);
    c.clip();
    for (const l of t.lines) t.kind === 'dots' ? this.dots(c, l, y) : this.line(c, l, y, t);
    c.restore();
  }

  swatch(c, l, x, y) {
    c.save();
    c.strokeStyle = c.fillStyle = colours[l.colour];
    c.lineWidth = 2;
    if (l.shape) shape(c, l.shape, x + 6, y, 3);
    else { c.setLineDash(l.dash ? [4, 2] : []); c.beginPath(); c.moveTo(x, y); c.lineTo(x + 13, y); c.stroke(); }
    c.restore();
  }

  range(t) {
    let high = -Infinity, low = t.floor !== undefined ? t.floor : Infinity;
    for (const l of t.lines) {
      const a = Math.max(0, after(l.s.t.v, l.s.t.n, view.from) - 1), b = after(l.s.t.v, l.s.t.n, view.to);
      for (let i = a; i < b; i++) { const v = l.s.v.v[i]; if (v > high) high = v; if (v < low) low = v; }
    }
    if (!(high > low)) high = low + 1;
    if (t.ceiling) high = Math.max(high, t.ceiling);
    return [low, high + (high - low) * 0.12];
  }

  // line draws a curve; where many points fall on one pixel, their extremes.
  line(c, l, y, t) {
    const T = l.s.t.v, V = l.s.v.v, n = l.s.t.n;
    let i = Math.max(0, after(T, n, view.from) - 1);
    const end = Math.min(n, after(T, n, view.to) + 1);
    if (i >= end) return;
    const path = new Path2D();
    let last = y(V[i]), px = Math.max(this.left, this.x(T[i]));
    const x0 = px;
    path.moveTo(px, last);
    for (i++; i < end;) {
      const x = this.x(T[i]), column = Math.floor(x);
      let lo = V[i], hi = V[i], v = V[i];
      for (i++; i < end && Math.floor(this.x(T[i])) === column; i++) { v = V[i]; if (v < lo) lo = v; if (v > hi) hi = v; }
      path.lineTo(x, last);
      if (lo !== hi) { path.lineTo(x, y(lo)); path.lineTo(x, y(hi)); }
      path.lineTo(x, y(v));
      last = y(v);
      px = x;
    }
    const stop = Math.min(this.x(Math.min(view.to, view.model.head.length)), this.left + this.plot);
    path.lineTo(Math.max(px, stop), last);
    if (l.fill) {
      const area = new Path2D(path);
      area.lineTo(Math.max(px, stop), t.y + t.height);
      area.lineTo(x0, t.y + t.height);
      c.globalAlpha = 0.14;
      c.fillStyle = colours[l.colour];
      c.fill(area);
      c.globalAlpha = 1;
    }
    c.strokeStyle = colours[l.colour];
    c.lineWidth = l.thin ? 1 : 1.6;
    c.setLineDash(l.dash ? [5, 3] : []);
    c.stroke(path);
    c.setLineDash([]);
  }

  dots(c, l, y) {
    const T = l.s.t.v, V = l.s.v.v, n = l.s.t.n;
    const from = Math.max(0, after(T, n, view.from - 1)), end = after(T, n, view.to);
    c.strokeStyle = c.fillStyle = colours[l.colour];
    c.lineWidth = 1.3;
    const seen = new Set(), many = end - from > 400;
    for (let i = from; i < end; i++) {
      const x = Math.round(this.x(T[i])), py = Math.round(y(V[i]));
      const key = x * 4096 + py;
      if (seen.has(key)) continue;
      seen.add(key);
      shape(c, l.shape, x, py, many ? 1.6 : 2.6);
    }
  }

  paintBands(c, t) {
    const tracks = [...new Set(t.bands.map((b) => b.track))];
    const names = {link: 'link', nic: 'interface', session: 'session', power: 'power', device: 'device', timeline: 'timeline'};
    tracks.forEach((track, k) => {
      const y = t.y + 4 + k * 18;
      c.fillStyle = colours.soft;
      c.textAlign = 'right';
      c.textBaseline = 'middle';
      c.font = '10px ' + FONT;
      c.fillText(names[track] || track, this.left - 6, y + 7);
      for (const b of t.bands) {
        if (b.track !== track || b.to < view.from || b.from > view.to) continue;
        const x0 = Math.max(this.left, this.x(b.from)), x1 = Math.min(this.left + this.plot, this.x(b.to));
        c.fillStyle = b.bad ? colours['bad-shade'] : colours['warn-shade'];
        c.fillRect(x0, y, Math.max(2, x1 - x0), 14);
        if (b.bad) hatch(c, x0, y, Math.max(2, x1 - x0), 14);
        c.fillStyle = colours.ink;
        c.textAlign = 'left';
        c.fillText(clip(c, b.state, x1 - x0 - 8), x0 + 4, y + 7.5);
      }
    });
  }

  paintMarks(c, t) {
    t.rows.forEach((r, k) => {
      const y = t.y + 4 + k * 16;
      c.fillStyle = colours.soft;
      c.font = '10px ' + FONT;
      c.textAlign = 'right';
      c.textBaseline = 'middle';
      c.fillText(clip(c, r.name, this.left - 8 - (k === 0 && !this.narrow ? 50 : 0)), this.left - 6, y + 5);
      c.fillStyle = colours[r.colour];
      let last = -9;
      for (let i = after(r.t, r.t.length, view.from - 1); i < r.t.length && r.t[i] <= view.to; i++) {
        const x = Math.round(this.x(r.t[i]));
        if (x === last) continue;
        last = x;
        if (r.bad) { c.beginPath(); c.moveTo(x - 3.5, y + 10); c.lineTo(x + 3.5, y + 10); c.lineTo(x, y + 2); c.fill(); } else c.fillRect(x - 1, y + 1, 2, 9);
      }
    });
  }

  // paintOver draws what changes often: the pointer, the ladder's window, the selection.
  paintOver() {
    if (!this.tracks || this.width < 40) return;
    const c = fit(this.over, this.width, this.height), bottom = this.height - AXIS;
    c.clearRect(0, 0, this.width, this.height);
    if (this.window && this.window[1] - this.window[0] < 0.97 * (view.to - view.from)) {
      const a = Math.max(this.left, this.x(this.window[0])), b = Math.min(this.left + this.plot, this.x(this.window[1]));
      if (b > this.left && a < this.left + this.plot) {
        c.fillStyle = colours.select;
        c.globalAlpha = 0.18;
        c.fillRect(a, 2, Math.max(3, b - a), bottom - 2);
        c.globalAlpha = 1;
      }
    }
    const line = (t, colour, dash) => {
      const x = this.x(t);
      if (x < this.left - 1 || x > this.left + this.plot + 1) return;
      c.strokeStyle = colour;
      c.setLineDash(dash);
      c.beginPath(); c.moveTo(Math.round(x) + 0.5, 2); c.lineTo(Math.round(x) + 0.5, bottom); c.stroke();
      c.setLineDash([]);
    };
    const s = selectedTime();
    if (s !== null) line(s, colours.select, []);
    if (this.drag && this.drag.moved) {
      c.fillStyle = colours.select;
      c.globalAlpha = 0.25;
      c.fillRect(Math.min(this.drag.x, this.hover), 2, Math.abs(this.hover - this.drag.x), bottom - 2);
      c.globalAlpha = 1;
    } else if (this.hover !== null && this.hover > this.left) line(this.time(this.hover), colours.soft, [3, 3]);
  }

  down(e) {
    if (e.button !== 0 || e.offsetX < this.left) return;
    this.drag = {x: e.offsetX, moved: false};
    this.canvas.setPointerCapture(e.pointerId);
  }

  move(e) {
    this.hover = Math.min(Math.max(e.offsetX, this.left), this.left + this.plot);
    if (this.drag && Math.abs(this.hover - this.drag.x) > 4) this.drag.moved = true;
    this.mark();
    this.tell(e);
  }

  up(e) {
    const d = this.drag;
    this.drag = null;
    if (!d) return;
    if (d.moved && Math.abs(this.hover - d.x) > 4) {
      const a = this.time(Math.min(d.x, this.hover)), b = this.time(Math.max(d.x, this.hover));
      this.zoomTo(a, b);
    } else view.seek(this.time(e.offsetX));
    this.mark();
  }

  tell(e) {
    const t = this.time(this.hover), lines = [];
    const track = (this.tracks || []).find((x) => e.offsetY >= x.y - 4 && e.offsetY <= x.y + x.height + 4);
    if (track && track.lines) {
      for (const l of track.lines) {
        let i = after(l.s.t.v, l.s.t.n, t) - 1;
        if (track.kind === 'dots' && i + 1 < l.s.t.n && (i < 0 || l.s.t.v[i + 1] - t < t - l.s.t.v[i])) i++;
        if (i < 0 || (track.kind === 'dots' && Math.abs(this.x(l.s.t.v[i]) - this.hover) > 12)) continue;
        lines.push(l.label + ': ' + (track.time ? duration(l.s.v.v[i]) : grouped(l.s.v.v[i])));
      }
    }
    if (track && track.bands) for (const b of track.bands) if (b.from <= t && t <= b.to) lines.push(b.state);
    this.tip.textContent = [seconds(t, 6), ...lines].join('\n');
    this.tip.hidden = this.hover <= this.left;
    const w = this.tip.offsetWidth;
    this.tip.style.left = Math.max(0, Math.min(this.hover + 14, this.width - w - 4)) + 'px';
    this.tip.style.top = (e.offsetY + 16) + 'px';
  }

  zoom(k, at) { this.zoomTo(at - (at - view.from) * k, at + (view.to - at) * k); }

  zoomTo(a, b) {
    const length = Math.max(1, view.model.head.length), least = Math.min(length, 1000);
    let span = Math.min(length, Math.max(least, b - a));
    a = Math.max(0, Math.min(a, length - span));
    view.from = a;
    view.to = a + span;
    this.draw();
    view.changed('zoom');
  }

  key(e) {
    const span = view.to - view.from, mid = (view.from + view.to) / 2;
    const acts = {
      ArrowLeft: () => this.zoomTo(view.from - span / 10, view.to - span / 10), ArrowRight: () => this.zoomTo(view.from + span / 10, view.to + span / 10),
      '+': () => this.zoom(0.7, mid), '=': () => this.zoom(0.7, mid), '-': () => this.zoom(1.4, mid),
      '0': () => this.zoomTo(0, view.model.head.length), Enter: () => view.seek(mid),
    };
    if (!acts[e.key] || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault();
    e.stopPropagation();
    acts[e.key]();
  }
}

function shape(c, kind, x, y, r) {
  c.beginPath();
  if (kind === 'cross') {
    c.moveTo(x - r - 1, y - r - 1); c.lineTo(x + r + 1, y + r + 1); c.moveTo(x + r + 1, y - r - 1); c.lineTo(x - r - 1, y + r + 1);
    c.stroke();
  } else {
    c.arc(x, y, r, 0, 7);
    kind === 'ring' ? c.stroke() : c.fill();
  }
}

function hatch(c, x, y, w, h) {
  c.save();
  c.beginPath();
  c.rect(x, y, w, h);
  c.clip();
  c.strokeStyle = colours.red;
  c.globalAlpha = 0.35;
  c.lineWidth = 1;
  c.beginPath();
  for (let k = x - h - (x % 7); k < x + w; k += 7) { c.moveTo(k, y + h); c.lineTo(k + h, y); }
  c.stroke();
  c.restore();
}

function selectedTime() {
  const s = view.selected, m = view.model;
  if (!s || !m) return null;
  if (s.frame !== undefined) return m.frames.t.v[s.frame];
  return m.events.t.v[s.event];
}
