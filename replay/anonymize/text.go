package anonymize

import "strings"

// longWord is the longest word that is permuted among those of its length: no two have
// the same replacement. Longer ones are replaced by letters of their own.
const longWord = 16

// text returns the replacement of a text: words are replaced, what stands between them
// stays.
func (a *Anonymizer) text(in []byte) []byte {
	out := make([]byte, 0, len(in))
	for i := 0; i < len(in); {
		if punctuation(in[i]) {
			out = append(out, in[i])
			i++
			continue
		}
		end := i
		for end < len(in) && !punctuation(in[end]) {
			end++
		}
		word := in[i:end]
		if i > 0 && in[i-1] == '$' && (string(word) == "SYS" || string(word) == "share") {
			out = append(out, word...) // known to everybody: MQTT 3.1.1 section 4.7.2, 5.0 section 4.8.2
		} else {
			out = append(out, a.word(word)...)
		}
		i = end
	}
	return out
}

// punctuation reports whether a character stays.
func punctuation(c byte) bool {
	return c >= 0x20 && c < 0x7f && strings.IndexByte(alphabet, c) < 0
}

// word returns the replacement of a word.
func (a *Anonymizer) word(in []byte) string {
	if out, known := a.words[string(in)]; known {
		return out
	}
	out := a.newWord(in)
	if len(a.words) == maxCache {
		clear(a.words)
	}
	a.words[string(in)] = out
	return out
}

func (a *Anonymizer) newWord(in []byte) string {
	digits := make([]uint64, len(in))
	plain := len(in) <= longWord
	for i, c := range in {
		at := strings.IndexByte(alphabet, c)
		plain = plain && at >= 0
		digits[i] = uint64(max(at, 0))
	}
	out := make([]byte, len(in))
	switch {
	case !plain:
		seed := a.secret.random(domainLongWord, in)
		a.secret.letters(out, seed[:16], 0)
	case len(in) == 1:
		out[0] = alphabet[(digits[0]+1+a.secret.number(domainWord, 1)%63)%64]
	default:
		a.permuteDigits(digits)
		same := true
		for i, d := range digits {
			out[i] = alphabet[d]
			same = same && out[i] == in[i]
		}
		if same { // a fixed point: one in 64 to the number of characters
			out[0] = alphabet[(digits[0]+1)%64]
		}
	}
	return string(out)
}

// permuteDigits permutes the words of one length: a Feistel network whose halves are
// numbers of up to 8 digits.
func (a *Anonymizer) permuteDigits(digits []uint64) {
	n := len(digits)
	u := n / 2
	join := func(d []uint64) (v uint64) {
		for _, x := range d {
			v = v<<6 | x
		}
		return v
	}
	left, right := join(digits[:u]), join(digits[u:])
	leftLen, rightLen := u, n-u
	for r := range uint64(rounds) {
		mask := uint64(1)<<(6*leftLen) - 1
		left, right = right, (left+a.secret.number(domainWord, r, uint64(n), right))&mask
		leftLen, rightLen = rightLen, leftLen
	}
	for i := n - 1; i >= 0; i-- {
		if i >= leftLen {
			digits[i], right = right&63, right>>6
		} else {
			digits[i], left = left&63, left>>6
		}
	}
}
