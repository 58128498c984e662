// A page of a run that goes on: what it is told, and what it shows of it before
// there is a verdict.

const LIVE_MOST = 30000; // frames, and events, that the page keeps
const LIVE_EVERY = 300; // ms between two pictures

class Live {
  constructor(model, parts) {
    this.model = model;
    this.parts = parts;
    this.last = ''; // the newest message
    this.missed = 0;
    this.numbers = null;
    this.over = false;
    this.timer = 0;
    this.follow = true;
    this.hand = new Hand(this);
    this.said = el('p', {class: 'said', role: 'status', hidden: true});
    this.tiles = el('section', {id: 'numbers', class: 'tiles', 'aria-label': 'Numbers'});
    this.state = el('div', {class: 'verdict odd', id: 'state'});
    this.clock = el('span', {class: 'clock'});
    parts.top.querySelector('.verdict').replaceWith(this.state);
    parts.top.querySelector('.facts').prepend(this.clock);
    parts.top.append(this.said, this.tiles, this.hand.box);
    this.show('odd', '…', 'connecting');
    if (parts.ladder) this.following(parts.ladder);
  }

  show(kind, icon, text) {
    this.state.className = 'verdict ' + kind;
    this.state.replaceChildren(el('span', {class: 'icon', 'aria-hidden': 'true'}, icon), text);
  }

  say(text) {
    this.said.textContent = text;
    this.said.hidden = !text;
  }

  // following keeps the newest rows in sight until somebody scrolls away from them.
  following(ladder) {
    const s = ladder.scroll;
    this.chip = el('button', {type: 'button', class: 'chip', id: 'follow', 'aria-pressed': 'true', title: 'keep the newest in sight'}, 'follow');
    const set = (on) => { this.follow = on; this.chip.setAttribute('aria-pressed', String(on)); if (on) this.newest(); };
    this.chip.addEventListener('click', () => set(!this.follow));
    const away = () => { if (this.follow && s.scrollHeight - s.clientHeight - s.scrollTop > 60) set(false); };
    for (const what of ['wheel', 'pointerup', 'keyup', 'touchend']) s.addEventListener(what, () => setTimeout(away, 60), {passive: true});
    view.on((what) => { if (what === 'selection' && view.selected) set(false); });
    document.getElementById('mode').before(this.chip);
  }

  newest() {
    const l = this.parts.ladder;
    if (l) { l.scroll.scrollTop = l.scroll.scrollHeight; l.draw(); }
  }

  // connect listens. The browser comes back by itself when the connection is lost,
  // and says what it had.
  connect() {
    const from = new EventSource('events' + (this.last ? '?after=' + encodeURIComponent(this.last) : ''));
    const on = (what, fn) => from.addEventListener(what, (e) => { if (e.lastEventId) this.last = e.lastEventId; fn(e.data ? JSON.parse(e.data) : null); });
    on('chunk', (c) => this.chunk(c));
    on('now', (n) => this.now(n));
    on('hand', (h) => this.hand.update(h));
    on('missed', (n) => { this.missed += n.moments; this.notice(); });
    on('lost', (n) => this.say('This page came late, or was slow: ' + plural(n.messages, 'message') + ' about the beginning of what is shown here had to make room. The whole run is in its files.'));
    on('end', (h) => this.end(h));
    on('other', () => location.reload()); // another run is served here now
    on('bye', () => { from.close(); this.bye(); });
    from.onopen = () => { this.connected = true; this.now(this.numbers); };
    from.onerror = () => {
      this.connected = false;
      if (!this.over) this.show('odd', '…', 'no connection');
      if (from.readyState === EventSource.CLOSED) setTimeout(() => this.connect(), 3000);
    };
  }

  bye() {
    this.connected = false;
    this.hand.close('emu has ended.');
    if (!this.over) this.show('odd', '◼', 'ended');
    this.say('emu has ended. This page stays as it is; the run is in its files.');
  }

  notice() {
    if (this.missed) this.say('The run was faster than this view: ' + plural(this.missed, 'moment') + ' of it are not shown here, and labels behind a gap may be wrong. The files have everything' + (this.over ? '.' : ', and so has the report at the end.'));
  }

  chunk(c) {
    const m = this.model, all = view.to >= m.head.length && view.from <= this.since();
    m.add(c);
    m.head.length = Math.max(m.head.length, c.length);
    const [frames, events] = m.trim(LIVE_MOST);
    const s = view.selected;
    if (s && (frames || events)) {
      if (s.frame !== undefined) view.selected = s.frame >= frames ? {frame: s.frame - frames} : null;
      else view.selected = s.event >= events ? {event: s.event - events} : null;
    }
    if (frames || events) this.cut = true;
    if (all) { view.to = Math.max(1, m.head.length); view.from = this.since(); }
    if (!this.timer) this.timer = setTimeout(() => { this.timer = 0; this.picture(); }, LIVE_EVERY);
  }

  // since is the oldest moment that the page still has.
  since() {
    const m = this.model;
    return this.cut ? Math.min(m.frameCount ? m.frames.t.v[0] : Infinity, m.eventCount ? m.events.t.v[0] : Infinity, m.head.length) : 0;
  }

  picture() {
    view.changed('data');
    const c = document.querySelector('#ladder h2 .count');
    if (c) c.textContent = (this.cut ? 'the newest ' : '') + plural(this.model.frameCount, 'frame');
    if (this.follow && !this.over) this.newest();
  }

  now(n) {
    if (!n) return;
    this.numbers = n;
    const h = this.model.head;
    if (!this.over) {
      if (this.hand.paused) this.show('odd', '‖', 'paused'); else this.show('live', '●', 'running');
    }
    this.clock.replaceChildren(el('span', {class: 'key'}, 'device time'), ' ' + seconds(n.t, 1) + (n.of ? ' of ' + duration(n.of) : ''));
    if (this.over) return;
    const tile = (id, name, value, note, kind) => el('div', {class: 'tile ' + (kind || ''), 'data-number': id}, el('div', {class: 'name'}, name), el('div', {class: 'value'}, value), el('div', {class: 'note'}, note || '\u00a0'));
    const all = [tile('published', 'published', grouped(n.published), 'so far'), tile('acknowledged', 'acknowledged', grouped(n.acked), n.acked ? 'mean ' + duration(n.mean) : ''),
      tile('connects', 'connections', grouped(n.connected), ''), tile('frames', 'frames', grouped(n.frames), grouped(n.dropped) + ' lost on links')];
    for (const p of n.pools.slice(0, 1)) all.push(tile('pool', 'free packets', grouped(p.free), 'fewest ' + p.low + (p.wait ? ', ' + plural(p.wait, 'thread') + ' waiting' : '') + (h.lanes.length > 1 ? ', ' + p.device : ''), p.low ? '' : 'warn'));
    all.push(tile('drops', 'drops', grouped(n.drops), n.reason ? 'most: ' + n.reason.replaceAll('_', ' ') : 'none', n.drops ? 'warn' : ''));
    this.tiles.replaceChildren(...all);
  }

  // end shows what came of the run.
  end(h) {
    this.over = true;
    const m = this.model;
    h.lanes = m.head.lanes;
    h.length = Math.max(h.length, m.head.length);
    m.head = {...h, live: false};
    this.hand.close('The run is over.');
    dress(this.parts, m);
    this.parts.top.querySelector('.facts').append(el('a', {href: 'report', id: 'report-link'}, 'the whole page of the run'));
    this.parts.top.append(this.said, this.hand.box);
    if (view.to > h.length || this.follow) { view.to = Math.max(1, h.length); view.from = this.since(); }
    this.notice();
    this.picture();
  }
}
