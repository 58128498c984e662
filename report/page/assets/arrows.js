// How the ladder draws its rows.

Object.assign(Ladder.prototype, {
  heading(c, g) {
    const lane = view.model.head.lanes[view.lane] || {device: 'device', link: 'link', peer: 'peer'};
    c.fillStyle = colours.panel;
    c.fillRect(0, 0, g.w, 26);
    c.strokeStyle = colours.line;
    c.beginPath(); c.moveTo(0, 26.5); c.lineTo(g.w, 26.5); c.stroke();
    c.font = '600 12px ' + FONT;
    c.textBaseline = 'middle';
    c.textAlign = 'center';
    c.fillStyle = colours.ink;
    const room = (g.peer - g.dev) / (g.narrow ? 2 : 3);
    const name = (text, x) => { const s = clip(c, text, room); c.fillText(s, Math.max(x, c.measureText(s).width / 2 + 2), 13); };
    name(lane.device, g.dev);
    name(lane.peer, g.peer);
    c.fillStyle = colours.soft;
    c.font = '11px ' + FONT;
    if (!g.narrow) name('link', (g.dev + g.peer) / 2);
    if (!g.narrow) {
      c.textAlign = 'right';
      c.fillText('time', g.time - 8, 13);
    }
  },

  lanes(c, g, y0, y1) {
    const a = g.dev + (g.peer - g.dev) * 0.16, b = g.dev + (g.peer - g.dev) * 0.84;
    c.fillStyle = colours.shade;
    c.fillRect(a, y0, b - a, y1 - y0);
    c.strokeStyle = colours.soft;
    c.lineWidth = 2;
    c.beginPath(); c.moveTo(g.dev, y0); c.lineTo(g.dev, y1); c.moveTo(g.peer, y0); c.lineTo(g.peer, y1); c.stroke();
    c.lineWidth = 1;
    return [a, b];
  },

  // bad shades the link while something holds.
  bad(c, g, a, b, y, h) {
    c.fillStyle = colours['bad-shade'];
    c.fillRect(a, y, b - a, h);
    hatch(c, a, y, b - a, h);
  },

  colour(i) {
    const m = view.model, f = m.frames, fl = f.flags.v[i];
    if (fl & (LOST | DIED)) return 'red';
    if (fl & AGAIN || f.labels.v[i] & 0b0111_1111) return 'orange';
    if (f.mqtt.v[i]) return fl & UP ? 'blue' : 'green';
    if (f.tcp.v[i] < 0 || f.tcp.v[i] & 7) return 'purple';
    return f.pay.v[i] > 0 ? 'sky' : 'soft';
  },

  // frame draws an arrow from y0 at its sender to y1 at its receiver.
  frame(c, g, i, y0, y1, ly, label) {
    const m = view.model, f = m.frames, fl = f.flags.v[i], up = fl & UP;
    const x0 = up ? g.dev : g.peer, x1 = up ? g.peer : g.dev;
    const colour = colours[this.colour(i)];
    const died = fl & LOST ? f.place.v[i] / 100 : 1;
    const sx = x0 + (x1 - x0) * died, sy = y0 + (y1 - y0) * died;
    c.strokeStyle = c.fillStyle = colour;
    c.lineWidth = f.mqtt.v[i] || fl & (LOST | DIED) ? 1.8 : 1.2;
    c.setLineDash(fl & AGAIN ? [7, 4] : fl & COPY ? [2, 3] : []);
    c.beginPath(); c.moveTo(x0, y0); c.lineTo(sx, sy); c.stroke();
    c.setLineDash([]);
    const s = up ? 1 : -1;
    if (fl & (LOST | DIED)) {
      const cx = fl & DIED ? x1 : sx;
      c.lineWidth = 2.4;
      c.beginPath();
      c.moveTo(cx - 5, sy - 5); c.lineTo(cx + 5, sy + 5); c.moveTo(cx + 5, sy - 5); c.lineTo(cx - 5, sy + 5);
      c.stroke();
      c.lineWidth = 1;
    } else if (fl & INFLIGHT) {
      c.beginPath(); c.arc((x0 + x1) / 2, (y0 + y1) / 2, 3.5, 0, 7); c.stroke();
    } else {
      c.beginPath(); c.moveTo(x1, y1); c.lineTo(x1 - 8 * s, y1 - 4); c.lineTo(x1 - 8 * s, y1 + 4); c.fill();
    }
    if (fl & CORRUPT) { c.font = 'bold 12px ' + FONT; c.textAlign = 'center'; c.fillText('≠', x0 + (x1 - x0) * 0.5, (y0 + y1) / 2 - 6); }
    if (this.marked.has(i)) { c.fillStyle = colours.red; c.font = 'bold 13px ' + FONT; c.textAlign = 'center'; c.textBaseline = 'middle'; c.fillText('⚑', g.dev + (up ? -13 : 0) + (up ? 0 : g.peer - g.dev + 13), ly); }
    if (label) this.label(c, g, m.title(i), m.remark(i), colour, ly, f.mqtt.v[i] > 0);
  },

  label(c, g, text, remark, colour, y, strong) {
    let x = g.label;
    const room = g.w - x - 8;
    if (room < 20) return;
    c.textAlign = 'left';
    c.textBaseline = 'middle';
    c.font = (strong ? '600 ' : '') + '12px ' + FONT;
    c.fillStyle = strong ? colours.ink : colours.soft;
    const most = remark ? Math.max(room * 0.55, room - remark.length * 6 - 10) : room;
    const shown = clip(c, text, most);
    c.fillText(shown, x, y);
    if (!remark) return;
    x += c.measureText(shown).width + 10;
    c.font = '11px ' + FONT;
    c.fillStyle = colour;
    c.fillText(clip(c, remark, g.w - x - 8), x, y);
  },

  event(c, g, i, y) {
    const m = view.model, e = m.events, kind = m.strings[e.kind.v[i]], node = m.strings[e.node.v[i]];
    const lane = m.head.lanes[view.lane];
    const x = kind.startsWith('broker.') || node.startsWith('broker') ? g.peer : lane && node.startsWith(lane.link) && !node.startsWith(lane.device) ? (g.dev + g.peer) / 2 : g.dev;
    const bad = e.level.v[i] === 2, colour = bad ? colours.red : e.level.v[i] === 1 ? colours.purple : colours.soft;
    c.fillStyle = colour;
    c.beginPath(); c.moveTo(x, y - 5); c.lineTo(x + 5, y); c.lineTo(x, y + 5); c.lineTo(x - 5, y); c.fill();
    const room = g.w - g.label - 8;
    c.textAlign = 'left';
    c.textBaseline = 'middle';
    c.font = 'italic 12px ' + FONT;
    const head = clip(c, kind, room);
    c.fillText(head, g.label, y);
    const w = c.measureText(head).width + 8;
    c.font = '12px ' + FONT;
    c.fillStyle = colours.soft;
    c.fillText(clip(c, m.strings[e.text.v[i]], room - w), g.label + w, y);
  },

  thinned(c, g, h, n, stride) {
    const text = grouped(n) + ' rows here, one of ' + stride + ' is drawn beside problems: zoom in';
    c.font = '600 12px ' + FONT;
    const w = c.measureText(text).width;
    c.fillStyle = colours.panel;
    c.fillRect(g.w / 2 - w / 2 - 10, h - 30, w + 20, 24);
    c.fillStyle = colours.ink;
    c.textAlign = 'center';
    c.textBaseline = 'middle';
    c.fillText(text, g.w / 2, h - 18);
  },

  stamp(c, g, t, before, y) {
    c.textAlign = 'right';
    c.textBaseline = 'middle';
    c.font = (g.narrow ? '10px ' : '11px ') + MONO;
    c.fillStyle = t === before ? colours.faint : colours.soft;
    c.fillText((t / NS).toFixed(g.narrow ? 4 : 6), g.time - 6, y);
  },

  nothing(c, g, h) {
    c.fillStyle = colours.soft;
    c.font = '13px ' + FONT;
    c.textAlign = 'center';
    c.fillText(this.all && this.all.length ? 'Nothing matches the filter' : 'There are no frames and no events', g.w / 2, h / 2);
  },
});
