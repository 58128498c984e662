// What stands above and below the pictures: verdict, expectations, findings,
// numbers, and what the page was made of.

const VERDICTS = {
  pass: ['✓', 'good', 'every expectation holds'], fail: ['✗', 'bad', 'an expectation does not hold'],
  interrupted: ['◼', 'odd', 'the run was stopped before its end: nothing was judged'],
  broken: ['!', 'bad', 'the machine failed the run: nothing was judged'],
  invalid: ['!', 'bad', 'the scenario is wrong'], internal: ['!', 'bad', 'a bug in hilnet ended the run'],
};

function moment(t, seq, text) {
  return el('button', {type: 'button', class: 'moment', title: 'show this moment on the ladder and the charts', on: {click: () => view.seek(t, seq)}}, text || 'at ' + seconds(t));
}

// header is the verdict and what was run.
function header(h) {
  const [icon, kind, means] = h.judged || h.run.error ? VERDICTS[h.run.verdict] || ['?', 'odd', ''] : ['?', 'odd', 'not judged: see what is missing, below'];
  const facts = [];
  const fact = (name, value) => facts.push(el('span', {}, el('span', {class: 'key'}, name), ' ', value));
  if (h.kind === 'run' && !h.foreign) fact('seed', String(h.run.seed));
  if (h.kind === 'sweep') fact('sweep of', plural(h.sweep.runs, 'run'));
  if (h.kind === 'explore') fact('explored, seed', String(h.run.seed));
  if (h.length) fact(h.foreign ? 'length' : 'device time', duration(h.length));
  if (h.run.clock) fact('clock', h.run.clock);
  if (h.run.wall && h.kind === 'run') fact('took', duration(h.run.wall));
  return el('header', {},
    el('div', {class: 'verdict ' + kind, title: means}, el('span', {class: 'icon', 'aria-hidden': 'true'}, icon), h.judged ? h.run.verdict : 'not judged'),
    el('div', {class: 'what'}, el('h1', {}, h.title || 'capture'), el('p', {class: 'facts'}, facts)),
    el('div', {class: 'brand'}, 'hilnet', el('span', {}, h.hilnet)));
}

// expectations are the checks, those that failed first in full.
function expectations(h) {
  const checks = h.run.checks || [];
  if (!checks.length) return null;
  const failed = checks.filter((c) => !c.passed).length;
  const list = [...checks].sort((a, b) => a.passed - b.passed).map((c) => el('li', {class: c.passed ? 'ok' : 'failed'},
    el('span', {class: 'icon', 'aria-label': c.passed ? 'holds' : 'fails'}, c.passed ? '✓' : '✗'),
    el('div', {}, el('div', {class: 'text'}, c.text !== c.that ? c.text : el('code', {}, c.that)),
      c.text !== c.that ? el('code', {}, c.that) : null,
      c.why ? el('p', {class: 'why'}, c.why) : null,
      c.moment ? moment(c.moment.t, c.moment.seq, 'show the moment, ' + seconds(c.moment.t) + ': ' + c.moment.text) : null)));
  return el('section', {id: 'expectations'}, el('h2', {}, 'Expectations', el('span', {class: 'count'}, failed ? failed + ' of ' + checks.length + ' fail' : plural(checks.length, 'expectation') + ', all hold')), el('ul', {class: 'checks'}, list));
}

function findings(h) {
  const all = h.run.outcome ? h.run.outcome.findings : [];
  if (!all.length) return null;
  const worst = all.map((f, i) => [f, i]).sort((a, b) => (a[0].severity === 'error' ? 0 : 1) - (b[0].severity === 'error' ? 0 : 1) || a[1] - b[1]);
  const most = 60; // a fleet may have thousands
  const cards = worst.slice(0, most).map(([f, i]) => el('li', {class: 'finding ' + f.severity},
    el('div', {class: 'top'}, el('span', {class: 'tag'}, f.severity), el('strong', {}, f.name.replaceAll('_', ' ')), el('span', {class: 'soft'}, f.device), moment(f.t, f.events && f.events[0])),
    el('p', {}, f.text),
    h.findings[i] && h.findings[i].remedy ? el('details', {}, el('summary', {}, 'what it means, and what to do'), el('p', {}, h.findings[i].means), el('p', {}, el('b', {}, 'Remedy: '), h.findings[i].remedy)) : null));
  return el('section', {id: 'findings'}, el('h2', {}, 'Findings', el('span', {class: 'count'}, plural(all.length, 'finding'))), el('ul', {class: 'findings'}, cards), all.length > most ? el('p', {class: 'soft'}, 'and ' + (all.length - most) + ' more: emu run --json has all') : null);
}

// tiles are the numbers of the outcome.
function tiles(h) {
  const o = h.run.outcome;
  if (!o) return null;
  const all = [];
  const tile = (id, name, value, note, kind) => all.push(el('div', {class: 'tile ' + (kind || ''), 'data-number': id}, el('div', {class: 'name'}, name), el('div', {class: 'value'}, value), el('div', {class: 'note'}, note || '\u00a0')));
  tile('published', 'published', grouped(o.published), o.publish_errors ? o.publish_errors + ' calls failed' : 'QoS 0 to 2', o.publish_errors ? 'warn' : '');
  tile('acknowledged', 'acknowledged', grouped(o.acknowledged), o.acknowledged ? 'median ' + duration(o.latency_p50) : '');
  if (h.run.delivery_known) tile('lost', 'lost', grouped(o.lost), grouped(o.delivered) + ' delivered, ' + o.duplicated + ' twice', o.lost ? 'warn' : '');
  if (o.acknowledged) tile('latency', 'latency, 95 %', duration(o.latency_p95), 'longest ' + duration(o.latency_max));
  if (o.received) tile('received', 'received', grouped(o.received), 'by the application');
  tile('connects', 'connections', grouped(o.connects), o.reconnects ? o.reconnects + ' reconnects' : 'no reconnects', o.reconnects ? 'warn' : '');
  const pools = (o.devices || []).filter((d) => d.pool.total > 0);
  if (pools.length) {
    const worst = pools.reduce((a, b) => (b.pool.min_free < a.pool.min_free ? b : a));
    tile('pool', 'pool low-water mark', worst.pool.min_free + ' of ' + worst.pool.total, worst.pool.empty_requests ? worst.pool.empty_requests + ' requests found none' : pools.length > 1 ? worst.name : 'packets free', worst.pool.min_free === 0 ? 'warn' : '');
  }
  tile('drops', 'drops', grouped(o.drops.total), (h.drops[0] && h.drops[0].reason.replaceAll('_', ' ')) || 'none');
  return el('section', {id: 'numbers', class: 'tiles', 'aria-label': 'Numbers'}, all);
}

// latency draws the distribution from publish to acknowledgement.
function latency(h) {
  const q = h.latency || [];
  if (q.length < 2) return null;
  const W = 520, H = 220, L = 44, B = 30, T = 10, R = 14;
  const low = Math.max(1, q[0].ns), high = Math.max(q[q.length - 1].ns, low * 1.01);
  const log = high / low > 20, k = (v) => (log ? Math.log10(Math.max(v, low)) : v);
  const span = k(high) - k(low) || 1;
  const x = (v) => L + (k(v) - k(low)) / span * (W - L - R), y = (p) => H - B - p * (H - B - T);
  let d = 'M' + x(low).toFixed(1) + ' ' + y(0);
  for (const p of q) d += 'H' + x(p.ns).toFixed(1) + 'V' + y(p.p).toFixed(1);
  d += 'H' + (W - R);
  const at = (p) => (q.find((z) => z.p >= p - 1e-12) || q[q.length - 1]).ns;
  const s = svg('svg', {viewBox: '0 0 ' + W + ' ' + H, role: 'img', 'aria-label': 'Distribution of the latency: median ' + duration(at(0.5)) + ', 95 % ' + duration(at(0.95)) + ', longest ' + duration(high)});
  const text = (tx, ty, t, anchor, cls) => { const e = svg('text', {x: tx, y: ty, 'text-anchor': anchor, class: cls || ''}); e.textContent = t; s.append(e); };
  for (const p of [0, 0.25, 0.5, 0.75, 1]) {
    s.append(svg('line', {x1: L, x2: W - R, y1: y(p), y2: y(p), class: 'grid'}));
    text(L - 6, y(p) + 4, Math.round(p * 100) + ' %', 'end');
  }
  const marks = log ? logTicks(low, high) : ticks(low / 1e6, high / 1e6, 5).map((v) => v * 1e6);
  for (const v of marks) {
    s.append(svg('line', {x1: x(v), x2: x(v), y1: T, y2: H - B, class: 'grid'}));
    text(x(v), H - B + 16, duration(v), 'middle');
  }
  s.append(svg('path', {d: d, class: 'curve'}));
  for (const [p, name] of [[0.5, 'median'], [0.95, '95 %']]) {
    const v = at(p), right = x(v) > W * 0.62;
    s.append(svg('circle', {cx: x(v), cy: y(p), r: 4, class: 'point'}));
    text(x(v) + (right ? -8 : 8), y(p) + (p > 0.9 ? 22 : -6), name + ' ' + duration(v), right ? 'end' : 'start', 'strong');
  }
  return el('section', {id: 'latency', class: 'half'}, el('h2', {}, 'Latency', el('span', {class: 'count'}, plural(h.latency_count, 'acknowledged message'))), s,
    el('p', {class: 'soft small'}, 'Share of messages that were acknowledged in at most this time, from the publish call on' + (log ? '; logarithmic' : '') + '.'));
}

function logTicks(low, high) {
  const all = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++) for (const m of [1, 3]) { const v = m * 10 ** e; if (v >= low && v <= high) all.push(v); }
  return all.length > 7 ? all.filter((v) => /^1/.test(String(v))) : all;
}

function dropTable(h) {
  if (!h.drops.length) return null;
  const most = Math.max(...h.drops.map((d) => d.n));
  const rows = h.drops.map((d) => {
    const bar = el('span', {class: 'bar'});
    bar.style.width = Math.max(2, d.n / most * 100) + '%';
    return el('tr', {}, el('th', {scope: 'row'}, d.reason.replaceAll('_', ' ')), el('td', {class: 'num'}, grouped(d.n)),
      el('td', {class: 'wide'}, el('div', {class: 'track'}, bar), el('div', {class: 'soft small'}, d.means)));
  });
  return el('section', {id: 'drops', class: 'half'}, el('h2', {}, 'Drops by reason'), el('table', {}, el('tbody', {}, rows)));
}

// connections are the numbers of each TCP connection, as the capture has them.
function connections(h) {
  if (!h.conversations.length) return null;
  const most = 50;
  const rows = h.conversations.slice(0, most).flatMap((c) => ['up', 'down'].map((k, n) => {
    const w = c[k], lane = h.lanes[c.lane];
    return el('tr', {class: n ? '' : 'first', 'data-conversation': c.lane + ':' + c.id + ':' + k},
      n ? null : el('th', {scope: 'rowgroup', rowspan: 2}, moment(c.start, 0, '#' + c.id), ' ', c.client, el('br'), '→ ' + c.server,
        el('div', {class: 'soft small'}, [h.lanes.length > 1 && lane && lane.device, c.protocol, c.tls, c.client_id, c.end].filter(Boolean).join(', '))),
      el('td', {}, n ? '↓ to the client' : '↑ to the server'), el('td', {class: 'num'}, grouped(w.frames)), el('td', {class: 'num'}, bytes(w.bytes)),
      el('td', {class: 'num' + (w.again ? ' warn' : '')}, grouped(w.again)), el('td', {class: 'num'}, grouped(w.dup_acks)), el('td', {class: 'num'}, grouped(w.order)),
      el('td', {class: 'num'}, grouped(w.zero_win)), el('td', {class: 'num'}, bytes(w.in_flight)),
      el('td', {class: 'num'}, w.rtts ? duration(w.rtt_min) + ' · ' + duration(w.rtt_mean) + ' · ' + duration(w.rtt_max) : '–'));
  }));
  const heads = ['connection', 'direction', 'frames', 'bytes', 'sent again', 'dup. ACKs', 'out of order', 'zero window', 'most in flight', 'RTT least · mean · most'];
  const more = h.conversations.length > most ? el('p', {class: 'soft'}, 'and ' + (h.conversations.length - most) + ' more') : null;
  const notes = h.conversations.flatMap((c) => [...c.stalls, ...c.notes].map((n) => ({...n, c: c.id}))).sort((a, b) => a.t - b.t);
  return el('section', {id: 'connections'}, el('h2', {}, 'Connections', el('span', {class: 'count'}, (h.lanes.length > 1 ? 'as the devices’ captures have them' : 'as ' + h.captures[0].file + ' has them') + ', by Wireshark’s rules')),
    el('div', {class: 'scroll-x', tabindex: '0', role: 'region', 'aria-label': 'Connections'}, el('table', {class: 'connections'}, el('thead', {}, el('tr', {}, heads.map((x, i) => el('th', {scope: 'col', class: i > 1 ? 'num' : ''}, x)))), el('tbody', {}, rows))), more,
    notes.length ? el('details', {}, el('summary', {}, plural(notes.length, 'remark') + ' of the analysis: standstills, what was odd'), el('ul', {class: 'notes'}, notes.slice(0, 300).map((n) => el('li', {}, moment(n.t), ' ', el('span', {class: 'tag'}, n.kind.replaceAll('_', ' ')), ' #' + n.c + ' ' + n.text)), notes.length > 300 ? el('li', {}, 'and ' + (notes.length - 300) + ' more') : null)) : null);
}

// origin is how to have it again, and what the page does not show.
function origin(h) {
  const items = [];
  const item = (name, ...value) => items.push(el('dt', {}, name), el('dd', {}, value));
  if (h.run.command) item('again', copyable(h.run.command));
  if (!h.foreign) item('seed', String(h.run.seed));
  if (h.versions.length) item('versions', h.versions.map((v) => v.name + ' ' + v.value).join(', '));
  const capture = (c) => el('li', {'data-capture': c.file}, el('code', {}, c.file), ' ' + plural(c.frames, 'frame') + ', ' + bytes(c.bytes) + (c.lost ? ', ' + grouped(c.lost) + ' of them lost on the link' : ''));
  if (h.captures.length > 8) item('captures', el('details', {}, el('summary', {}, plural(h.captures.length, 'capture')), el('ul', {}, h.captures.map(capture))));
  else if (h.captures.length) item('captures', el('ul', {}, h.captures.map(capture)));
  if (h.run.error) item('error', el('pre', {}, h.run.error));
  if (h.run.notes && h.run.notes.length) item('notes', el('ul', {}, h.run.notes.map((n) => el('li', {}, n))));
  if (h.missing.length) item('not on this page', el('ul', {class: 'missing'}, h.missing.map((n) => el('li', {}, n))));
  return el('section', {id: 'run'}, el('h2', {}, 'The run'), el('dl', {}, items),
    h.scenario ? el('details', {}, el('summary', {}, 'the scenario, every key with the value that the run used'), el('pre', {class: 'yaml'}, h.scenario)) : null);
}

function copyable(text) {
  const b = el('button', {type: 'button', class: 'copy', title: 'copy'}, 'copy');
  b.addEventListener('click', () => {
    const done = () => { b.textContent = 'copied'; setTimeout(() => { b.textContent = 'copy'; }, 1500); };
    if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, () => {});
  });
  return el('span', {class: 'command'}, el('code', {}, text), b);
}

// details shows a frame or an event in full.
function details(box) {
  const m = view.model, s = view.selected;
  box.replaceChildren();
  if (!s) {
    box.append(el('p', {class: 'soft'}, 'Click a frame or an event, or go through them with the arrow keys. ', el('kbd', {}, 'n'), ' goes to the next problem, ', el('kbd', {}, '?'), ' shows all keys.'));
    return;
  }
  const table = (fields) => el('table', {class: 'fields'}, el('tbody', {}, fields.map(([k, v]) => el('tr', {}, el('th', {scope: 'row'}, k), el('td', {}, v)))));
  if (s.event !== undefined) {
    const e = m.events, i = s.event;
    box.append(el('h3', {}, m.strings[e.kind.v[i]]), table([
      ['time', seconds(e.t.v[i], 9)], ['at', m.strings[e.node.v[i]] || '–'], ['what', m.strings[e.text.v[i]] || '–'], ['event', '#' + e.seq.v[i] + ' of the trace'],
      ...(e.frame.v[i] ? [['frame', String(e.frame.v[i])]] : [])]));
    return;
  }
  const i = s.frame, f = m.frames, fl = f.flags.v[i], lane = m.head.lanes[f.lane.v[i]], up = (fl & UP) !== 0;
  const b = m.header(i), layers = decode(b, (fl & BARE) !== 0);
  const fate = fl & LOST ? m.strings[f.why.v[i]] || 'lost on the link' : fl & DIED ? m.strings[f.why.v[i]] : fl & INFLIGHT ? 'on its way at the end' : f.d.v[i] > 0 ? 'arrived after ' + duration(f.d.v[i]) : f.d.v[i] === 0 ? 'arrived; when it was sent is not captured' : 'arrival not captured';
  const rows = [['sent', seconds(f.t.v[i], 9)], ['way', up ? lane.device + ' → ' + lane.peer : lane.peer + ' → ' + lane.device], ['fate', fate]];
  if (!(fl & (LOST | DIED)) && f.why.v[i]) rows.push(['link', m.strings[f.why.v[i]]]);
  const labels = m.labelsOf(i);
  if (labels.length) rows.push(['Wireshark says', labels.join(', ')]);
  rows.push(['on the wire', f.len.v[i] + ' bytes']);
  if (f.id.v[i]) rows.push(['frame', 'frame.packet_id == ' + f.id.v[i]]);
  rows.push(['in the capture', 'number ' + f.num.v[i] + (fl & COPY ? '' : ' of ' + (up ? 'the device’s' : 'the peer’s, if there is one'))]);
  if (ladderMarks && ladderMarks.has(i)) rows.unshift(['fatal', ladderMarks.get(i)]);
  box.append(el('h3', {}, m.title(i)), table(rows));
  for (const l of layers) {
    if (l.name === 'TCP') {
      const rel = (v, base) => (base ? v + ' (relative ' + ((v - base) >>> 0) + ')' : String(v));
      l.fields = l.fields.map(([k, v]) => (k === 'sequence number' ? [k, rel(l.seq, f.base.v[i])] : k === 'acknowledgement' ? [k, l.hasACK ? rel(l.ack, f.peer.v[i]) : 'none'] : [k, v]));
    }
    box.append(el('h4', {}, l.name), table(l.fields));
  }
  if (f.mqtt.v[i]) box.append(el('h4', {}, 'MQTT'), el('ul', {}, m.strings[f.mqtt.v[i]].split('; ').map((x) => el('li', {}, x))));
  box.append(el('h4', {}, 'First ' + b.length + ' of ' + f.len.v[i] + ' bytes'), el('pre', {class: 'hex', tabindex: '0'}, dump(b)));
}
let ladderMarks = null;
