package page

import (
	_ "embed" // the style
	"fmt"
	"html"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"hilnet/emu"
	"hilnet/report"
)

// An Entry is a run on a page of several.
type Entry struct {
	Run  *report.Run
	Page string // the file beside the index, "" if the run has none
}

//go:embed index.css
var indexStyle string

// indexShell is a page without a script.
const indexShell = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>%[3]s</title>
<style>%[2]s</style>
</head>
<body>
<h1>%[3]s</h1>
<p>hilnet %[4]s</p>
<div class="wide"><table>
<thead>%[5]s</thead>
<tbody>
%[6]s</tbody>
</table></div>
</body>
</html>
`

var indexHead = []string{"scenario", "verdict", "expectations", "published", "acknowledged", "lost", "latency 95 %", "findings", "seed"}

// WriteIndex writes the page of several runs, which names each with its verdict
// and leads to its own page.
func WriteIndex(w io.Writer, entries []Entry) error {
	passed := 0
	var rows strings.Builder
	for i := range entries {
		if entries[i].Run.Verdict == emu.Pass {
			passed++
		}
		entries[i].write(&rows)
	}
	head := "<tr><th>" + strings.Join(indexHead, "</th><th>") + "</th></tr>"
	_, err := fmt.Fprintf(w, indexShell, digest([]byte(indexStyle)), indexStyle,
		fmt.Sprintf("%d of %d scenarios passed", passed, len(entries)), emu.Version, head, rows.String())
	if err != nil {
		return fmt.Errorf("page: %w", err)
	}
	return nil
}

// write writes the rows of an entry: its numbers, and what failed.
func (e *Entry) write(b *strings.Builder) {
	class, icon := "bad", "✗"
	switch e.Run.Verdict {
	case emu.Pass:
		class, icon = "good", "✓"
	case emu.Interrupted, emu.Inconclusive:
		class, icon = "odd", "?"
	}
	name := shown(e.Run.Scenario)
	if e.Page != "" {
		name = `<a href="` + html.EscapeString(url.PathEscape(e.Page)) + `">` + name + "</a>"
	}
	fmt.Fprintf(b, `<tr class="%s"><td>%s</td><td class="verdict">%s %s</td>`, class, name, icon, shown(string(e.Run.Verdict)))
	for _, cell := range e.numbers() {
		fmt.Fprintf(b, "<td>%s</td>", shown(cell))
	}
	b.WriteString("</tr>\n")
	var why []string
	for _, c := range e.Run.Checks {
		if !c.Passed {
			why = append(why, c.Text)
		}
	}
	if e.Run.Error != "" {
		why = append(why, e.Run.Error)
	}
	for _, text := range why {
		fmt.Fprintf(b, `<tr class="why"><td></td><td colspan="%d">%s</td></tr>`+"\n", len(indexHead)-1, shown(text))
	}
}

func shown(s string) string { return html.EscapeString(strings.ToValidUTF8(s, "\uFFFD")) }

// numbers are the cells behind the verdict.
func (e *Entry) numbers() []string {
	const none = "–"
	all := slices.Repeat([]string{none}, len(indexHead)-2)
	r := e.Run
	ok := 0
	for _, c := range r.Checks {
		if c.Passed {
			ok++
		}
	}
	if len(r.Checks) > 0 {
		all[0] = fmt.Sprintf("%d of %d", ok, len(r.Checks))
	}
	o := r.Outcome
	if o == nil {
		return all
	}
	all[1], all[2], all[5], all[6] = fmt.Sprint(o.Published), fmt.Sprint(o.Acknowledged), fmt.Sprint(len(o.Findings)), fmt.Sprint(r.Seed)
	if r.DeliveryKnown {
		all[3] = fmt.Sprint(o.Lost)
	}
	if o.Acknowledged > 0 {
		all[4] = o.LatencyP95.Round(time.Millisecond).String()
	}
	return all
}
