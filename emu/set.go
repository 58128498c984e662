package emu

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"hilnet/scenarios"
)

// A Setting gives one key of a scenario another value, as the flag --set does.
//
// The key is a path such as devices[0].pool.packets. An index may be a number, a
// name or *, which means all. Where there is one device or one link, its index
// may be left out (link.delay, device.mtu), and so may the beginning of the path
// as long as the rest means one key only (pool.packets, keepalive). Without a
// value the key is as if the file did not have it.
type Setting struct{ Key, Value string }

// ParseSetting reads KEY=VALUE.
func ParseSetting(s string) (Setting, error) {
	key, value, ok := strings.Cut(s, "=")
	if key = strings.TrimSpace(key); !ok || key == "" {
		return Setting{}, fmt.Errorf("emu: %q is not KEY=VALUE (write it as in pool.packets=8)", s)
	}
	return Setting{key, strings.TrimSpace(value)}, nil
}

// String returns the setting as ParseSetting reads it.
func (s Setting) String() string { return s.Key + "=" + s.Value }

// A SettingError says why a scenario does not take a setting.
type SettingError struct {
	Setting Setting
	Err     error
	Hint    string // the next step, or ""
}

func (e *SettingError) Error() string {
	if e.Hint == "" {
		return fmt.Sprintf("%s: %v", e.Setting, e.Err)
	}
	return fmt.Sprintf("%s: %v\n  hint: %s", e.Setting, e.Err, e.Hint)
}

func (e *SettingError) Unwrap() error { return e.Err }

// Set returns a copy of a scenario with other values, validated as a file is.
// The error is a *[SettingError].
func Set(sc *scenarios.Scenario, settings ...Setting) (*scenarios.Scenario, error) {
	if len(settings) == 0 {
		return sc, nil
	}
	own := sc.Clone()
	paths := make([]string, len(settings))
	for i, s := range settings {
		path, err := fullPath(own, s.Key)
		if err == nil {
			paths[i] = path
			err = setPath(own, path, s.Value)
		}
		if err != nil {
			return nil, settingError(s, err)
		}
	}
	var errs scenarios.Errors
	switch err := own.Validate(); {
	case err == nil:
		if err := idle(sc, own, settings, paths); err != nil {
			return nil, err
		}
		return own, nil
	case !errors.As(err, &errs) || len(errs) == 0:
		return nil, settingError(settings[len(settings)-1], err)
	}
	return nil, blame(settings, paths, errs[0])
}

// idle refuses a setting in the timeline that its action does not read.
func idle(before, after *scenarios.Scenario, settings []Setting, paths []string) error {
	i := slices.IndexFunc(paths, func(p string) bool { return strings.HasPrefix(p, "timeline") })
	if i < 0 || scenarios.Equal(before, after) {
		return nil
	}
	was, err := before.Resolved()
	if err != nil {
		return err
	}
	is, err := after.Resolved()
	if err == nil && string(was) == string(is) {
		err = &SettingError{settings[i], errors.New("the action does nothing with it"), "emu show NAME --resolved prints its keys"}
	}
	return err
}

// blame finds the setting that an error of the whole scenario is about.
func blame(settings []Setting, paths []string, e *scenarios.Error) error {
	for i := len(settings) - 1; i >= 0; i-- {
		star := strings.ReplaceAll(paths[i], "[*]", "[")
		if strings.HasPrefix(e.Path, paths[i]) || star != paths[i] && strings.HasPrefix(e.Path, star[:strings.Index(star, "[")+1]) {
			return &SettingError{Setting: settings[i], Err: errors.New(e.Msg), Hint: e.Hint}
		}
	}
	return &SettingError{
		Setting: settings[len(settings)-1],
		Err:     fmt.Errorf("the scenario does not hold with it: %s: %s", e.Path, e.Msg), Hint: e.Hint,
	}
}

// A pathError carries what the user may do about it.
type pathError struct{ msg, hint string }

func (e *pathError) Error() string { return e.msg }

func pathErrorf(hint, format string, args ...any) error {
	return &pathError{fmt.Sprintf(format, args...), hint}
}

func settingError(s Setting, err error) error {
	e := &SettingError{Setting: s, Err: err}
	var p *pathError
	if errors.As(err, &p) {
		e.Hint = p.hint
	}
	return e
}

// lists are the lists of which a path may leave out the index of the only entry.
var lists = []string{"devices", "links"}

// fullPath completes a key to a path from the root of the scenario.
func fullPath(sc *scenarios.Scenario, key string) (string, error) {
	for _, list := range lists {
		singular := strings.TrimSuffix(list, "s")
		if rest, ok := strings.CutPrefix(key, singular+"."); ok {
			return onlyEntry(sc, list, rest, key)
		}
		if rest, ok := strings.CutPrefix(key, singular+"["); ok {
			return list + "[" + rest, nil
		}
	}
	first, _, _ := strings.Cut(key, ".")
	first, _, _ = strings.Cut(first, "[")
	if _, ok := structKey(reflect.TypeFor[scenarios.Scenario](), first); ok {
		return key, nil
	}
	return suffixPath(sc, key)
}

// suffixPath completes the end of a path. Of several the shortest counts; two
// that are equally long are ambiguous.
func suffixPath(sc *scenarios.Scenario, key string) (string, error) {
	var found []string
	depth := 0
	for _, k := range scenarios.Keys() {
		if strings.Count(k.Path, "[]") > 1 || !strings.HasSuffix("."+k.Path, "."+key) {
			continue
		}
		if list, _, isList := strings.Cut(k.Path, "[]"); isList && !slices.Contains(lists, list) {
			continue
		}
		switch n := strings.Count(k.Path, "."); {
		case len(found) == 0 || n < depth:
			found, depth = []string{k.Path}, n
		case n == depth:
			found = append(found, k.Path)
		}
	}
	switch len(found) {
	case 0:
		return "", unknownKey(key)
	case 1:
	default:
		return "", pathErrorf("write one of: "+strings.Join(found, ", "), "the key %q means several", key)
	}
	list, rest, isList := strings.Cut(found[0], "[].")
	if !isList {
		return found[0], nil
	}
	return onlyEntry(sc, list, rest, key)
}

// onlyEntry puts the index of the only device or link into a path.
func onlyEntry(sc *scenarios.Scenario, list, rest, key string) (string, error) {
	if n := entries(sc, list); n != 1 {
		return "", pathErrorf(fmt.Sprintf("write %s[0].%s, or %s[*].%s for all", list, rest, list, rest),
			"the scenario has %d %s, so %q does not say which", n, list, key)
	}
	return list + "[0]." + rest, nil
}

func entries(sc *scenarios.Scenario, list string) int {
	if list == "links" {
		return len(sc.Links)
	}
	return len(sc.Devices)
}

// unknownKey names the keys that look most like it.
func unknownKey(key string) error {
	best, bestDistance := "", len(key)/2+2
	for _, k := range scenarios.Keys() {
		full := strings.ReplaceAll(k.Path, "[]", "")
		for tail := full; ; {
			if d := distance(key, tail); d < bestDistance {
				best, bestDistance = k.Path, d
			}
			_, next, ok := strings.Cut(tail, ".")
			if !ok {
				break
			}
			tail = next
		}
	}
	if best == "" {
		return pathErrorf("emu show NAME --resolved prints all keys", "there is no key %q", key)
	}
	return pathErrorf("did you mean "+best+"?", "there is no key %q", key)
}
