// Which tracks the charts have, and the curves on them.

Object.assign(Charts.prototype, {
  // build lists the tracks that have something to show.
  build() {
    const m = view.model, lane = m.head.lanes[view.lane];
    if (!lane) return [];
    const s = (name) => m.series.get(name), f = m.frames;
    const tracks = [];
    const bands = m.bands.filter((b) => b.lane === view.lane || b.lane < 0);
    if (bands.length) tracks.push({name: 'State', kind: 'bands', bands, height: 18 * new Set(bands.map((b) => b.track)).size + 12});
    const pool = lane.device + '/pool/';
    const free = s(pool + 'free');
    if (free || s(pool + 'minimum')) {
      const lines = [];
      if (free) {
        lines.push({label: 'lowest in between', s: s(pool + 'lowest'), colour: 'sky', step: true, thin: true});
        lines.push({label: 'free packets', s: free, colour: 'blue', step: true, fill: true});
        if (s(pool + 'waiting') && s(pool + 'waiting').v.v.some((x, i) => i < s(pool + 'waiting').v.n && x > 0)) lines.push({label: 'threads waiting', s: s(pool + 'waiting'), colour: 'red', step: true, dash: true});
      }
      if (s(pool + 'minimum')) lines.push({label: 'low-water mark', s: s(pool + 'minimum'), colour: 'orange', step: true, dash: true});
      tracks.push({name: 'Packet pool', unit: 'packets', kind: 'lines', lines, height: 84, floor: 0, ceiling: lane.total || undefined, count: true});
    }
    const by = (list, up) => {
      const out = {t: new Column(Float64Array), v: new Column(Float64Array)};
      for (const [i, v] of list) if (f.lane.v[i] === view.lane && ((f.flags.v[i] & UP) !== 0) === up) { out.t.push(f.t.v[i] + 0); out.v.push(v); }
      return out;
    };
    if (s(lane.device + '/flight/up') || s(lane.device + '/flight/down')) {
      tracks.push({name: 'Bytes in flight', unit: 'bytes', kind: 'lines', height: 70, floor: 0, count: true, lines: [
        {label: 'from the device', s: s(lane.device + '/flight/up'), colour: 'blue', step: true, fill: true},
        {label: 'from the peer', s: s(lane.device + '/flight/down'), colour: 'orange', step: true, dash: true}]});
    }
    const rttAt = (list, up) => { // at the moment when the ACK arrived
      const out = {t: new Column(Float64Array), v: new Column(Float64Array)};
      for (const [i, v] of list) if (f.lane.v[i] === view.lane && ((f.flags.v[i] & UP) !== 0) === up) { out.t.push(f.t.v[i] + Math.max(0, f.d.v[i])); out.v.push(v); }
      return out;
    };
    if (m.sparse.rtt.length || m.sparse.rto.length) {
      tracks.push({name: 'RTT and RTO', unit: 'time', kind: 'dots', height: 84, floor: 0, time: true, lines: [
        {label: 'RTT of the device', s: rttAt(m.sparse.rtt, false), colour: 'blue', shape: 'dot'},
        {label: 'RTT of the peer', s: rttAt(m.sparse.rtt, true), colour: 'orange', shape: 'ring'},
        {label: 'sent again after (RTO)', s: joined(by(m.sparse.rto, true), by(m.sparse.rto, false)), colour: 'red', shape: 'cross'}]});
    }
    const delays = this.delays();
    if (delays.up.t.n + delays.down.t.n > 0) {
      tracks.push({name: 'Time on the link', unit: 'time', kind: 'dots', height: 64, floor: 0, time: true, lines: [
        {label: 'up', s: delays.up, colour: 'blue', shape: 'dot'}, {label: 'down', s: delays.down, colour: 'orange', shape: 'ring'}]});
    }
    const held = [];
    for (const [name, series] of m.series) {
      if (name.startsWith(lane.link + '/') && name.endsWith('/held')) {
        const stage = name.slice(lane.link.length + 1, -5);
        held.push({label: stage, s: series, colour: stage.startsWith('up') ? 'blue' : 'orange', step: true, fill: stage.includes('queue') || stage.includes('rate'), dash: stage.startsWith('down')});
      }
    }
    if (held.length) tracks.push({name: 'Queues', unit: 'frames', kind: 'lines', lines: held, height: 64, floor: 0, count: true});
    if (s(lane.device + '/mqtt')) {
      tracks.push({name: 'MQTT in flight', unit: 'messages', kind: 'lines', height: 58, floor: 0, count: true, lines: [
        {label: 'not acknowledged yet', s: s(lane.device + '/mqtt'), colour: 'green', step: true, fill: true}]});
    }
    const marks = this.marks();
    if (marks.length) tracks.push({name: 'Events', kind: 'marks', rows: marks, height: 16 * marks.length + 10});
    let y = 4;
    for (const t of tracks) { y += this.narrow ? 18 : 0; t.y = y; y += t.height + 14; }
    this.height = y + AXIS;
    for (const t of tracks) if (t.lines) t.lines = t.lines.filter((l) => l.s && l.s.t.n > 0);
    return tracks;
  },

  delays() {
    const m = view.model, f = m.frames, out = {};
    for (const k of ['up', 'down']) out[k] = {t: new Column(Float64Array), v: new Column(Float64Array)};
    for (let i = 0; i < f.t.n; i++) {
      if (f.lane.v[i] !== view.lane || f.d.v[i] <= 0) continue;
      const to = f.flags.v[i] & UP ? out.up : out.down;
      to.t.push(f.t.v[i]);
      to.v.push(f.d.v[i]);
    }
    return out;
  },

  // marks are the rows of events: what the application did, what was lost, and so on.
  marks() {
    const m = view.model, e = m.events, rows = new Map();
    const put = (row, t, colour, bad) => {
      if (!rows.has(row)) rows.set(row, {name: row, t: [], colour, bad});
      rows.get(row).t.push(t);
    };
    for (let i = 0; i < e.t.n; i++) {
      if (e.lane.v[i] >= 0 && e.lane.v[i] !== view.lane) continue;
      const kind = m.strings[e.kind.v[i]];
      if (kind === 'drop') put('dropped', e.t.v[i], 'red', true);
      else if (kind === 'action' || kind === 'nic' || kind === 'device.boot' || kind === 'device.off') put('timeline', e.t.v[i], 'purple');
      else if (kind === 'mqtt.publish') put('publish', e.t.v[i], 'blue');
      else if (kind === 'mqtt.acked') put('acknowledged', e.t.v[i], 'green');
      else if (kind === 'mqtt.message_get' && !m.strings[e.text.v[i]].includes('NO_MESSAGE')) put('received', e.t.v[i], 'green');
      else if (kind === 'app') put('application', e.t.v[i], 'ink');
      else if (kind === 'pool.empty') put('pool empty', e.t.v[i], 'red', true);
      else if (kind === 'mqtt.connected' || kind === 'mqtt.disconnected') put('session', e.t.v[i], 'orange');
    }
    for (const x of m.head.run.outcome ? m.head.run.outcome.findings : []) put('findings', x.t, 'red', true);
    const order = ['findings', 'timeline', 'application', 'session', 'publish', 'acknowledged', 'received', 'pool empty', 'dropped'];
    return order.filter((k) => rows.has(k)).map((k) => rows.get(k));
  },
});

function joined(a, b) {
  const all = [];
  for (const s of [a, b]) for (let i = 0; i < s.t.n; i++) all.push([s.t.v[i], s.v.v[i]]);
  all.sort((x, y) => x[0] - y[0]);
  const out = {t: new Column(Float64Array), v: new Column(Float64Array)};
  for (const [t, v] of all) { out.t.push(t); out.v.push(v); }
  return out;
}
