// The ladder: device, link and peer side by side, a row for each frame and event,
// or all of them on one scale of time. Only what is visible is drawn.

const ROW = 22;

// What goes on inside stack and client; the frames show most of it.
const INNER = new Set(['mqtt.state', 'tcp', 'thread.wait', 'arp', 'nd', 'link.match', 'broker.acked', 'mqtt.pingreq', 'mqtt.pingresp', 'mqtt.subscribed']);

class Ladder {
  constructor(box) {
    this.canvas = el('canvas', {'aria-hidden': 'true'});
    this.spacer = el('div', {class: 'spacer'});
    this.scroll = el('div', {class: 'ladder', tabindex: '0', role: 'listbox', 'aria-label': 'Ladder diagram: up and down choose a frame, slash searches, n goes to the next problem, question mark shows all keys'},
      el('div', {class: 'sticky'}, this.canvas), this.spacer);
    this.live = el('div', {class: 'unseen', 'aria-live': 'polite'});
    box.append(this.scroll, this.live);
    this.mode = 'rows';
    this.scale = 1 / 1e6; // pixels a nanosecond, of the scale of time
    this.filter = {text: '', acks: true, control: true, mqtt: true, other: true, events: true, inner: false, problems: false};
    this.shown = new Int32Array(0);
    this.draw = soon(() => this.paint());
    this.scroll.addEventListener('scroll', this.draw, {passive: true});
    new ResizeObserver(() => { this.layout(); this.draw(); }).observe(this.scroll);
    this.scroll.addEventListener('pointerdown', (e) => this.click(e));
    this.scroll.addEventListener('keydown', (e) => this.key(e));
    this.scroll.addEventListener('wheel', (e) => { if (e.ctrlKey && this.mode === 'time') { e.preventDefault(); this.zoom(e.deltaY > 0 ? 0.8 : 1.25, e.clientY - this.scroll.getBoundingClientRect().top); } }, {passive: false});
    this.marked = new Map();
    view.on((what) => {
      if (what === 'data' || what === 'lane') { this.order(); this.refilter(); }
      if (what === 'selection' || what === 'colours' || what === 'zoom') this.draw();
    });
  }

  // order merges frames and events by time: an event is ~index.
  order() {
    const m = view.model, f = m.frames, e = m.events;
    this.all = new Int32Array(f.t.n + e.t.n);
    const sorted = this.sorted(f.t);
    let n = 0, i = 0, k = 0;
    while (i < f.t.n || k < e.t.n) {
      if (k >= e.t.n || (i < f.t.n && f.t.v[sorted[i]] < e.t.v[k])) {
        this.all[n++] = sorted[i++];
        continue;
      }
      // What happened to a frame is drawn with the frame.
      const drawn = e.frame.v[k] > 0 && m.byID.has(Math.max(0, e.lane.v[k]) + ':' + e.frame.v[k]) && m.strings[e.kind.v[k]] === 'drop';
      if (!drawn) this.all[n++] = ~k;
      k++;
    }
    this.all = this.all.subarray(0, n);
    this.ordinals();
  }

  // sorted is the order of the frames by time: a live page may get some late.
  sorted(t) {
    const all = new Int32Array(t.n);
    let late = false;
    for (let i = 0; i < t.n; i++) { all[i] = i; late = late || (i > 0 && t.v[i] < t.v[i - 1]); }
    return late ? all.sort((a, b) => t.v[a] - t.v[b] || a - b) : all;
  }

  // ordinals finds the frames that are marked as fatal by their number on the way.
  ordinals() {
    const m = view.model, f = m.frames, seen = new Map();
    this.marked.clear();
    if (!m.fatal.length) return;
    const want = new Map(m.fatal.map((x) => [x.lane + (x.up ? 'u' : 'd') + x.ordinal, x.text]));
    for (let i = 0; i < f.t.n; i++) {
      if (f.flags.v[i] & COPY) continue;
      const way = f.lane.v[i] + (f.flags.v[i] & UP ? 'u' : 'd');
      const n = (seen.get(way) || 0) + 1;
      seen.set(way, n);
      const text = want.get(way + n);
      if (text !== undefined) this.marked.set(i, text);
    }
  }

  refilter() {
    const m = view.model, f = m.frames, e = m.events, q = this.filter;
    const needle = q.text.trim().toLowerCase();
    const match = needle ? m.strings.map((s) => s.toLowerCase().includes(needle)) : null;
    let bits = 0, tcpBits = 0;
    if (needle) {
      LABELS.forEach((l, k) => { if (l.includes(needle)) bits |= 1 << k; });
      TCPFLAGS.forEach((l, k) => { if (l.toLowerCase() === needle) tcpBits |= 1 << k; });
    }
    const number = /^#?\d+$/.test(needle) ? +needle.replace('#', '') : -1;
    const out = new Int32Array(this.all.length);
    let n = 0;
    for (let k = 0; k < this.all.length; k++) {
      const i = this.all[k];
      if (i < 0) {
        const x = ~i;
        if (!(INNER.has(m.strings[e.kind.v[x]]) ? q.inner : q.events) || (e.lane.v[x] >= 0 && e.lane.v[x] !== view.lane) || (q.problems && e.level.v[x] < 2)) continue;
        if (match && !match[e.kind.v[x]] && !match[e.node.v[x]] && !match[e.text.v[x]] && e.seq.v[x] !== number) continue;
        out[n++] = i;
        continue;
      }
      if (f.lane.v[i] !== view.lane) continue;
      const tcp = f.tcp.v[i];
      if (q.problems) {
        if (!m.problem(i) && !this.marked.has(i)) continue;
      } else if (f.mqtt.v[i]) { if (!q.mqtt) continue; } else if (tcp < 0) { if (!q.other) continue; } else if (tcp & 7) { if (!q.control) continue; } else if (f.pay.v[i] === 0) { if (!q.acks && !m.problem(i)) continue; }
      if (match && !match[f.mqtt.v[i]] && !match[f.info.v[i]] && !match[f.why.v[i]] && !(f.labels.v[i] & bits) && !(tcp >= 0 && tcp & tcpBits) &&
        f.id.v[i] !== number && !(needle === 'tcp' && tcp >= 0)) continue;
      out[n++] = i;
    }
    const middle = this.n ? this.timeAt(this.scroll.clientHeight / 2) : null;
    this.shown = out.subarray(0, n);
    this.n = n;
    this.layout();
    if (this.began && middle !== null) this.goto(middle);
    this.began = true;
    this.draw();
    if (this.onCount) this.onCount(n, this.all.length);
  }

  timeOf(i) { return i < 0 ? view.model.events.t.v[~i] : view.model.frames.t.v[i]; }

  layout() {
    const h = this.mode === 'rows' ? this.shown.length * ROW : view.model ? view.model.head.length * this.scale : 0;
    this.total = Math.min(Math.max(h + 40, this.scroll.clientHeight - 2), 16e6);
    this.spacer.style.height = this.total + 'px';
  }

  // indexAt returns the position in shown of the first row at or behind a time.
  indexAt(t) {
    let lo = 0, hi = this.shown.length;
    while (lo < hi) {
      const mid = (lo + hi) >> 1;
      if (this.timeOf(this.shown[mid]) < t) lo = mid + 1; else hi = mid;
    }
    return lo;
  }

  timeAt(y) {
    const top = this.scroll.scrollTop + y;
    if (this.mode === 'time') return top / this.scale;
    const i = Math.min(this.shown.length - 1, Math.max(0, Math.floor(top / ROW)));
    return this.shown.length ? this.timeOf(this.shown[i]) : 0;
  }

  // goto shows a moment in the middle.
  goto(t) {
    const mid = this.scroll.clientHeight / 2;
    this.scroll.scrollTop = this.mode === 'time' ? t * this.scale - mid : this.indexAt(t) * ROW - mid;
    this.draw();
  }

  setMode(mode) {
    const t = this.timeAt(this.scroll.clientHeight / 2);
    this.mode = mode;
    if (mode === 'time') this.scale = Math.max(this.least(), this.natural());
    this.layout();
    this.goto(t);
  }

  least() { return Math.max(1, this.scroll.clientHeight - 40) / Math.max(1, view.model.head.length); }

  // natural is a scale at which the frames around the middle are 26 pixels apart.
  natural() {
    const t = this.timeAt(this.scroll.clientHeight / 2), at = this.indexAt(t);
    const a = Math.max(0, at - 15), b = Math.min(this.shown.length - 1, at + 15);
    const span = b > a ? this.timeOf(this.shown[b]) - this.timeOf(this.shown[a]) : 0;
    return span > 0 ? Math.min((b - a) * 26 / span, 15e6 / Math.max(1, view.model.head.length)) : this.least();
  }

  zoom(k, y = this.scroll.clientHeight / 2) {
    if (this.mode !== 'time') return;
    const t = this.timeAt(y), length = Math.max(1, view.model.head.length);
    this.scale = Math.min(15e6 / length, Math.max(this.least(), this.scale * k));
    this.layout();
    this.scroll.scrollTop = t * this.scale - y;
    this.draw();
  }

  geometry() {
    const w = this.scroll.clientWidth, narrow = w < 620;
    const time = narrow ? 62 : 92;
    const dev = time + (narrow ? 12 : 34);
    const peer = dev + (narrow ? Math.max(90, w * 0.3) : Math.min(430, Math.max(200, w * 0.36)));
    return {w, narrow, time, dev, peer, label: peer + (narrow ? 10 : 26)};
  }

  paint() {
    const m = view.model;
    const h = this.scroll.clientHeight;
    if (!m || h < 20 || !this.shown) return;
    const g = this.g = this.geometry();
    const c = fit(this.canvas, g.w, h);
    c.clearRect(0, 0, g.w, h);
    const top = this.scroll.scrollTop;
    this.rows = [];
    if (this.mode === 'rows') this.paintRows(c, g, top, h); else this.paintTime(c, g, top, h);
    this.heading(c, g);
    const a = this.timeAt(0), b = this.timeAt(h);
    if (this.onWindow) this.onWindow(a, b);
  }

  paintRows(c, g, top, h) {
    const from = Math.max(0, Math.floor((top - 26) / ROW)), to = Math.min(this.shown.length, Math.ceil((top + h) / ROW) + 1);
    const [a, b] = this.lanes(c, g, 26, Math.min(h, this.shown.length * ROW - top + 30));
    const bands = view.model.bands.filter((x) => x.bad && x.track === 'link' && x.lane === view.lane);
    for (let k = from; k < to; k++) {
      const i = this.shown[k], y = k * ROW - top + 28, t = this.timeOf(i);
      if (bands.some((x) => x.from <= t && t <= x.to)) this.bad(c, g, a, b, y, ROW);
      if (this.isSelected(i)) { c.fillStyle = colours.select; c.globalAlpha = 0.2; c.fillRect(0, y, g.w, ROW); c.globalAlpha = 1; }
    }
    for (let k = from; k < to; k++) {
      const i = this.shown[k], y = k * ROW - top + 28;
      this.rows.push({i, y0: y, y1: y + ROW});
      const before = k > 0 ? this.timeOf(this.shown[k - 1]) : -1;
      this.stamp(c, g, this.timeOf(i), before, y + ROW / 2);
      if (i < 0) this.event(c, g, ~i, y + ROW / 2); else this.frame(c, g, i, y + 5, y + ROW - 5, y + ROW / 2, true);
    }
    if (!this.shown.length) this.nothing(c, g, h);
  }

  isSelected(i) {
    const s = view.selected;
    return s && (i < 0 ? s.event === ~i : s.frame === i);
  }

  paintTime(c, g, top, h) {
    const m = view.model, f = m.frames, y = (t) => t * this.scale - top + 28;
    const [a, b] = this.lanes(c, g, 26, Math.min(h, y(m.head.length) + 4));
    for (const x of m.bands) if (x.bad && x.track === 'link' && x.lane === view.lane && y(x.to) > 0 && y(x.from) < h) this.bad(c, g, a, b, Math.max(26, y(x.from)), Math.min(h, y(x.to)) - Math.max(26, y(x.from)));
    const t0 = this.timeAt(-28), t1 = this.timeAt(h);
    c.textAlign = 'right';
    c.font = (g.narrow ? '10px ' : '11px ') + MONO;
    for (const s of ticks(t0 / NS, t1 / NS, h / 60)) {
      const py = Math.round(y(s * NS)) + 0.5;
      c.strokeStyle = colours.line;
      c.beginPath(); c.moveTo(g.time - 4, py); c.lineTo(g.w, py); c.stroke();
      c.fillStyle = colours.soft;
      c.textAlign = 'right';
      c.textBaseline = 'middle';
      c.fillText(+s.toPrecision(9) + ' s', g.time - 8, py);
    }
    // Frames that were sent above the picture may arrive in it.
    const from = this.indexAt(t0 - this.longest()), to = this.indexAt(t1 + 1);
    const stride = Math.max(1, Math.ceil((to - from) / 2500));
    let last = 26, drawn = 0;
    for (let k = from; k < to; k++) {
      const i = this.shown[k];
      const important = i < 0 ? view.model.events.level.v[~i] === 2 : m.problem(i);
      if (stride > 1 && k % stride && !(important && drawn < 4000)) continue;
      drawn++;
      const py = y(this.timeOf(i));
      const label = py - last >= 14 && py < h;
      if (label) last = py;
      if (this.isSelected(i)) { c.fillStyle = colours.select; c.globalAlpha = 0.2; c.fillRect(0, py - 8, g.w, 16); c.globalAlpha = 1; }
      if (i < 0) {
        if (label) this.event(c, g, ~i, py);
        this.rows.push({i, y0: py - 6, y1: py + 6});
        continue;
      }
      const d = f.d.v[i] >= 0 ? f.d.v[i] : this.usual();
      this.frame(c, g, i, py, y(f.t.v[i] + d), py, label);
      this.rows.push({i, y0: py - 7, y1: py + 7});
    }
    if (stride > 1) this.thinned(c, g, h, to - from, stride);
    if (!this.shown.length) this.nothing(c, g, h);
  }

  // longest is how long a frame may be on the link, usual how long it is as a rule.
  longest() {
    if (this.known !== view.model.frameCount) {
      const d = view.model.frames.d, all = [];
      const step = Math.max(1, Math.floor(d.n / 5000));
      for (let i = 0; i < d.n; i += step) if (d.v[i] >= 0) all.push(d.v[i]);
      all.sort((x, y) => x - y);
      this.max = all.length ? all[all.length - 1] : 0;
      this.median = all.length ? all[all.length >> 1] : 0;
      this.known = view.model.frameCount;
    }
    return this.max;
  }

  usual() { this.longest(); return this.median; }

  click(e) {
    const r = this.scroll.getBoundingClientRect();
    if (e.clientX > r.left + this.scroll.clientWidth) return; // the scroll bar
    const y = e.clientY - r.top;
    let best = null;
    for (const x of this.rows || []) if (y >= x.y0 && y < x.y1 && (!best || Math.abs((x.y0 + x.y1) / 2 - y) < Math.abs((best.y0 + best.y1) / 2 - y))) best = x;
    if (best) this.choose(best.i, false);
  }

  // choose selects a row, and shows it if it is to.
  choose(i, show = true) {
    view.select(i < 0 ? {event: ~i} : {frame: i}, 'ladder');
    const m = view.model;
    this.live.textContent = seconds(this.timeOf(i), 6) + ' ' + (i < 0 ? m.strings[m.events.kind.v[~i]] + ' ' + m.strings[m.events.text.v[~i]] : m.title(i) + ' ' + m.remark(i));
    if (!show) return;
    const t = this.timeOf(i), k = this.position(i), h = this.scroll.clientHeight;
    const y = this.mode === 'rows' ? k * ROW : t * this.scale;
    if (y < this.scroll.scrollTop + 10 || y > this.scroll.scrollTop + h - 70) this.scroll.scrollTop = y - h / 2;
    this.draw();
  }

  // position is where a row stands in shown, or where it would.
  position(i) {
    let k = this.indexAt(this.timeOf(i));
    while (k < this.shown.length && this.shown[k] !== i && this.timeOf(this.shown[k]) === this.timeOf(i)) k++;
    return k;
  }

  current() {
    const s = view.selected;
    if (!s) return this.indexAt(this.timeAt(30)) - 1;
    const k = this.position(s.frame !== undefined ? s.frame : ~s.event);
    return k < this.shown.length && this.isSelected(this.shown[k]) ? k : k - 1;
  }

  step(n) {
    if (!this.shown.length) return;
    this.choose(this.shown[Math.max(0, Math.min(this.shown.length - 1, this.current() + n))]);
  }

  // problem goes to the next problem in a direction.
  problem(way) {
    const m = view.model;
    for (let k = this.current() + way; k >= 0 && k < this.shown.length; k += way) {
      const i = this.shown[k];
      if (i < 0 ? m.events.level.v[~i] === 2 : m.problem(i) || this.marked.has(i)) return this.choose(i);
    }
    this.live.textContent = 'no further problem';
  }

  key(e) {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const page = Math.max(1, Math.floor(this.scroll.clientHeight / ROW) - 2);
    const acts = {
      ArrowDown: () => this.step(1), ArrowUp: () => this.step(-1), j: () => this.step(1), k: () => this.step(-1),
      PageDown: () => this.step(page), PageUp: () => this.step(-page),
      Home: () => this.shown.length && this.choose(this.shown[0]), End: () => this.shown.length && this.choose(this.shown[this.shown.length - 1]),
      '+': () => this.zoom(1.4), '=': () => this.zoom(1.4), '-': () => this.zoom(0.7), '0': () => this.zoom(1e-9),
    };
    if (!acts[e.key]) return;
    e.preventDefault();
    acts[e.key]();
  }
}
