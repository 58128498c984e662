package scenarios

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"hilnet/link/match"
	"hilnet/mqtt/codec"
)

const matchFile = `version: 1
name: rules
devices: [{steps: [connect]}]
links:
  - match:
      - RULE
broker: {}
`

func TestARuleOfALinkIsWhatWasWritten(t *testing.T) {
	one, no := uint8(1), false
	for _, c := range []struct {
		text string
		want match.Rule
	}{
		{"{do: drop, message: PUBACK, nth: 3, direction: down}", match.Rule{Do: match.Drop, Message: codec.PUBACK, Nth: 3, Down: true, Copies: 1}},
		{"{do: delay, message: PUBLISH, topic: a/#, qos: 1, dup: false, by: 5s, copies: all}",
			match.Rule{Do: match.Delay, Message: codec.PUBLISH, Topic: "a/#", QoS: &one, Dup: &no, By: 5 * time.Second, Copies: match.AllCopies, Up: true, Down: true}},
		{"{do: corrupt, message: CONNACK, byte: 3}", match.Rule{Do: match.Corrupt, Message: codec.CONNACK, Byte: 3, Copies: 1, Up: true, Down: true}},
		{"{do: hold, tcp: SYN+ACK, frames: 2, copies: 2}", match.Rule{Do: match.Hold, TCP: "SYN+ACK", Frames: 2, Copies: 2, Up: true, Down: true}},
		{"{do: duplicate, bytes: 10..20, direction: up}", match.Rule{Do: match.Duplicate, Bytes: &match.Range{From: 10, To: 20}, Copies: 1, Up: true}},
		{"{do: duplicate, frame: 17, direction: up}", match.Rule{Do: match.Duplicate, Frame: 17, Up: true}},
	} {
		sc, err := Load("x.yaml", []byte(strings.Replace(matchFile, "RULE", c.text, 1)))
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := sc.Links[0].Match[0].Rule(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.text, got, c.want)
		}
		text, err := sc.Resolved()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Load("y.yaml", text)
		if err != nil || !Equal(sc, again) {
			t.Errorf("%s: written and read again it differs: %v\n%s", c.text, err, text)
		}
	}
}

func TestWrongRulesOfALinkHaveAPlace(t *testing.T) {
	for _, c := range []struct{ text, at, want, hint string }{
		{"{do: drop}", "6:9", "the rule does not say what it chooses", "add message:, tcp:, bytes: or frame:"},
		{"{do: drop, message: PUBACK, tcp: SYN}", "6:42", "a rule chooses by one thing, not by message and tcp", "two rules"},
		{"{do: drop, message: PUBAK}", "6:29", `"PUBAK" is not known here`, "PUBACK"},
		{"{do: drop, message: PUBACK, topic: a}", "6:44", "topic goes only with message: PUBLISH", "remove it"},
		{"{do: drop, message: PUBLISH, topic: a/#/b}", "6:45", "is not a topic filter", "# stands alone"},
		{"{do: drop, message: PUBACK, copies: none}", "6:45", `"none" is no number of copies`, "first, all or a number"},
		{"{do: drop, tcp: SYNACK}", "6:25", `"SYNACK" are not TCP flags`, "SYN+ACK"},
		{"{do: drop, bytes: 9..3}", "6:27", `"9..3" is not a range of bytes`, "0..99"},
		{"{do: drop, frame: 17, direction: up}", "6:27", "a list of their own", "drop_frames: [17]"},
		{"{do: delay, frame: 3, nth: 2}", "6:36", "nth does nothing beside frame", "remove it"},
		{"{do: delay, frame: 3}", "6:9", `delay lacks the key "by"`, "by: 5s"},
		{"{do: duplicate, frame: 3, by: 2s}", "6:39", "by goes only with do: delay", "remove it"},
		{"{do: corrupt, message: CONNACK}", "6:9", `corrupt lacks the key "byte"`, "byte: 3"},
		{"{do: hold, frame: 3}", "6:9", `hold lacks the key "frames"`, "frames: 3"},
		{"{do: drop, message: PINGREQ, id: 3}", "6:42", "id goes only with a message that has a packet identifier", "remove it"},
	} {
		_, err := Load("x.yaml", []byte(strings.Replace(matchFile, "RULE", c.text, 1)))
		if err == nil || !strings.Contains(err.Error(), "x.yaml:"+c.at+": ") || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.hint) {
			t.Errorf("%s: %v\nwant x.yaml:%s: %s, hint %s", c.text, err, c.at, c.want, c.hint)
		}
	}
	_, err := Load("x.yaml", []byte(strings.Replace(strings.Replace(matchFile, "RULE", "{do: drop, message: PUBACK}", 1), "broker: {}", "broker: {port: 8883}", 1)))
	if err == nil || !strings.Contains(err.Error(), "x.yaml:6:29: MQTT messages cannot be seen: the broker's port 8883 is TLS") {
		t.Errorf("a rule for messages on a TLS port: %v", err)
	}
}
