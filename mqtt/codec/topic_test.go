package codec_test

import (
	"errors"
	"strings"
	"testing"

	"hilnet/mqtt/codec"
)

// The examples of section 4.7.
func TestMatchOfTheStandardsExamples(t *testing.T) {
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"sport/tennis/player1/#", "sport/tennis/player1", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
		{"sport/#", "sport", true},
		{"#", "a/b/c", true},
		{"sport/tennis/+", "sport/tennis/player1", true},
		{"sport/tennis/+", "sport/tennis/player1/ranking", false},
		{"sport/+", "sport", false},
		{"sport/+", "sport/", true},
		{"+/+", "/finance", true},
		{"/+", "/finance", true},
		{"+", "/finance", false},
		{"+/tennis/#", "sport/tennis", true},
		{"#", "$SYS/monitor", false},
		{"+/monitor/Clients", "$SYS/monitor/Clients", false},
		{"$SYS/#", "$SYS/monitor", true},
		{"$SYS/monitor/+", "$SYS/monitor/Clients", true},
		{"/#", "/", true},
		{"/#", "a", false},
		{"+/#", "a", true},
		{"a/+/c", "a//c", true},
		{"a/b", "a/b/c", false},
		{"a/b/c", "a/b", false},
		{"a/bc", "a/b", false},
		{"a/b", "a/bc", false},
		{"a/$x", "a/$x", true},
		{"a/+", "a/$x", true},
		{"ACCOUNTS", "Accounts", false}, // 4.7.3: case sensitive
	} {
		if got := codec.Match(c.filter, []byte(c.topic)); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.filter, c.topic, got)
		}
	}
}

func TestValidFilterOfTheStandardsExamples(t *testing.T) {
	for filter, clause := range map[string]string{
		"sport/tennis#":            "[MQTT-4.7.1-2]",
		"sport/tennis/#/rank":      "[MQTT-4.7.1-2]",
		"sport+":                   "[MQTT-4.7.1-3]",
		"+a/b":                     "[MQTT-4.7.1-3]",
		"":                         "[MQTT-4.7.3-1]",
		"a\x00":                    "[MQTT-1.5.3-2]",
		"sport/tennis/#":           "",
		"+/tennis/#":               "",
		"sport/+/player1":          "",
		"#":                        "",
		"+":                        "",
		"/":                        "",
		strings.Repeat("a", 65536): "[section 1.5.3]",
	} {
		err := codec.ValidFilter([]byte(filter))
		var e *codec.Error
		if clause == "" && err != nil || clause != "" && (!errors.As(err, &e) || e.Clause != clause) {
			t.Errorf("%.20q: %v, want %q", filter, err, clause)
		}
	}
	if err := codec.ValidTopic([]byte("a/b")); err != nil {
		t.Error(err)
	}
	for _, topic := range []string{"", "a/+", "#", "\xff", "a\x00"} {
		if err := codec.ValidTopic([]byte(topic)); err == nil {
			t.Errorf("topic name %q is valid", topic)
		}
	}
}

// matchLevels is Match said again, by levels.
func matchLevels(filter, topic []string) bool {
	if len(filter) == 0 {
		return len(topic) == 0
	}
	if filter[0] == "#" {
		return true
	}
	return len(topic) > 0 && (filter[0] == "+" || filter[0] == topic[0]) && matchLevels(filter[1:], topic[1:])
}

func FuzzMatchAgreesWithMatchingByLevels(f *testing.F) {
	f.Add("a/+/#", "a/b")
	f.Add("+/+", "/")
	f.Add("#", "$a")
	f.Add("a/#", "a")
	f.Fuzz(func(t *testing.T, filter, topic string) {
		if codec.ValidFilter([]byte(filter)) != nil || codec.ValidTopic([]byte(topic)) != nil {
			return
		}
		want := matchLevels(strings.Split(filter, "/"), strings.Split(topic, "/"))
		if topic[0] == '$' && (filter[0] == '#' || filter[0] == '+') {
			want = false
		}
		if got := codec.Match(filter, topic); got != want {
			t.Errorf("Match(%q, %q) = %v", filter, topic, got)
		}
	})
}
