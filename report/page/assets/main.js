// Puts the page together and feeds it.

const KEYS = [['↑ ↓ j k', 'choose a frame or event'], ['n, p', 'next, previous problem'], ['/', 'search'], ['t', 'rows, or scale of time'],
  ['+ −', 'zoom the scale of time, or the charts'], ['0', 'see all'], ['Esc', 'choose nothing, search nothing'], ['?', 'these keys']];

function toolbar(ladder, model) {
  const f = ladder.filter;
  const search = el('input', {type: 'search', id: 'search', placeholder: 'search: topic, flag, label, number …', 'aria-label': 'search frames and events', autocomplete: 'off', spellcheck: 'false'});
  let timer = 0;
  search.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(() => { f.text = search.value; ladder.refilter(); }, 120); });
  search.addEventListener('keydown', (e) => {
    if (e.key === 'Enter' && ladder.shown.length) { clearTimeout(timer); f.text = search.value; ladder.refilter(); ladder.scroll.focus(); ladder.problemOrFirst(); }
    if (e.key === 'Escape') { search.value = ''; f.text = ''; ladder.refilter(); ladder.scroll.focus(); }
  });
  const chip = (key, text) => {
    const b = el('button', {type: 'button', class: 'chip', 'data-filter': key, 'aria-pressed': String(f[key])}, text);
    b.addEventListener('click', () => { f[key] = !f[key]; b.setAttribute('aria-pressed', String(f[key])); ladder.refilter(); });
    return b;
  };
  const mode = el('button', {type: 'button', class: 'chip', id: 'mode', 'aria-pressed': 'false'}, 'scale of time');
  const zoom = el('span', {class: 'zoom', hidden: true}, el('button', {type: 'button', 'aria-label': 'zoom out', on: {click: () => ladder.zoom(0.6)}}, '−'), el('button', {type: 'button', 'aria-label': 'zoom in', on: {click: () => ladder.zoom(1.7)}}, '+'));
  mode.addEventListener('click', () => {
    ladder.setMode(ladder.mode === 'rows' ? 'time' : 'rows');
    mode.setAttribute('aria-pressed', String(ladder.mode === 'time'));
    zoom.hidden = ladder.mode !== 'time';
  });
  const count = el('span', {class: 'count', id: 'shown', 'aria-live': 'polite'});
  ladder.onCount = (n, all) => { count.textContent = n === all ? plural(n, 'row') : grouped(n) + ' of ' + plural(all, 'row'); };
  let lane = null;
  if (model.head.lanes.length > 1) {
    lane = el('select', {'aria-label': 'device', id: 'lane'}, model.head.lanes.map((l, i) => el('option', {value: String(i)}, l.device)));
    lane.addEventListener('change', () => { view.lane = +lane.value; view.selected = null; view.changed('lane'); view.changed('selection'); });
    view.laneSelect = lane;
  }
  return el('div', {class: 'toolbar'}, lane, search, chip('problems', 'problems only'), chip('mqtt', 'MQTT'), chip('control', 'SYN FIN RST'), chip('acks', 'bare ACKs'), chip('other', 'other'), chip('events', 'events'), chip('inner', 'inner workings'), mode, zoom, count);
}

Ladder.prototype.problemOrFirst = function () {
  const k = this.indexAt(this.timeAt(30));
  if (this.shown.length) this.choose(this.shown[Math.min(k, this.shown.length - 1)]);
};

function legend() {
  const item = (cls, text) => el('span', {class: 'item ' + cls}, el('i', {'aria-hidden': 'true'}), text);
  return el('p', {class: 'legend'}, item('blue', 'MQTT from the device'), item('green', 'MQTT from the peer'), item('orange dashed', 'sent again'),
    item('red cross', 'lost: ✗ stands where it died'), item('purple', 'SYN FIN RST, ARP …'), item('soft', 'bare ACK'), item('band', 'the link is cut or changed'));
}

// dress fills what stands above and below the pictures.
function dress(parts, model) {
  const h = model.head;
  const above = [header(h)];
  if (h.kind === 'run') above.push(expectations(h), findings(h), tiles(h)); else above.push(...study(h, model));
  parts.top.replaceChildren(...above.filter(Boolean));
  const below = [];
  if (h.kind !== 'sweep') below.push(el('div', {class: 'halves'}, latency(h), dropTable(h)), connections(h), origin(h));
  parts.bottom.replaceChildren(...below.filter(Boolean));
}

function build(model) {
  const h = model.head, app = document.getElementById('app');
  view.to = Math.max(1, h.length);
  ladderMarks = null;
  const parts = {ladder: null, charts: null, side: el('aside', {class: 'details', 'aria-label': 'the chosen frame or event'}), top: el('div', {class: 'part'}), bottom: el('div', {class: 'part'})};
  dress(parts, model);
  const kids = [parts.top], box = el('div', {class: 'charts'}), ladderBox = el('div', {class: 'ladder-box'});
  if (h.lanes.length > 0 && (h.live || model.frameCount > 0 || model.eventCount > 0)) {
    kids.push(el('section', {id: 'time'}, el('h2', {}, 'Over time', el('span', {class: 'count'}, 'drag to zoom, double-click to see all, click to go there on the ladder')), box));
    const ladder = new Ladder(ladderBox), charts = new Charts(box);
    Object.assign(parts, {ladder, charts});
    kids.push(el('section', {id: 'ladder'}, el('h2', {}, 'Ladder', el('span', {class: 'count'}, plural(model.frameCount, 'frame'))), toolbar(ladder, model), legend(), el('div', {class: 'split'}, ladderBox, parts.side)));
    ladder.onWindow = (a, b) => { charts.window = [a, b]; charts.mark(); };
  }
  app.replaceChildren(...kids, parts.bottom);
  return parts;
}

// wire joins the parts: what one says, the others show.
function wire(parts, model) {
  const {ladder, charts, side} = parts;
  readColours();
  view.seek = (t, seq) => {
    const e = model.events;
    if (!ladder) return;
    let at = -1;
    if (seq) for (let i = 0; i < e.seq.n; i++) if (e.seq.v[i] === seq) { at = i; break; }
    if (at >= 0 && e.lane.v[at] >= 0 && e.lane.v[at] !== view.lane) switchLane(e.lane.v[at]);
    if (t < view.from || t > view.to) charts.zoomTo(t - (view.to - view.from) / 2, t + (view.to - view.from) / 2);
    ladder.goto(t);
    if (at >= 0) {
      const frame = e.frame.v[at] ? model.byID.get(Math.max(0, e.lane.v[at]) + ':' + e.frame.v[at]) : undefined;
      ladder.choose(frame !== undefined ? frame : ~at);
    } else if (ladder.shown.length) ladder.choose(ladder.shown[Math.min(ladder.indexAt(t), ladder.shown.length - 1)], false);
    document.getElementById('ladder').scrollIntoView({block: 'nearest'});
    ladder.scroll.focus({preventScroll: true});
  };
  const switchLane = (i) => {
    view.lane = i;
    if (view.laneSelect) view.laneSelect.value = String(i);
    view.changed('lane');
  };
  view.on((what) => { if (what === 'selection' && ladder) { ladderMarks = ladder.marked; details(side); } });
  const recolour = () => { readColours(); view.changed('colours'); };
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', recolour);
  addEventListener('beforeprint', () => { recolour(); if (charts) charts.paint(); if (ladder) ladder.paint(); });
  addEventListener('afterprint', recolour);
  view.changed('data');
  view.changed('selection');
  keys(ladder);
}

function keys(ladder) {
  const help = el('dialog', {class: 'help'}, el('h2', {}, 'Keys'), el('dl', {}, KEYS.flatMap(([k, t]) => [el('dt', {}, el('kbd', {}, k)), el('dd', {}, t)])), el('form', {method: 'dialog'}, el('button', {}, 'close')));
  document.body.append(help);
  addEventListener('keydown', (e) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(e.target.tagName);
    if (typing || e.ctrlKey || e.metaKey || e.altKey || !ladder) return;
    const acts = {
      '/': () => { document.getElementById('search').focus(); document.getElementById('search').select(); },
      n: () => ladder.problem(1), p: () => ladder.problem(-1), t: () => document.getElementById('mode').click(),
      '?': () => (help.open ? help.close() : help.showModal()),
      Escape: () => { if (!help.open) { view.select(null); document.getElementById('search').value = ''; ladder.filter.text = ''; ladder.refilter(); } },
    };
    if (!acts[e.key]) return;
    if (e.key !== 'Escape') e.preventDefault();
    acts[e.key]();
  });
}

// start reads what the page holds. A live page has a head and no chunks yet, and
// gets those by add.
async function start() {
  const model = new Model();
  view.model = model;
  const blocks = [...document.querySelectorAll('script.head, script.chunk')];
  for (const b of blocks) {
    const data = await unpack(b);
    if (b.className === 'head') model.head = data; else model.add(data);
    b.remove();
  }
  const parts = build(model);
  wire(parts, model);
  const grow = soon(() => view.changed('data'));
  window.hilnet = {
    model, view, ladder: parts.ladder, charts: parts.charts,
    // add takes a chunk of a run that goes on. Who sees all of it goes on seeing all.
    add(chunk) {
      const all = view.to >= model.head.length;
      model.add(chunk);
      model.head.length = Math.max(model.head.length, chunk.length);
      if (all) view.to = Math.max(1, model.head.length);
      grow();
    },
  };
  if (model.head.live && typeof Live !== 'undefined') {
    window.hilnet.live = new Live(model, parts);
    window.hilnet.live.connect();
  }
  document.documentElement.dataset.ready = 'yes';
}

start().catch((e) => {
  document.getElementById('app').replaceChildren(el('p', {class: 'failed'}, 'This page could not be drawn: ' + e.message));
  throw e;
});
