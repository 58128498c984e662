// The model: what head and chunks say, in columns that only grow.

const UP = 1, LOST = 2, INFLIGHT = 4, COPY = 8, CORRUPT = 16, UNDECIDED = 32, DIED = 64, AGAIN = 128, BARE = 256;
const LABELS = ['retransmission', 'fast retransmission', 'spurious retransmission', 'out of order', 'lost segment',
  'ACK of a lost segment', 'duplicate ACK', 'zero window', 'zero window probe', 'zero window probe ACK',
  'window update', 'window full', 'keep-alive', 'keep-alive ACK', 'reused ports'];
const TCPFLAGS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR'];

// A Column is a typed array that grows.
class Column {
  constructor(type) { this.type = type; this.n = 0; this.v = new type(1024); }
  push(x) {
    if (this.n === this.v.length) {
      const more = new this.type(this.n * 2);
      more.set(this.v);
      this.v = more;
    }
    this.v[this.n++] = x;
  }
  // cut takes the first values away.
  cut(n) {
    this.v = this.v.slice(n, Math.max(this.n, n + 1024));
    this.n -= n;
  }
}

class Model {
  constructor() {
    this.head = null;
    this.strings = [''];
    this.frames = {};
    for (const k of ['t', 'd', 'id', 'num', 'base', 'peer']) this.frames[k] = new Column(Float64Array);
    for (const k of ['lane', 'flags', 'len', 'tcp', 'pay', 'labels', 'conv', 'info', 'mqtt', 'why', 'place']) this.frames[k] = new Column(Int32Array);
    this.events = {};
    for (const k of ['t', 'seq', 'frame']) this.events[k] = new Column(Float64Array);
    for (const k of ['kind', 'node', 'text', 'lane', 'level']) this.events[k] = new Column(Int32Array);
    this.sparse = {rtt: [], rto: []}; // of [frame, value]
    this.heads = []; // {from, len, text, bytes, at}
    this.series = new Map();
    this.bands = [];
    this.fatal = [];
    this.byID = new Map(); // lane and id of a frame, to its index
  }

  get frameCount() { return this.frames.t.n; }
  get eventCount() { return this.events.t.n; }

  // own gives a chunk that has strings of its own those of the model.
  own(c) {
    if (!this.index) this.index = new Map(this.strings.map((s, i) => [s, i]));
    const at = [0];
    for (const s of c.strings || []) {
      let i = this.index.get(s);
      if (i === undefined) { this.index.set(s, i = this.strings.length); this.strings.push(s); }
      at.push(i);
    }
    for (const [part, names] of [[c.frames, ['info', 'mqtt', 'why']], [c.events, ['kind', 'node', 'text']]]) {
      if (part) for (const k of names) part[k] = (part[k] || []).map((i) => at[i]);
    }
    this.ended = (this.ended || []).concat(c.bands || []).slice(-4000);
    c.bands = this.ended.concat(c.lasting || []);
    c.strings = null;
  }

  // add takes a chunk.
  add(c) {
    if (c.own) this.own(c);
    if (c.strings) for (const s of c.strings) this.strings.push(s);
    if (c.frames) this.addFrames(c.frames);
    if (c.events) this.addEvents(c.events);
    for (const s of c.series || []) {
      let to = this.series.get(s.name);
      if (!to) this.series.set(s.name, to = {t: new Column(Float64Array), v: new Column(Float64Array)});
      let t = 0, v = 0;
      for (let i = 0; i < s.t.length; i++) { t += s.t[i]; v += s.v[i]; to.t.push(t); to.v.push(v); }
    }
    if (c.bands) this.bands = c.bands;
    if (c.fatal) this.fatal = this.fatal.concat(c.fatal);
  }

  addFrames(f) {
    const to = this.frames, from = to.t.n;
    let t = 0, id = 0, num = 0;
    for (let i = 0; i < f.n; i++) {
      t += f.t[i]; id += f.id[i]; num += f.num[i];
      to.t.push(t); to.id.push(id); to.num.push(num);
      const key = f.lane[i] + ':' + id;
      if (id && !this.byID.has(key)) this.byID.set(key, from + i);
    }
    for (const k of ['d', 'lane', 'flags', 'len', 'tcp', 'pay', 'labels', 'conv', 'base', 'peer', 'info', 'mqtt', 'why', 'place']) {
      const src = f[k], col = to[k];
      for (let i = 0; i < f.n; i++) col.push(src[i]);
    }
    for (const k of Object.keys(this.sparse)) {
      const src = f[k] || [];
      for (let i = 0; i < src.length; i += 2) this.sparse[k].push([from + src[i], src[i + 1]]);
    }
    this.heads.push({from, len: f.head_len, text: f.head, bytes: null, at: null});
  }

  addEvents(e) {
    const to = this.events;
    let t = 0, seq = 0;
    for (let i = 0; i < e.n; i++) {
      t += e.t[i]; seq += e.seq[i];
      to.t.push(t); to.seq.push(seq);
    }
    for (const k of ['kind', 'node', 'text', 'frame', 'lane', 'level']) for (let i = 0; i < e.n; i++) to[k].push(e[k][i]);
  }

  // trim forgets the older half of what there is more of than most, and returns
  // how many frames and events went.
  trim(most) {
    const gone = [0, 0];
    if (this.frameCount > most) {
      let n = this.frameCount - (most >> 1);
      const first = this.heads.findIndex((h) => h.from + h.len.length > n);
      n = this.heads[first].from; // whole chunks
      for (const c of Object.values(this.frames)) c.cut(n);
      this.heads = this.heads.slice(first).map((h) => ({...h, from: h.from - n}));
      for (const k of Object.keys(this.sparse)) this.sparse[k] = this.sparse[k].filter(([i]) => i >= n).map(([i, v]) => [i - n, v]);
      this.byID.clear();
      const f = this.frames;
      for (let i = 0; i < f.t.n; i++) { const key = f.lane.v[i] + ':' + f.id.v[i]; if (f.id.v[i] && !this.byID.has(key)) this.byID.set(key, i); }
      gone[0] = n;
    }
    if (this.eventCount > most) {
      gone[1] = this.eventCount - (most >> 1);
      for (const c of Object.values(this.events)) c.cut(gone[1]);
    }
    for (const s of this.series.values()) if (s.t.n > most) { const n = s.t.n - (most >> 1); s.t.cut(n); s.v.cut(n); }
    return gone;
  }

  // header returns the first bytes of a frame.
  header(i) {
    let h = this.heads[0];
    for (const x of this.heads) if (x.from <= i) h = x; else break;
    if (!h.bytes) {
      h.bytes = base64(h.text);
      h.at = new Uint32Array(h.len.length);
      for (let k = 1; k < h.len.length; k++) h.at[k] = h.at[k - 1] + Math.ceil(h.len[k - 1] / 3) * 3;
    }
    const k = i - h.from;
    return h.bytes.subarray(h.at[k], h.at[k] + h.len[k]);
  }

  // problem says whether something happened to a frame that a person looks for.
  problem(i) {
    return (this.frames.flags.v[i] & (LOST | CORRUPT | DIED | AGAIN)) !== 0 || (this.frames.labels.v[i] & 0b1111_1111) !== 0;
  }

  labelsOf(i) {
    const l = this.frames.labels.v[i], all = [];
    for (let k = 0; k < LABELS.length; k++) if (l & (1 << k)) all.push(LABELS[k]);
    return all;
  }

  flagsOf(i) {
    const f = this.frames.tcp.v[i], all = [];
    if (f >= 0) for (let k = 0; k < 8; k++) if (f & (1 << k)) all.push(TCPFLAGS[k]);
    return all.join(' ');
  }

  // title is a frame in a few words.
  title(i) {
    const f = this.frames;
    if (f.mqtt.v[i]) return this.strings[f.mqtt.v[i]];
    if (f.tcp.v[i] >= 0) return 'TCP ' + this.flagsOf(i) + (f.pay.v[i] > 0 ? ', ' + f.pay.v[i] + ' bytes' : '');
    return this.strings[f.info.v[i]] || 'frame of ' + f.len.v[i] + ' bytes';
  }

  // remark is what became of it.
  remark(i) {
    const f = this.frames, all = [];
    let l = this.labelsOf(i).filter((x) => x !== 'window update' && x !== 'keep-alive ACK');
    if (l.length > 1 && l[0] === 'retransmission') l = l.slice(1);
    if (f.why.v[i]) all.push(this.strings[f.why.v[i]]);
    if (f.flags.v[i] & COPY) all.push('a copy that the link made');
    if (f.flags.v[i] & INFLIGHT) all.push('in flight at the end');
    return all.concat(l).join(' · ');
  }
}

function base64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const s = atob(text), out = new Uint8Array(s.length);
  for (let i = 0; i < s.length; i++) out[i] = s.charCodeAt(i);
  return out;
}

// unpack reads a block of the page: base64, gzip, JSON.
async function unpack(block) {
  const stream = new Blob([base64(block.textContent.trim())]).stream().pipeThrough(new DecompressionStream('gzip'));
  return JSON.parse(await new Response(stream).text());
}

// after returns the first index of a sorted column whose value is above x.
function after(v, n, x) {
  let lo = 0, hi = n;
  while (lo < hi) {
    const mid = (lo + hi) >> 1;
    if (v[mid] <= x) lo = mid + 1; else hi = mid;
  }
  return lo;
}
