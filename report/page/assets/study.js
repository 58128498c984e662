// Pages of sweeps and explorations.

function study(h, model) { return h.kind === 'sweep' ? sweepPage(h.sweep) : explorePage(h, model); }

const share = (x) => (x === 1 || x === 0 ? String(100 * x) : (100 * x).toFixed(1)) + ' %';

// metricText writes a value of a metric.
function metricText(m, v) {
  if (v === null || v === undefined || Number.isNaN(v)) return '–';
  return m.rate ? share(v) : m.time ? duration(Math.round(v)) : grouped(+v.toPrecision(4));
}

function sweepPage(s) {
  const axes = s.header.axes || [], metrics = [{name: 'pass rate', rate: true}, ...s.metrics];
  const stat = (row, m) => {
    if (!row) return null;
    if (m.rate) return {mean: row.pass_rate.mean, low: row.pass_rate.low, high: row.pass_rate.high, n: row.runs};
    const x = row.stats[s.metrics.indexOf(m)];
    return x && x.n ? x : null;
  };
  const index = new Map(s.rows.map((r) => [r.values.join('\u0000'), r]));
  // The axis with the most values runs along, the next one down; the others are fixed.
  const order = axes.map((_, i) => i).sort((a, b) => axes[b].values.length - axes[a].values.length || a - b);
  const state = {metric: metrics[0], x: order[0], y: order[1], at: axes.map(() => 0)};
  const cell = (xi, yi) => index.get(axes.map((a, i) => a.values[i === state.x ? xi : i === state.y ? yi : state.at[i]]).join('\u0000'));
  const box = el('div', {});
  const draw = () => {
    box.replaceChildren();
    if (state.x === undefined) return;
    if (state.y !== undefined) box.append(heatMap(state, axes, cell, stat));
    box.append(curves(state, axes, cell, stat));
  };
  const choose = (label, items, value, set) => {
    const e = el('select', {'aria-label': label}, items.map((x, i) => el('option', {value: String(i), selected: i === value}, x)));
    e.addEventListener('change', () => { set(+e.value); controls(); draw(); });
    return el('label', {class: 'choice'}, label + ' ', e);
  };
  const bar = el('div', {class: 'toolbar'});
  const controls = () => {
    bar.replaceChildren(choose('shows', metrics.map((m) => m.name.replaceAll('_', ' ')), metrics.indexOf(state.metric), (i) => { state.metric = metrics[i]; }));
    if (axes.length > 1) {
      bar.append(choose('along', axes.map((a) => a.key), state.x, (i) => { if (i === state.y) state.y = state.x; state.x = i; }),
        choose('down', axes.map((a) => a.key), state.y, (i) => { if (i === state.x) state.x = state.y; state.y = i; }));
    }
    axes.forEach((a, i) => { if (i !== state.x && i !== state.y) bar.append(choose(a.key, a.values, state.at[i], (k) => { state.at[i] = k; })); });
  };
  controls();
  draw();
  const failing = s.rows.flatMap((r) => r.failing.map((f) => ({...f, values: r.values})));
  const sections = [el('section', {class: 'tiles'},
    ...[['runs', grouped(s.runs), plural(s.rows.length + s.omitted, 'combination')], ['passed', grouped(s.passed), share(s.runs ? s.passed / s.runs : 0)],
      ['seeds', grouped(s.header.seeds), 'from ' + s.header.first_seed + ' on'], ...(s.internal ? [['bugs', grouped(s.internal), 'runs that a bug in hilnet ended']] : [])]
      .map(([n, v, note]) => el('div', {class: 'tile'}, el('div', {class: 'name'}, n), el('div', {class: 'value'}, v), el('div', {class: 'note'}, note))))];
  if (s.found) sections.push(foundTable(s, axes));
  if (axes.length) sections.push(el('section', {id: 'sweep'}, el('h2', {}, 'By parameter', el('span', {class: 'count'}, 'means over the seeds, with 95 % intervals')), bar, box));
  sections.push(rowTable(s, axes, metrics, stat));
  if (failing.length) {
    sections.push(el('section', {id: 'failing'}, el('h2', {}, 'Runs that failed', el('span', {class: 'count'}, 'the first of each combination; each command repeats one')),
      el('ul', {class: 'notes'}, failing.slice(0, 8).map(failedRun)),
      failing.length > 8 ? el('details', {}, el('summary', {}, plural(failing.length - 8, 'failed run') + ' more'), el('ul', {class: 'notes'}, failing.slice(8, 1000).map(failedRun))) : null));
  }
  sections.push(el('section', {id: 'run'}, el('h2', {}, 'The sweep'), el('dl', {},
    el('dt', {}, 'scenario'), el('dd', {}, s.header.source), el('dt', {}, 'keys'), el('dd', {}, axes.length ? axes.map((a) => el('div', {}, el('code', {}, a.key), ' ', a.values.join(', '))) : 'none'),
    el('dt', {}, 'versions'), el('dd', {}, 'hilnet ' + s.header.hilnet + ', ' + s.header.go), ...(s.omitted ? [el('dt', {}, 'not on this page'), el('dd', {}, plural(s.omitted, 'combination') + ' beyond the first ' + grouped(s.rows.length))] : []))));
  return sections;
}

function failedRun(f) {
  return el('li', {}, copyable(f.command), el('div', {class: 'soft small'}, (f.failed || []).join('; ') || f.verdict));
}

function foundTable(s, axes) {
  const rows = s.found.map((f) => el('tr', {}, axes.map((a, i) => (a.key === s.key ? null : el('td', {}, f.values[i]))), el('td', {}, el('strong', {}, f.value || 'none')),
    el('td', {}, f.complete ? '' : 'not every run was done'), el('td', {}, f.smallest ? f.smallest + ' passed too, but more did not' : '')));
  return el('section', {id: 'found'}, el('h2', {}, 'Smallest ' + s.key + ' from which on every run passes'),
    el('table', {}, el('thead', {}, el('tr', {}, axes.filter((a) => a.key !== s.key).map((a) => el('th', {}, a.key)), el('th', {}, s.key), el('th', {}), el('th', {}))), el('tbody', {}, rows)));
}

// extent is the range of a metric over all combinations that are shown.
function extent(state, axes, cell, stat, whole) {
  let low = Infinity, high = -Infinity;
  const ys = state.y === undefined ? [0] : axes[state.y].values.map((_, i) => i);
  for (const yi of ys) {
    for (let xi = 0; xi < axes[state.x].values.length; xi++) {
      const v = stat(cell(xi, yi), state.metric);
      if (v) { low = Math.min(low, whole ? v.low : v.mean); high = Math.max(high, whole ? v.high : v.mean); }
    }
  }
  if (state.metric.rate) return [0, 1];
  if (!(high >= low)) return [0, 1];
  if (low > 0 && low < high * 0.5) low = 0;
  return high > low ? [low, high] : [low - 0.5, high + 0.5];
}

// heat is a colour of a scale from light to dark in one hue: its brightness alone
// tells values apart, so that everybody sees it and a copier keeps it.
function heat(x) {
  const stops = [[255, 250, 229], [204, 228, 196], [110, 184, 184], [41, 120, 165], [23, 58, 110]];
  const k = Math.min(3.9999, Math.max(0, x) * 4), i = Math.floor(k), f = k - i;
  const rgb = stops[i].map((a, n) => Math.round(a + (stops[i + 1][n] - a) * f));
  return {fill: 'rgb(' + rgb.join(',') + ')', ink: x > 0.55 ? '#fff' : '#16202b'};
}

function heatMap(state, axes, cell, stat) {
  const xs = axes[state.x].values, ys = axes[state.y].values, m = state.metric;
  const [low, high] = extent(state, axes, cell, stat);
  const rows = ys.map((y, yi) => el('tr', {}, el('th', {scope: 'row'}, y), xs.map((x, xi) => {
    const v = stat(cell(xi, yi), m);
    const td = el('td', {class: 'heat'}, v ? metricText(m, v.mean) : '–');
    if (v) {
      const c = heat((v.mean - low) / (high - low));
      td.style.background = c.fill;
      td.style.color = c.ink;
      td.title = axes[state.x].key + ' ' + x + ', ' + axes[state.y].key + ' ' + y + ': ' + metricText(m, v.mean) + ' (' + metricText(m, v.low) + ' to ' + metricText(m, v.high) + '), ' + plural(v.n, 'run');
    }
    return td;
  })));
  const scale = el('span', {class: 'scale', 'aria-hidden': 'true'}, [0, 0.25, 0.5, 0.75, 1].map((x) => { const i = el('i', {}); i.style.background = heat(x).fill; return i; }));
  return el('div', {class: 'scroll-x', tabindex: '0', role: 'region', 'aria-label': 'Heat map of ' + m.name}, el('table', {class: 'heatmap', id: 'heatmap'},
    el('caption', {}, m.name.replaceAll('_', ' '), ' ', metricText(m, low), ' ', scale, ' ', metricText(m, high)),
    el('thead', {}, el('tr', {}, el('th', {}, axes[state.y].key + ' ↓   ' + axes[state.x].key + ' →'), xs.map((x) => el('th', {scope: 'col'}, x)))), el('tbody', {}, rows)));
}

const CURVES = [['blue', ''], ['orange', '6 3'], ['green', '2 3'], ['purple', '9 3 2 3'], ['sky', ''], ['red', '6 3']];

function curves(state, axes, cell, stat) {
  const W = 760, H = 300, L = 64, B = 44, T = 12, R = 14, m = state.metric, xs = axes[state.x].values;
  const all = state.y === undefined ? [''] : axes[state.y].values, most = CURVES.length;
  const [low, high] = extent(state, axes, cell, stat, true);
  // Values that are numbers stand where they belong, others side by side.
  const nums = xs.map((x) => parseFloat(x)), unit = (x) => String(x).replace(/^[-\d.]+/, '');
  const numeric = xs.length > 1 && nums.every((n, i) => Number.isFinite(n) && unit(xs[i]) === unit(xs[xs.length - 1])) && nums.every((n, i) => i === 0 || n > nums[i - 1]);
  const x = (i) => L + (numeric ? (nums[i] - nums[0]) / (nums[nums.length - 1] - nums[0]) : xs.length > 1 ? i / (xs.length - 1) : 0.5) * (W - L - R);
  const y = (v) => H - B - (Math.min(Math.max(v, low), high) - low) / (high - low) * (H - B - T);
  const s = svg('svg', {viewBox: '0 0 ' + W + ' ' + H, class: 'curves', role: 'img', 'aria-label': m.name + ' by ' + axes[state.x].key});
  const text = (tx, ty, t, anchor) => { const e = svg('text', {x: tx, y: ty, 'text-anchor': anchor}); e.textContent = t; s.append(e); };
  for (const v of ticks(low, high, 5)) {
    s.append(svg('line', {x1: L, x2: W - R, y1: y(v), y2: y(v), class: 'grid'}));
    text(L - 8, y(v) + 4, metricText(m, v), 'end');
  }
  const every = Math.ceil(xs.length / 14);
  xs.forEach((v, i) => { if (i % every === 0) text(x(i), H - B + 18, v, 'middle'); });
  text((L + W - R) / 2, H - 6, axes[state.x].key, 'middle');
  all.slice(0, most).forEach((name, yi) => {
    const [colour, dash] = CURVES[yi], points = xs.map((_, xi) => [x(xi), stat(cell(xi, yi), m)]).filter((p) => p[1]);
    if (!points.length) return;
    const g = svg('g', {class: 'c-' + colour});
    const up = points.map((p) => p[0].toFixed(1) + ' ' + y(p[1].high).toFixed(1)), down = points.map((p) => p[0].toFixed(1) + ' ' + y(p[1].low).toFixed(1)).reverse();
    if (points.length > 1) g.append(svg('path', {d: 'M' + up.join('L') + 'L' + down.join('L') + 'Z', class: 'area'}));
    g.append(svg('path', {d: 'M' + points.map((p) => p[0].toFixed(1) + ' ' + y(p[1].mean).toFixed(1)).join('L'), class: 'line', 'stroke-dasharray': dash}));
    for (const p of points) {
      g.append(svg('line', {x1: p[0], x2: p[0], y1: y(p[1].low), y2: y(p[1].high), class: 'whisker'}));
      const dot = svg('circle', {cx: p[0], cy: y(p[1].mean), r: 3.4});
      const tip = svg('title', {});
      tip.textContent = (name ? axes[state.y].key + ' ' + name + ': ' : '') + metricText(m, p[1].mean) + ' (' + metricText(m, p[1].low) + ' to ' + metricText(m, p[1].high) + ')';
      dot.append(tip);
      g.append(dot);
    }
    s.append(g);
  });
  const legend = state.y === undefined ? null : el('p', {class: 'legend'}, el('span', {}, axes[state.y].key + ': '), all.slice(0, most).map((name, yi) => {
    const key = svg('svg', {viewBox: '0 0 26 8', class: 'key c-' + CURVES[yi][0]});
    key.append(svg('line', {x1: 0, x2: 26, y1: 4, y2: 4, class: 'line', 'stroke-dasharray': CURVES[yi][1]}));
    return el('span', {class: 'item'}, key, name);
  }), all.length > most ? el('span', {}, 'and ' + (all.length - most) + ' more, in the heat map') : null);
  return el('div', {id: 'curves'}, legend, s);
}

function rowTable(s, axes, metrics, stat) {
  const shown = ['pass rate', 'lost', 'latency_p50', 'latency_p95', 'pool_min_free', 'pool_empty_requests', 'reconnects', 'drops'].map((n) => metrics.find((m) => m.name === n)).filter(Boolean);
  const most = 500;
  const rows = s.rows.slice(0, most).map((r) => el('tr', {}, r.values.map((v) => el('td', {}, v)), el('td', {class: 'num'}, r.passed + ' of ' + r.runs), shown.map((m) => {
    const v = stat(r, m);
    return el('td', {class: 'num', title: v ? metricText(m, v.low) + ' to ' + metricText(m, v.high) : ''}, v ? metricText(m, v.mean) : '–');
  })));
  return el('section', {id: 'rows'}, el('h2', {}, 'Combinations', el('span', {class: 'count'}, s.rows.length > most ? 'the first ' + most : '')),
    el('div', {class: 'scroll-x', tabindex: '0', role: 'region', 'aria-label': 'Combinations'}, el('table', {class: 'connections'}, el('thead', {}, el('tr', {}, axes.map((a) => el('th', {}, a.key)), el('th', {class: 'num'}, 'passed'), shown.map((m) => el('th', {class: 'num'}, m.name.replaceAll('_', ' '))))), el('tbody', {}, rows))));
}

function explorePage(h, model) {
  const x = h.exploration;
  const find = (d) => {
    const lane = Math.max(0, h.lanes.findIndex((l) => l.link === d.link)), f = model.frames;
    let n = 0;
    for (let i = 0; i < f.t.n; i++) if (f.lane.v[i] === lane && !(f.flags.v[i] & COPY) && ((f.flags.v[i] & UP) !== 0) === (d.dir === 'up') && ++n === d.frame) return i;
    return -1;
  };
  const go = (d) => el('button', {type: 'button', class: 'moment', on: {click: () => {
    const i = find(d);
    if (i < 0) return;
    view.seek(d.t);
    window.hilnet.ladder.choose(i);
  }}}, d.dir + ' ' + d.frame);
  const rows = x.fatal.map((r) => el('tr', {}, el('td', {}, r.drops.map((d) => el('div', {}, go(d)))), el('td', {class: 'num'}, r.drops.map((d) => el('div', {}, seconds(d.t)))), el('td', {}, r.drops.map((d) => el('div', {}, d.what))),
    el('td', {}, [...r.failed, ...r.findings.map((f) => f.name.replaceAll('_', ' ')), ...(r.error ? ['internal error: ' + r.error] : [])].map((t) => el('div', {}, t))), el('td', {}, copyable(r.command))));
  const pairs = x.fatal.filter((r) => r.drops.length > 1).length;
  const tiles = [['frames', grouped(x.frames), x.lost ? grouped(x.lost) + ' lost anyway' : 'in the run without a loss'], ['lost one by one', grouped(x.singles), ''], ['fatal', grouped(x.fatal.length - pairs), 'single losses', x.fatal.length - pairs ? 'warn' : ''],
    ...(x.pairs ? [['pairs', grouped(x.pairs), pairs + ' fatal', pairs ? 'warn' : '']] : [])];
  return [el('section', {class: 'tiles'}, tiles.map(([n, v, note, k]) => el('div', {class: 'tile ' + (k || '')}, el('div', {class: 'name'}, n), el('div', {class: 'value'}, v), el('div', {class: 'note'}, note || '\u00a0')))),
    el('section', {id: 'fatal'}, el('h2', {}, 'Fatal losses', el('span', {class: 'count'}, x.fatal.length ? 'what goes wrong if just this is lost; the ladder below marks each frame with a flag' : 'none: the run survives the loss of every single frame that was tried')),
      x.fatal.length ? el('div', {class: 'scroll-x', tabindex: '0', role: 'region', 'aria-label': 'Fatal losses'}, el('table', {class: 'connections'}, el('thead', {}, el('tr', {}, ['frame', 'at', 'what is lost', 'what goes wrong', 'again'].map((t) => el('th', {}, t)))), el('tbody', {}, rows))) : null)];
}
