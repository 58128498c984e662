package archtest

// A Layer is the place of a package. A package imports packages of lower rows,
// and a subpackage its own parents as well.
type Layer struct {
	Row int
	// Third are the prefixes of paths outside this module and the standard
	// library that the package may import.
	Third []string
}

const (
	gopacket = "github.com/google/gopacket"
	sys      = "golang.org/x/sys"
	stat     = "gonum.org/v1/gonum/stat"
)

// testsOnly is the row of packages that only tests and the build import. They
// may import anything.
const testsOnly = -1

// layers has every package that may exist, by its path in the module. A path
// that ends in /... stands for the packages below it.
var layers = map[string]Layer{
	"sim": {Row: 0, Third: []string{sys}},

	"sim/rtos":     {Row: 1},
	"sim/taskconn": {Row: 1},
	"trace":        {Row: 1},
	"wire":         {Row: 1},

	"link":             {Row: 2},
	"link/netem":       {Row: 2},
	"link/traces":      {Row: 2},
	"link/radio":       {Row: 2},
	"link/conformance": {Row: 3},
	"link/decisions":   {Row: 2},
	"mqtt/codec":       {Row: 2},

	"nic":        {Row: 3},
	"pcaps/flow": {Row: 3, Third: []string{gopacket}},

	"pcaps":        {Row: 4, Third: []string{gopacket}},
	"pcaps/tlsdec": {Row: 4, Third: []string{gopacket}},
	"pcaps/golden": {Row: 4},
	"link/match":   {Row: 4},

	"pcaps/analyze":  {Row: 5, Third: []string{gopacket}},
	"stack":          {Row: 5, Third: []string{"gvisor.dev/gvisor"}},
	"stack/gateway":  {Row: 5, Third: []string{"gvisor.dev/gvisor"}},
	"stack/services": {Row: 5, Third: []string{"gvisor.dev/gvisor"}},
	"stack/embedded": {Row: 5},
	"tap": {Row: 5, Third: []string{
		"github.com/songgao/water", "github.com/vishvananda/netlink", "github.com/vishvananda/netns", sys,
	}},
	"tap/layer3":  {Row: 5},
	"tap/socket":  {Row: 5, Third: []string{sys}},
	"tap/host":    {Row: 5, Third: []string{"github.com/vishvananda/netlink", "github.com/vishvananda/netns", sys}},
	"mqtt":        {Row: 5},
	"mqtt/broker": {Row: 5},

	"mqtt/broker/serve": {Row: 5},

	"replay/segment": {Row: 5},
	"replay/script":  {Row: 5},

	"scenarios": {Row: 6, Third: []string{
		"github.com/goccy/go-yaml", "github.com/expr-lang/expr", "github.com/invopop/jsonschema",
	}},

	"emu":       {Row: 7, Third: []string{stat}},
	"emu/certs": {Row: 2},

	"replay":         {Row: 8, Third: []string{gopacket, stat}},
	"replay/frames":  {Row: 8},
	"replay/edit":    {Row: 8},
	"replay/compare": {Row: 8},
	"replay/extract": {Row: 8},
	"report":         {Row: 8},
	"report/live":    {Row: 9}, // what it shows is report/page
	"report/page":    {Row: 8},

	"report/page/plot": {Row: 8},

	"replay/anonymize": {Row: 8},

	"replay/play": {Row: 8},

	"replay/distance": {Row: 9}, // aligns with replay/compare

	"cmd/...": {Row: 10, Third: []string{"github.com/spf13/cobra", "golang.org/x/term"}},

	"internal/...": {Row: testsOnly, Third: []string{""}},
}

// standard names the only importers of some packages of the standard library.
var standard = map[string][]string{
	"net/http":     {"report/live"},
	"math/rand":    {},
	"math/rand/v2": {},
	"crypto/rand":  {"cmd/...", "emu"}, // a run's randomness comes from sim; TLS with a real peer is the exception
	"testing":      {"internal/..."},
	"log":          {},
	"expvar":       {},
}

// emuFree are prefixes of what a program that uses package emu must not be
// made to carry.
var emuFree = []string{
	"github.com/spf13/cobra", "net/http", "github.com/nats-io", "github.com/prometheus", "testing",
}

// folders are the top-level folders; those with a dot are the build's.
var folders = []string{
	".ci", "cmd", "docs", "emu", "internal", "link", "mqtt", "nic", "pcaps", "replay", "report",
	"scenarios", "sim", "stack", "tap", "tools", "trace", "wire",
}

// clock names who may read or wait for real time: the rest is told the time of
// the run. A path that ends in .go is a file.
var clock = []string{
	"sim/pacer.go", "sim/pacer_linux.go", "sim/pacer_other.go",
	"tap/...", "mqtt/broker/serve", "stack/gateway", "report/live", "cmd/...", "internal/...",
}

// clockNames are the functions of package time that read or wait for real time.
var clockNames = map[string]bool{
	"Now": true, "Since": true, "Until": true, "Sleep": true, "After": true,
	"AfterFunc": true, "NewTimer": true, "NewTicker": true, "Tick": true,
}
