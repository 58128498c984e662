// Package vectors reads the byte sequences with which Eclipse Mosquitto tests
// MQTT clients and servers (data/README.md says where they come from), so that
// hilnet's own can be held to the same ones. Only tests import it.
//
// A server's case is played by a client: it connects (unless Case.Connect is
// false), sends and expects Case.Messages, and then either the connection has
// ended, with nothing more on it, or a PINGREQ is answered. A client's case is
// played by a server: it takes the CONNECT, answers it with 20 02 00 00 (unless
// Case.Connack is false), sends and expects the Messages, and then either the
// connection has ended or a PUBLISH at QoS 1 is acknowledged.
//
// The files that come with the package are a part of Mosquitto's. To play others,
// name a folder with client/*.json and broker/*.json in the environment variable
// HILNET_VECTORS: their cases come behind the package's own.
package vectors

import (
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
)

//go:embed data
var data embed.FS

// version is MQTT 3.1.1's protocol level, as the files write it.
const version = 4

// A Case is one conversation.
type Case struct {
	Name string // file, group and case
	// Version is the protocol level that the case is for: 4, or 3 for a case of
	// a group for 4, which holds for both.
	Version int
	// Connect: the client of a server's case has a session before the messages.
	Connect bool
	// Connack: the server of a client's case accepts the CONNECT first.
	Connack bool
	// Command is what the client under test does once it is connected: "",
	// publish-1, publish-2 (the text "message" to test/publish at that QoS) or
	// unsubscribe (test/subscribe).
	Command  string
	Messages []Message
	// Disconnect: the peer under test must end the connection.
	Disconnect bool
	// Further: it is none of the package's own.
	Further bool
	// Err is what of the case cannot be read: it cannot be played.
	Err error
}

// Direction says who sends a message.
type Direction string

// The directions, as the side that plays the case sees them.
const (
	Send    Direction = "send"    // to the peer under test
	Receive Direction = "recv"    // exactly this must come from it
	Publish Direction = "publish" // another client publishes Topic and Text at QoS
)

// A Message is one step of a case.
type Message struct {
	Direction Direction
	Bytes     []byte // of Send and Receive
	Comment   string

	Topic, Text string
	QoS         uint8
}

// Broker returns the cases for a server, in the order of the files.
func Broker(t testing.TB) []Case { return read(t, "broker") }

// Client returns the cases for a client, in the order of the files.
func Client(t testing.TB) []Case { return read(t, "client") }

// group, test and step are what the files hold. What a test leaves out, its
// group says, and what that leaves out has a default.
type group struct {
	settings
	Group    string `json:"group"`
	Disable  bool   `json:"disable"`
	Messages []step `json:"group_msgs"`
	Tests    []test `json:"tests"`
}

type settings struct {
	Version    *int    `json:"ver"`
	Connect    *bool   `json:"connect"`
	Connack    *bool   `json:"connack"`
	Disconnect *bool   `json:"expect_disconnect"`
	Command    *string `json:"command"`
}

type test struct {
	settings
	Name     string `json:"name"`
	Disable  bool   `json:"disable"`
	Messages []step `json:"msgs"`
}

type step struct {
	Type    string `json:"type"`
	Payload string `json:"payload"`
	Comment string `json:"comment"`
	Topic   string `json:"topic"`
	QoS     uint8  `json:"qos"`
}

func or[T any](all ...*T) T {
	for _, v := range all {
		if v != nil {
			return *v
		}
	}
	panic("vectors: no default")
}

// variable names a folder with further files.
const variable = "HILNET_VECTORS"

func read(t testing.TB, side string) []Case {
	t.Helper()
	all := own(t, side)
	if dir := os.Getenv(variable); dir != "" {
		more := files(t, os.DirFS(dir), side+"/*.json")
		for i := range more {
			more[i].Further = true
		}
		t.Logf("%s: %d cases more from %s", side, len(more), dir)
		all = append(all, more...)
	}
	return all
}

// own returns the cases of the package's own files.
func own(t testing.TB, side string) []Case {
	t.Helper()
	all := files(t, data, "data/"+side+"/*.json")
	if len(all) == 0 {
		t.Fatalf("vectors: no cases for a %s", side)
	}
	return all
}

func files(t testing.TB, from fs.FS, pattern string) (all []Case) {
	t.Helper()
	names, err := fs.Glob(from, pattern) // sorted
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(from, name)
		if err != nil {
			t.Fatal(err)
		}
		cases, err := parse(text)
		if err != nil {
			t.Fatalf("vectors: %s: %v", name, err)
		}
		file := strings.TrimSuffix(path.Base(name), ".json")
		for _, c := range cases {
			c.Name = file + ": " + c.Name
			all = append(all, c)
		}
	}
	return all
}

// parse reads one file and keeps its groups for MQTT 3.1.1.
func parse(text []byte) (all []Case, err error) {
	var groups []group
	if err := json.Unmarshal(text, &groups); err != nil {
		return nil, err
	}
	yes, none, std := true, "", version
	for i := range groups {
		g := &groups[i]
		if g.Disable || or(g.Version, &std) != version {
			continue
		}
		for j := range g.Tests {
			t := &g.Tests[j]
			if t.Disable || or(t.Version, &std) > version {
				continue
			}
			c := Case{
				Version: or(t.Version, &std),
				Name:    strings.Join(strings.Fields(g.Group+": "+t.Name), " "),
				Connect: or(t.Connect, g.Connect, &yes), Connack: or(t.Connack, g.Connack, &yes),
				Disconnect: or(t.Disconnect, g.Disconnect, &yes), Command: or(t.Command, g.Command, &none),
			}
			for _, s := range append(g.Messages[:len(g.Messages):len(g.Messages)], t.Messages...) {
				m, err := s.message()
				if err != nil { // one case that says something new does not hide the others
					c.Err = err
					break
				}
				c.Messages = append(c.Messages, m)
			}
			all = append(all, c)
		}
	}
	return all, nil
}

func (s *step) message() (Message, error) {
	m := Message{Direction: Direction(s.Type), Comment: s.Comment}
	switch m.Direction {
	case Publish:
		m.Topic, m.Text, m.QoS = s.Topic, s.Payload, s.QoS
		return m, nil
	case Send, Receive:
		var err error
		m.Bytes, err = hex.DecodeString(strings.Join(strings.Fields(s.Payload), ""))
		return m, err
	}
	return m, fmt.Errorf("message of type %q", s.Type)
}
