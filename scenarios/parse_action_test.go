package scenarios_test

import (
	"strings"
	"testing"
	"time"

	"hilnet/scenarios"
)

func TestAnActionIsReadAsInATimeline(t *testing.T) {
	for _, text := range []string{"{do: loss, value: 20%, for: 5s, direction: up}", "do: loss\nvalue: 20%\nfor: 5s\ndirection: up\n", `{"do":"loss","value":"20%","for":"5s","direction":"up"}`} {
		a, err := scenarios.ParseAction([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if a.Do != scenarios.SetLoss || a.Loss.String() != "20%" || a.For.Std() != 5*time.Second || a.Way != scenarios.Up {
			t.Errorf("%s: %+v", text, a)
		}
	}
}

func TestAWrongActionIsToldWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "empty",
		"[1, 2]":                       "not a mapping",
		"{for: 5s}":                    `lacks the key "do"`,
		"{do: explode}":                "explode",
		"{do: loss}":                   `lacks the key "value"`,
		"{do: loss, value: 200%}":      "200%",
		"{do: blackhole, packets: 3}":  `does nothing with "packets"`,
		"{do: blackhole, mistake: 3}":  "mistake",
		"{do: blackhole":               "not YAML",
		"{do: leak, packets: 70000}":   "70000",
		strings.Repeat("[", 200) + "x": "levels deep",
		strings.Repeat("x", 20_000):    "more than",
		"{do: \"a\x00\"}":              "control character",
	} {
		a, err := scenarios.ParseAction([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %+v, %v, wants %s", text, a, err, want)
		}
	}
}

func FuzzParseAction(f *testing.F) {
	for _, text := range []string{"{do: loss, value: 20%}", `{"do":"leak","packets":3}`, "do: broker_garbage\nhex: 20 02", "{do: &a loss, value: *a}", "{do: impair, change: {loss: 3%}}"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := scenarios.ParseAction(text)
		if (a == nil) == (err == nil) {
			t.Fatalf("%+v, %v", a, err)
		}
	})
}
