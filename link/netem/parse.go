package netem

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// Reading list: iproute2 tc/q_netem.c, netem_parse_opt and netem_print_opt;
// tc-netem(8).

// MaxText bounds a netem string, in bytes.
const MaxText = 4096

// Parse reads what follows "netem" in a call of tc, a whole call of tc, or a
// line of "tc qdisc show". Words may be shortened as tc allows. The error is a
// *SyntaxError.
func Parse(text string) (Config, error) {
	if len(text) > MaxText {
		return Config{}, &SyntaxError{Text: text[:MaxText], Start: 0, End: 0, Message: fmt.Sprintf("the string has %d bytes; at most %d are read", len(text), MaxText)}
	}
	p := &parser{text: text, words: split(text), seen: map[string]word{}}
	p.c.Limit, p.c.text = DefaultLimit, text
	if err := p.parse(); err != nil {
		return Config{}, err
	}
	return p.c, nil
}

// A word of the string and where it begins.
type word struct {
	s  string
	at int
}

func split(text string) (words []word) {
	start := -1
	for i, r := range text + " " {
		space := r == ' ' || r == '\t' || r == '\n' || r == '\r'
		switch {
		case !space && start < 0:
			start = i
		case space && start >= 0:
			words = append(words, word{text[start:i], start})
			start = -1
		}
	}
	return words
}

type parser struct {
	text  string
	words []word
	i     int // the next word
	c     Config
	seen  map[string]word // the options so far
}

// options are tc's, in the order in which it compares a shortened word.
var options = []struct {
	name, alias string
	parse       func(*parser, word) error
}{
	{"limit", "", (*parser).limit},
	{"delay", "latency", (*parser).delay},
	{"loss", "drop", (*parser).loss},
	{"seed", "", (*parser).seed},
	{"ecn", "", (*parser).ecn},
	{"reorder", "", (*parser).reorder},
	{"corrupt", "", (*parser).corrupt},
	{"gap", "", (*parser).gap},
	{"duplicate", "", (*parser).duplicate},
	{"distribution", "", (*parser).distribution},
	{"rate", "", (*parser).rate},
	{"slot", "", (*parser).slot},
}

func (p *parser) parse() error {
	if err := p.prefix(); err != nil {
		return err
	}
	if p.i == len(p.words) {
		return p.fail(word{at: len(p.text)}, "there is nothing after netem", `such as "delay 100ms 20ms distribution normal loss 1%"`)
	}
next:
	for p.i < len(p.words) {
		w := p.words[p.i]
		for _, o := range options {
			if !strings.HasPrefix(o.name, w.s) && (o.alias == "" || !strings.HasPrefix(o.alias, w.s)) {
				continue
			}
			p.i++
			if first, twice := p.seen[o.name]; twice {
				if o.name == "loss" && (p.c.Loss.Model > LossRandom || p.c.Loss.Random > 0) {
					return p.fail(w, "loss is given twice", "")
				}
				p.note("twice", w, "%s is given twice: tc takes the second and keeps what only the first has, from column %d", o.name, p.column(first))
			}
			p.seen[o.name] = w
			if err := o.parse(p, w); err != nil {
				return err
			}
			continue next
		}
		return p.fail(w, fmt.Sprintf("%q is not an option of netem", w.s), p.suggest(w))
	}
	return p.check()
}

// prefix skips a call of tc up to "netem", and what "tc qdisc show" has behind it.
func (p *parser) prefix() error {
	at := -1
	for i, w := range p.words {
		if w.s == "netem" {
			at = i
			break
		}
	}
	if at < 0 {
		return nil
	}
	if at > 0 && p.words[0].s != "tc" && p.words[0].s != "sudo" && p.words[0].s != "qdisc" {
		return p.fail(p.words[0], fmt.Sprintf("%q stands before netem", p.words[0].s), "write what follows netem, or the whole call of tc")
	}
	p.i = at + 1
	if p.i < len(p.words) && strings.HasSuffix(p.words[p.i].s, ":") {
		p.i++ // the handle
	}
	for p.i < len(p.words) {
		switch w := p.words[p.i]; {
		case w.s == "root":
			p.i++
		case w.s == "dev" || w.s == "parent" || w.s == "refcnt":
			p.i = min(p.i+2, len(p.words))
		default:
			return nil
		}
	}
	return nil
}

func (p *parser) suggest(w word) string {
	for _, u := range timeUnits {
		if strings.EqualFold(w.s, u.suffix) {
			return "write number and unit as one word"
		}
	}
	for _, o := range options {
		if len(w.s) > 1 && strings.HasPrefix(o.name, w.s[:2]) {
			return fmt.Sprintf("perhaps %q", o.name)
		}
	}
	names := make([]string, len(options))
	for i, o := range options {
		names[i] = o.name
	}
	return "the options are " + strings.Join(names, ", ")
}

func (p *parser) column(w word) int { return utf8.RuneCountInString(p.text[:w.at]) + 1 }

func (p *parser) fail(w word, message, hint string) error {
	return &SyntaxError{Text: p.text, Start: w.at, End: w.at + len(w.s), Message: message, Hint: hint}
}

func (p *parser) note(code string, w word, format string, args ...any) {
	p.c.notes = append(p.c.notes, Warning{code, p.column(w), fmt.Sprintf(format, args...)})
}

// need returns the next word, which must be there.
func (p *parser) need(what string) (word, error) {
	if p.i == len(p.words) {
		return word{}, p.fail(word{at: len(p.text)}, what+" is missing", "")
	}
	w := p.words[p.i]
	p.i++
	return w, nil
}

// optional returns the next word when it begins as a number does.
func (p *parser) optional(signed bool) (word, bool) {
	if p.i == len(p.words) {
		return word{}, false
	}
	w := p.words[p.i]
	if first := w.s[0]; first >= '0' && first <= '9' || signed && first == '-' {
		p.i++
		return w, true
	}
	return word{}, false
}

// label skips a word that "tc qdisc show" prints and tc itself does not read.
func (p *parser) label(name string) {
	if p.i < len(p.words) && p.words[p.i].s == name {
		p.i++
	}
}

func (p *parser) time(w word, to *time.Duration) error {
	d, bare, err := parseTime(w.s)
	if err != nil {
		return p.fail(w, err.Error(), `a time is a number with s, ms, us or ns, such as "100ms"`)
	}
	if bare {
		p.note("bare-time", w, "%q has no unit and is taken as microseconds, as tc(8) says; tc 6.10 and later takes it as nanoseconds", w.s)
	}
	*to = d
	return nil
}

func (p *parser) share(w word, to *Share) error {
	v, err := parseShare(w.s)
	if err != nil {
		return p.fail(w, err.Error(), `a share is a number of per cent from 0 to 100, such as "0.3%"`)
	}
	if v > 0 && v < 0.01 && !strings.HasSuffix(w.s, "%") {
		p.note("bare-percent", w, "%q is %g per cent, not a fraction of 1", w.s, v*100)
	}
	*to = ShareOf(v)
	return nil
}

// pair reads a share and perhaps a correlation.
func (p *parser) pair(what string, share, correlation *Share) error {
	w, err := p.need(what)
	if err != nil {
		return err
	}
	if err := p.share(w, share); err != nil {
		return err
	}
	if w, ok := p.optional(false); ok {
		return p.share(w, correlation)
	}
	return nil
}

func (p *parser) limit(word) error {
	w, err := p.need("the number of packets")
	if err != nil {
		return err
	}
	if p.c.Limit, err = parseSize(w.s); err != nil {
		return p.fail(w, err.Error(), "limit is a number of packets")
	}
	return nil
}

func (p *parser) delay(word) error {
	w, err := p.need("the time of delay")
	if err != nil {
		return err
	}
	if err := p.time(w, &p.c.Delay); err != nil {
		return err
	}
	if w, ok := p.optional(false); ok {
		if err := p.time(w, &p.c.Jitter); err != nil {
			return err
		}
		if w, ok := p.optional(false); ok {
			return p.share(w, &p.c.DelayCorrelation)
		}
	}
	return nil
}

func (p *parser) seed(word) error {
	w, err := p.need("the number of seed")
	if err != nil {
		return err
	}
	var v uint64
	for _, c := range w.s {
		if c < '0' || c > '9' || v > (math.MaxUint64-uint64(c-'0'))/10 {
			return p.fail(w, fmt.Sprintf("%q is not a whole number below 2^64", w.s), "")
		}
		v = 10*v + uint64(c-'0')
	}
	p.c.Seed, p.c.HasSeed = v, true
	return nil
}

func (p *parser) ecn(word) error {
	p.c.ECN = true
	return nil
}

func (p *parser) reorder(word) error {
	return p.pair("the share of reorder", &p.c.Reorder, &p.c.ReorderCorrelation)
}

func (p *parser) corrupt(word) error {
	return p.pair("the share of corrupt", &p.c.Corrupt, &p.c.CorruptCorrelation)
}

func (p *parser) duplicate(word) error {
	return p.pair("the share of duplicate", &p.c.Duplicate, &p.c.DuplicateCorrelation)
}

func (p *parser) gap(word) error {
	w, err := p.need("the distance of gap")
	if err != nil {
		return err
	}
	n, err := parseInt(w.s, 0, math.MaxUint32)
	if err != nil {
		return p.fail(w, err.Error(), "gap is a number of packets")
	}
	p.c.Gap = uint32(n)
	return nil
}

// check is what tc checks when it has read everything.
func (p *parser) check() error {
	c := &p.c
	if c.Reorder > 0 {
		if c.Delay == 0 {
			return p.fail(p.seen["reorder"], "reorder does nothing without a delay: a packet that is sent at once overtakes nobody", `such as "delay 10ms reorder 25% 50%"`)
		}
		c.Gap = max(c.Gap, 1)
	} else if c.Gap > 0 {
		return p.fail(p.seen["gap"], "gap needs reorder with a share above 0", `such as "delay 10ms reorder 100% gap 5"`)
	}
	if c.ECN && c.Loss.Model <= LossRandom && c.Loss.Random == 0 {
		return p.fail(p.seen["ecn"], "ecn marks what loss would drop, and there is no loss", `such as "loss 1% ecn"`)
	}
	if c.Distribution != "" && (c.Delay == 0 || c.Jitter == 0) {
		return p.fail(p.seen["distribution"], "distribution needs a delay and a jitter", `such as "delay 100ms 20ms distribution normal"`)
	}
	return nil
}
