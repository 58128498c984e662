// What can be done by hand to a run that goes on.

class Hand {
  constructor(live) {
    this.live = live;
    this.entries = [];
    this.paused = false;
    this.can = null;
    this.box = el('section', {id: 'hand', hidden: true});
  }

  // update takes the state of the session: what holds, what is possible.
  update(s) {
    this.entries = s.entries || [];
    this.paused = s.paused;
    if (!this.can) this.build(s);
    this.can = s;
    this.box.hidden = false;
    this.draw();
    this.live.now(this.live.numbers);
  }

  close(why) {
    if (this.can && this.can.can) {
      this.over = true;
      this.draw();
      for (const b of this.box.querySelectorAll('button.act, input, select')) b.disabled = true; // the moments can still be shown
      this.tell(why + ' Nothing more can be done to it.');
    }
  }

  tell(text, bad) {
    if (!this.message) return;
    this.message.textContent = text;
    this.message.classList.toggle('wrong', !!bad);
  }

  async post(what) {
    this.tell('');
    try {
      const r = await fetch('do?say', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(what)});
      const answer = await r.json();
      if (answer.error) this.tell(answer.error, true);
      return !answer.error;
    } catch (e) {
      this.tell('emu does not answer: ' + e.message, true);
      return false;
    }
  }

  get device() { return this.can.devices[view.lane] || this.can.devices[0]; }

  // action completes what a button does with what it happens to.
  action(a) {
    const d = this.device, out = {...a};
    if (LINKED.has(a.do)) {
      out.link = d.link;
      if (a.do !== 'captive' && this.way && this.way.value !== 'both') out.direction = this.way.value;
    } else if (!a.do.startsWith('broker_')) out.device = d.name;
    return out;
  }

  // held are the actions of a kind that hold for the device that is looked at.
  held(kind) {
    const d = this.device;
    return this.entries.filter((e) => e.holds && e.do === kind && (!e.link || e.link === d.link) && (!e.device || e.device === d.name));
  }

  async toggle(a) {
    const held = this.held(a.do);
    if (!held.length) return this.post({begin: this.action(a)});
    for (const e of held) await this.post({end: e.id});
  }

  // level sets a level, in place of the one before, or undoes it.
  async level(kind, value) {
    if (value !== null) return this.post({begin: this.action({do: kind, value})});
    for (const e of this.held(kind)) await this.post({end: e.id});
  }

  build(s) {
    const kids = [el('h2', {}, 'By hand', el('span', {class: 'count'}, s.can ? 'each is an entry of the timeline, at its moment' : ''))];
    if (!s.can) {
      this.box.replaceChildren(...kids, el('p', {class: 'soft'}, s.why));
      return;
    }
    this.buttons = [];
    const toggle = (name, on, a, title) => {
      const b = el('button', {type: 'button', class: 'act', 'data-do': a.do, title, 'aria-pressed': 'false', on: {click: () => this.toggle(a)}}, name);
      this.buttons.push({b, kind: a.do, name, on});
      return b;
    };
    const once = (name, a, title) => el('button', {type: 'button', class: 'act', 'data-do': a().do, title, on: {click: () => this.post({begin: this.action(a())})}}, name);
    const level = (name, kind, value, title) => {
      const input = el('input', {type: 'text', value, 'aria-label': name, 'data-level': kind, size: 7, spellcheck: 'false', autocomplete: 'off', on: {keydown: (e) => { if (e.key === 'Enter') set.click(); }}});
      const set = el('button', {type: 'button', class: 'act', 'data-do': kind, title, on: {click: () => this.level(kind, input.value.trim())}}, 'set');
      const clear = el('button', {type: 'button', class: 'act', 'data-clear': kind, title: 'as in the scenario', disabled: true, on: {click: () => this.level(kind, null)}}, 'clear');
      this.buttons.push({clear, set, kind});
      return el('span', {class: 'level'}, el('span', {class: 'key'}, name), input, set, clear);
    };
    const group = (name, ...what) => el('div', {class: 'group', role: 'group', 'aria-label': name}, el('div', {class: 'key'}, name), el('div', {class: 'acts'}, what));
    this.way = el('select', {'aria-label': 'direction of the link', id: 'way'}, ['both', 'up', 'down'].map((w) => el('option', {value: w}, w === 'both' ? 'both ways' : 'only ' + w)));
    const packets = el('input', {type: 'text', value: '4', 'aria-label': 'packets', size: 4, inputmode: 'numeric'});
    const count = () => (/^\d+$/.test(packets.value.trim()) ? +packets.value : packets.value);
    const groups = [
      group('link', this.way, toggle('cut', 'restore', {do: 'blackhole'}, 'blackhole: frames vanish, and nobody is told'),
        level('loss', 'loss', '20%', 'loss of frames, such as 20%'), level('delay', 'delay', '300ms', 'delay of the link, such as 300ms'), level('rate', 'rate', '26kbit', 'rate of the link, such as 26kbit or 10%'))];
    groups.push(group('interface', toggle('link down', 'link up', {do: 'link_down'}, 'link_down: the interface says that the cable is out'), toggle('sends fail', 'sends work', {do: 'tx_error'}, 'tx_error: the driver’s send fails')));
    if (s.pools) groups.push(group('packet pool', packets, once('leak', () => ({do: 'leak', packets: count()}), 'take packets out of the pool'), once('release', () => ({do: 'release', packets: count()}), 'give leaked packets back')));
    if (s.broker) groups.push(group('broker', toggle('crash', 'start again', {do: 'broker_crash'}, 'broker_crash: it keeps persistent sessions'), toggle('crash and forget', 'start again', {do: 'broker_crash', state: 'lost'}, 'broker_crash with state: lost')));
    groups.push(group('device', toggle('power off', 'power on', {do: 'power_cut'}, 'power_cut: what is in memory is lost'), once('reboot', () => ({do: 'reboot'}), 'power off and on')));
    this.pause = el('button', {type: 'button', class: 'act', id: 'pause', disabled: !s.pause, title: s.pause ? 'the run stands still; no time of it passes' : s.why_no_pause, on: {click: () => this.post({pause: !this.paused})}}, 'pause');
    groups.push(group('run', this.pause, el('a', {class: 'act', href: 'scenario', download: '', id: 'save', title: 'the scenario with all of this in its timeline, to run again'}, 'save as a scenario')));
    this.message = el('p', {class: 'soft small', role: 'status', id: 'told'});
    this.list = el('ol', {class: 'done'});
    this.box.replaceChildren(...kids, el('div', {class: 'groups'}, groups), this.message, this.list);
    if (!s.pause) this.tell(s.why_no_pause);
  }

  draw() {
    if (!this.can.can) return;
    for (const x of this.buttons) {
      let held = this.held(x.kind);
      if (x.clear) { x.clear.disabled = this.over || !held.length; x.clear.parentNode.classList.toggle('holds', held.length > 0); continue; }
      x.b.setAttribute('aria-pressed', String(held.length > 0));
      x.b.textContent = held.length ? x.on : x.name;
    }
    this.pause.textContent = this.paused ? 'go on' : 'pause';
    this.pause.setAttribute('aria-pressed', String(this.paused));
    const most = 30, newest = this.entries.slice(-most).reverse();
    this.list.replaceChildren(...newest.map((e) => el('li', {class: e.holds ? 'holds' : ''},
      el('button', {type: 'button', class: 'moment', title: 'show this moment', on: {click: () => view.seek(e.at)}}, seconds(e.at)),
      el('span', {}, ' ' + e.text + (e.where ? ' on ' + e.where : '') + (e.until && e.do ? ', until ' + seconds(e.until) : '')),
      e.holds && !this.over ? el('button', {type: 'button', class: 'moment', 'data-end': String(e.id), on: {click: () => this.post({end: e.id})}}, 'undo') : null)));
    if (this.entries.length > most) this.list.append(el('li', {class: 'soft'}, 'and ' + (this.entries.length - most) + ' before'));
  }
}

// LINKED are the actions that happen to a link.
const LINKED = new Set(['blackhole', 'loss', 'delay', 'rate']);
