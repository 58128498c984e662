// The headers of a frame, field by field, from its first bytes.

const u16 = (b, i) => b[i] << 8 | b[i + 1];
const u32 = (b, i) => ((b[i] << 24) | (b[i + 1] << 16) | (b[i + 2] << 8) | b[i + 3]) >>> 0;
const hex = (n, w) => '0x' + n.toString(16).padStart(w, '0');
const mac = (b, i) => Array.from(b.subarray(i, i + 6), (x) => x.toString(16).padStart(2, '0')).join(':');
const ip4 = (b, i) => b.subarray(i, i + 4).join('.');

function ip6(b, i) {
  const parts = [];
  for (let k = 0; k < 16; k += 2) parts.push(u16(b, i + k).toString(16));
  return parts.join(':').replace(/\b(?:0+:){2,}/, '::').replace(':::', '::');
}

// decode returns layers: {name, fields: [[name, value]]}. What the slice does not
// hold is left out.
function decode(b, bare) {
  const layers = [];
  let at = 0, type = 0;
  if (!bare) {
    if (b.length < 14) return layers;
    type = u16(b, 12);
    const f = [['destination', mac(b, 0)], ['source', mac(b, 6)]];
    at = 14;
    while ((type === 0x8100 || type === 0x88a8) && b.length >= at + 4) {
      f.push(['VLAN', String(u16(b, at) & 0xfff)]);
      type = u16(b, at + 2);
      at += 4;
    }
    f.push(['type', hex(type, 4)]);
    layers.push({name: 'Ethernet', fields: f});
  } else if (b.length > 0) {
    type = b[0] >> 4 === 6 ? 0x86dd : 0x800;
  }
  if (type === 0x806 && b.length >= at + 28) layers.push(arp(b, at));
  else if (type === 0x800 && b.length >= at + 20) ipv4(b, at, layers);
  else if (type === 0x86dd && b.length >= at + 40) ipv6(b, at, layers);
  return layers;
}

function arp(b, at) {
  const op = u16(b, at + 6);
  return {name: 'ARP', fields: [
    ['operation', op === 1 ? 'request (1)' : op === 2 ? 'reply (2)' : String(op)],
    ['sender', mac(b, at + 8) + ' ' + ip4(b, at + 14)], ['target', mac(b, at + 18) + ' ' + ip4(b, at + 24)]]};
}

function ipv4(b, at, layers) {
  const size = (b[at] & 15) * 4, total = u16(b, at + 2), frag = u16(b, at + 6);
  layers.push({name: 'IPv4', fields: [
    ['source', ip4(b, at + 12)], ['destination', ip4(b, at + 16)], ['total length', String(total)],
    ['identification', hex(u16(b, at + 4), 4)],
    ['flags', [(frag & 0x4000) && 'DF', (frag & 0x2000) && 'MF'].filter(Boolean).join(' ') || 'none'],
    ['fragment offset', String((frag & 0x1fff) * 8)], ['TTL', String(b[at + 8])], ['protocol', String(b[at + 9])],
    ['DSCP, ECN', (b[at + 1] >> 2) + ', ' + (b[at + 1] & 3)], ['checksum', hex(u16(b, at + 10), 4)]]});
  if (frag & 0x1fff) return;
  transport(b, at + size, b[at + 9], total - size, layers);
}

function ipv6(b, at, layers) {
  layers.push({name: 'IPv6', fields: [
    ['source', ip6(b, at + 8)], ['destination', ip6(b, at + 24)], ['payload length', String(u16(b, at + 4))],
    ['hop limit', String(b[at + 7])], ['next header', String(b[at + 6])], ['flow label', hex(u32(b, at) & 0xfffff, 5)]]});
  transport(b, at + 40, b[at + 6], u16(b, at + 4), layers);
}

function transport(b, at, protocol, length, layers) {
  if (protocol === 6 && b.length >= at + 20) layers.push(tcp(b, at, length));
  else if (protocol === 17 && b.length >= at + 8) {
    layers.push({name: 'UDP', fields: [['source port', String(u16(b, at))], ['destination port', String(u16(b, at + 2))],
      ['length', String(u16(b, at + 4))], ['checksum', hex(u16(b, at + 6), 4)]]});
  } else if ((protocol === 1 || protocol === 58) && b.length >= at + 4) {
    layers.push({name: protocol === 1 ? 'ICMP' : 'ICMPv6', fields: [['type', String(b[at])], ['code', String(b[at + 1])],
      ['checksum', hex(u16(b, at + 2), 4)]]});
  }
}

function tcp(b, at, length) {
  const size = (b[at + 12] >> 4) * 4, flags = b[at + 13];
  const f = [['source port', String(u16(b, at))], ['destination port', String(u16(b, at + 2))],
    ['sequence number', String(u32(b, at + 4))], ['acknowledgement', String(u32(b, at + 8))],
    ['flags', TCPFLAGS.filter((_, k) => flags & (1 << k)).join(' ') || 'none'], ['window', String(u16(b, at + 14))],
    ['payload', Math.max(0, length - size) + ' bytes'], ['checksum', hex(u16(b, at + 16), 4)]];
  const o = options(b.subarray(at + 20, Math.min(at + size, b.length)));
  if (o) f.push(['options', o]);
  return {name: 'TCP', fields: f, seq: u32(b, at + 4), ack: u32(b, at + 8), hasACK: (flags & 16) !== 0};
}

function options(b) {
  const all = [];
  for (let i = 0; i < b.length;) {
    const kind = b[i];
    if (kind === 0) break;
    if (kind === 1) { i++; continue; }
    const n = b[i + 1];
    if (!(n >= 2) || i + n > b.length) break;
    switch (kind) {
      case 2: all.push('MSS ' + u16(b, i + 2)); break;
      case 3: all.push('window scale ' + b[i + 2]); break;
      case 4: all.push('SACK permitted'); break;
      case 5: {
        const blocks = [];
        for (let k = i + 2; k + 8 <= i + n; k += 8) blocks.push(u32(b, k) + '–' + u32(b, k + 4));
        all.push('SACK ' + blocks.join(' '));
        break;
      }
      case 8: all.push('timestamps ' + u32(b, i + 2) + ', ' + u32(b, i + 6)); break;
      default: all.push('option ' + kind);
    }
    i += n;
  }
  return all.join('; ');
}

// dump is a hexadecimal dump, 16 bytes a line.
function dump(b) {
  const lines = [];
  for (let i = 0; i < b.length; i += 16) {
    const part = Array.from(b.subarray(i, i + 16));
    lines.push(i.toString(16).padStart(4, '0') + '  ' + part.map((x) => x.toString(16).padStart(2, '0')).join(' ').padEnd(47) + '  ' +
      part.map((x) => (x >= 32 && x < 127 ? String.fromCharCode(x) : '·')).join(''));
  }
  return lines.join('\n');
}
