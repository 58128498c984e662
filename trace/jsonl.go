package trace

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"hilnet/sim"
)

// Version is the version of the trace format. It grows when a field or kind
// changes its meaning or goes away; new ones do not change it.
const Version = 1

// MaxLine is the longest line the Reader accepts, in bytes.
const MaxLine = 1 << 20

// A Header is the first line of a trace file.
type Header struct {
	Format   string `json:"format"` // "hilnet-trace"
	Version  int    `json:"version"`
	Hilnet   string `json:"hilnet"` // version of the program
	Go       string `json:"go"`     // version of Go
	Scenario string `json:"scenario"`
	Seed     uint64 `json:"seed"`
	Clock    string `json:"clock"` // "virtual" or "real"
}

const format = "hilnet-trace"

// A Writer writes events as JSON, one object a line, behind a Header.
type Writer struct {
	w   io.Writer
	buf []byte
	n   uint64
	put uint64 // of n, handed on
	err error
}

const flushAt = 32 << 10

// NewWriter writes the header. Format and Version are filled in.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	h.Format, h.Version = format, Version
	line, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("trace: header: %w", err)
	}
	out := &Writer{w: w, buf: append(line, '\n')}
	return out, out.Flush()
}

// Write appends one event. An error stays, and is returned by Flush too.
func (w *Writer) Write(e *Event) {
	if w.err != nil {
		return
	}
	w.buf = AppendJSON(w.buf, e)
	w.buf = append(w.buf, '\n')
	w.n++
	if len(w.buf) >= flushAt {
		_ = w.Flush() // kept in w.err
	}
}

// Err returns the first error of the underlying writer.
func (w *Writer) Err() error { return w.err }

// Put returns how many events the underlying writer has taken.
func (w *Writer) Put() uint64 { return w.put }

// Flush hands all lines to the underlying writer.
func (w *Writer) Flush() error {
	if w.err == nil && len(w.buf) > 0 {
		if _, err := w.w.Write(w.buf); err != nil {
			w.err = fmt.Errorf("trace: event %d: %w", w.n, err)
		} else {
			w.put = w.n
		}
		w.buf = w.buf[:0]
	}
	return w.err
}

// AppendJSON appends e as one JSON object. Fields are in a fixed order; those
// that are zero are left out, except t, seq and kind.
func AppendJSON(b []byte, e *Event) []byte {
	b = append(b, `{"t":`...)
	b = strconv.AppendInt(b, int64(e.T), 10)
	b = append(b, `,"seq":`...)
	b = strconv.AppendUint(b, e.Seq, 10)
	b = appendText(b, "kind", string(e.Kind))
	b = appendText(b, "node", e.Node)
	b = appendText(b, "stage", e.Stage)
	b = appendUint(b, "frame", e.Frame)
	b = appendText(b, "reason", string(e.Reason))
	b = appendText(b, "client", e.Client)
	b = appendText(b, "topic", e.Topic)
	b = appendUint(b, "qos", uint64(e.QoS))
	b = appendUint(b, "id", uint64(e.ID))
	b = appendBool(b, "dup", e.Dup)
	b = appendBool(b, "retain", e.Retain)
	b = appendInt(b, "len", int64(e.Len))
	b = appendUint(b, "status", uint64(e.Status))
	if e.Hash != 0 {
		b = append(b, `,"hash":"`...)
		b = strconv.AppendUint(b, e.Hash, 16)
		b = append(b, '"')
	}
	b = appendInt(b, "count", e.Count)
	b = appendText(b, "text", e.Text)
	if len(e.Values) > 0 {
		b = append(b, `,"values":{`...)
		for i, v := range e.Values {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, v.Name)
			b = append(b, ':')
			b = strconv.AppendInt(b, v.N, 10)
		}
		b = append(b, '}')
	}
	return append(b, '}')
}

func appendKey(b []byte, key string) []byte {
	b = append(b, ',', '"')
	b = append(b, key...)
	return append(b, '"', ':')
}

func appendText(b []byte, key, v string) []byte {
	if v == "" {
		return b
	}
	return appendString(appendKey(b, key), v)
}

func appendUint(b []byte, key string, v uint64) []byte {
	if v == 0 {
		return b
	}
	return strconv.AppendUint(appendKey(b, key), v, 10)
}

func appendInt(b []byte, key string, v int64) []byte {
	if v == 0 {
		return b
	}
	return strconv.AppendInt(appendKey(b, key), v, 10)
}

func appendBool(b []byte, key string, v bool) []byte {
	if !v {
		return b
	}
	return append(appendKey(b, key), "true"...)
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Bytes that are not UTF-8, which MQTT
// input may hold, become U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
			i++
		case c < 0x20 || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			i++
		case c < utf8.RuneSelf:
			b = append(b, c)
			i++
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += size
		}
	}
	return append(b, '"')
}

// A Reader reads what a Writer wrote.
type Reader struct {
	scan   *bufio.Scanner
	header Header
	line   int
}

// ErrFormat is wrapped by the errors of files that are not traces.
var ErrFormat = errors.New("not a hilnet trace")

// NewReader reads the header and checks the version.
func NewReader(r io.Reader) (*Reader, error) {
	scan := bufio.NewScanner(r)
	scan.Buffer(make([]byte, 0, 64<<10), MaxLine)
	out := &Reader{scan: scan}
	if !scan.Scan() {
		if err := scan.Err(); err != nil {
			return nil, fmt.Errorf("trace: line 1: %w", err)
		}
		return nil, fmt.Errorf("trace: empty file: %w", ErrFormat)
	}
	out.line = 1
	if err := json.Unmarshal(scan.Bytes(), &out.header); err != nil || out.header.Format != format {
		return nil, fmt.Errorf("trace: line 1: %w", ErrFormat)
	}
	if out.header.Version != Version {
		return nil, fmt.Errorf("trace: version %d, this program reads version %d", out.header.Version, Version)
	}
	return out, nil
}

// Header returns the file's header.
func (r *Reader) Header() Header { return r.header }

// Read returns the next event, or io.EOF. Values keep the file's order.
func (r *Reader) Read() (Event, error) {
	if !r.scan.Scan() {
		if err := r.scan.Err(); err != nil {
			return Event{}, fmt.Errorf("trace: line %d: %w", r.line+1, err)
		}
		return Event{}, io.EOF
	}
	r.line++
	var in jsonEvent
	dec := json.NewDecoder(bytes.NewReader(r.scan.Bytes()))
	if err := dec.Decode(&in); err != nil {
		return Event{}, fmt.Errorf("trace: line %d: %w", r.line, err)
	}
	e, err := in.event()
	if err != nil {
		return Event{}, fmt.Errorf("trace: line %d: %w", r.line, err)
	}
	return e, nil
}

type jsonEvent struct {
	T      int64         `json:"t"`
	Seq    uint64        `json:"seq"`
	Kind   Kind          `json:"kind"`
	Node   string        `json:"node"`
	Stage  string        `json:"stage"`
	Frame  uint64        `json:"frame"`
	Reason DropReason    `json:"reason"`
	Client string        `json:"client"`
	Topic  string        `json:"topic"`
	QoS    uint8         `json:"qos"`
	ID     uint16        `json:"id"`
	Dup    bool          `json:"dup"`
	Retain bool          `json:"retain"`
	Len    int           `json:"len"`
	Status uint32        `json:"status"`
	Hash   string        `json:"hash"`
	Count  int64         `json:"count"`
	Text   string        `json:"text"`
	Values orderedValues `json:"values"`
}

func (in *jsonEvent) event() (Event, error) {
	e := Event{
		T: sim.Time(in.T), Seq: in.Seq, Kind: in.Kind, Node: in.Node, Stage: in.Stage, Frame: in.Frame,
		Reason: in.Reason, Client: in.Client, Topic: in.Topic, QoS: in.QoS, ID: in.ID, Dup: in.Dup,
		Retain: in.Retain, Len: in.Len, Status: in.Status, Count: in.Count, Text: in.Text, Values: in.Values,
	}
	if in.Kind == "" {
		return Event{}, errors.New("an event without kind")
	}
	if in.Hash != "" {
		h, err := strconv.ParseUint(in.Hash, 16, 64)
		if err != nil {
			return Event{}, fmt.Errorf("hash %q is not a hexadecimal number", in.Hash)
		}
		e.Hash = h
	}
	return e, nil
}

// orderedValues is a JSON object of numbers in the order of the file.
type orderedValues []Value

func (v *orderedValues) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return errors.New("values is not an object")
	}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return err
		}
		name, ok := tok.(string)
		if !ok {
			return errors.New("values has a key that is not a string")
		}
		var n int64
		if err := dec.Decode(&n); err != nil {
			return fmt.Errorf("values.%s: %w", name, err)
		}
		*v = append(*v, Value{name, n})
	}
	return nil
}
