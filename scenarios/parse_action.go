package scenarios

import "reflect"

// maxAction bounds the text of an action, in bytes.
const maxAction = 16 << 10

// ParseAction reads one entry of a timeline that happens now, such as
// {do: blackhole, for: 5s}: it need not say when. What it leaves out stays empty
// until CheckAction. JSON is read as well. The error is of type Errors.
func ParseAction(text []byte) (a *Action, err error) {
	t := &textFile{file: "action"}
	if len(text) > maxAction {
		return nil, Errors{t.error(place{line: 1, column: 1}, "", hint("write less", "an action of more than %d bytes", maxAction))}
	}
	if bad := t.read(text); bad != nil {
		return nil, Errors{bad}
	}
	root, bad := t.parse(string(text))
	if bad != nil {
		return nil, Errors{bad}
	}
	d := &decoder{src: &source{places: map[string]place{}}, text: t, anchors: anchorsOf(root), literal: true, now: true, unused: map[string]place{}}
	defer func() {
		if r := recover(); r != nil {
			if r != errTooMany { //nolint:errorlint // our own panic value, never wrapped
				panic(r)
			}
			a, err = nil, d.errs
		}
	}()
	a = &Action{}
	d.depth++
	d.action(root, "action", reflect.ValueOf(a).Elem())
	if len(d.errs) > 0 {
		return nil, d.errs
	}
	return a, nil
}
