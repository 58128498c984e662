package plot

import (
	"encoding/xml"
	"io"
	"strconv"
	"strings"
)

// The colours. Those of curves differ in lightness, too.
const (
	white  = "#ffffff"
	ink    = "#16202b"
	soft   = "#55626f"
	grid   = "#e3e8ee"
	shade  = "#f1eee6" // behind what is drawn while something is out of order
	blue   = "#0068a8"
	sky    = "#56a8d8"
	orange = "#b96a00"
	green  = "#00805c"
	red    = "#c2410c"
	purple = "#9a4a86"
)

// The sizes of text.
const (
	sizeTitle = 12.0
	sizeText  = 11.0
	sizeSmall = 10.0
)

// A drawing is an SVG file as it grows. Lengths are pixels at the size at which
// it is meant to be seen.
type drawing struct {
	b    strings.Builder
	clip int // of the clip paths, so that each has a name
}

// number writes a length, to a tenth of a pixel.
func number(x float64) string {
	s := strconv.FormatFloat(x, 'f', 1, 64)
	s = strings.TrimSuffix(s, ".0")
	if s == "-0" {
		return "0"
	}
	return s
}

// escape is text as it stands in XML: what XML cannot hold is U+FFFD.
func escape(s string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		panic(err) // a strings.Builder takes everything
	}
	return b.String()
}

// write ends the drawing. title and text are what those hear who do not see it.
func (d *drawing) write(w io.Writer, width, height float64, title, text string) error {
	head := `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<svg xmlns="http://www.w3.org/2000/svg" width="` + number(width) + `" height="` + number(height) +
		`" viewBox="0 0 ` + number(width) + " " + number(height) + `" role="img" font-family="Helvetica, Arial, 'Liberation Sans', sans-serif">` + "\n" +
		"<title>" + escape(title) + "</title>\n<desc>" + escape(text) + "</desc>\n" +
		`<rect width="100%" height="100%" fill="` + white + `"/>` + "\n"
	_, err := io.WriteString(w, head+d.b.String()+"</svg>\n")
	return err
}

// element writes an element without content; attributes are pairs of name and
// value that need no escape.
func (d *drawing) element(name string, attributes ...string) {
	d.b.WriteString("<" + name)
	d.attributes(attributes)
	d.b.WriteString("/>\n")
}

func (d *drawing) attributes(list []string) {
	for i := 0; i < len(list); i += 2 {
		d.b.WriteString(" " + list[i] + `="` + list[i+1] + `"`)
	}
}

func (d *drawing) rect(x, y, w, h float64, fill string, more ...string) {
	d.element("rect", append([]string{"x", number(x), "y", number(y), "width", number(w), "height", number(h), "fill", fill}, more...)...)
}

func (d *drawing) line(x1, y1, x2, y2 float64, colour string, more ...string) {
	d.element("line", append([]string{"x1", number(x1), "y1", number(y1), "x2", number(x2), "y2", number(y2), "stroke", colour}, more...)...)
}

// path draws a line along a path of SVG's path language.
func (d *drawing) path(p, colour string, width float64, more ...string) {
	if p == "" {
		return
	}
	d.element("path", append([]string{"d", p, "fill", "none", "stroke", colour, "stroke-width", number(width)}, more...)...)
}

// text writes a line of text whose middle is at the height y.
func (d *drawing) text(x, y, size float64, colour, s string, more ...string) {
	if s == "" {
		return
	}
	d.b.WriteString("<text")
	d.attributes(append([]string{"x", number(x), "y", number(y + 0.36*size), "font-size", number(size), "fill", colour}, more...))
	d.b.WriteString(">" + escape(s) + "</text>\n")
}

// within draws what fn draws inside a rectangle only.
func (d *drawing) within(x, y, w, h float64, fn func()) {
	d.clip++
	id := "c" + strconv.Itoa(d.clip)
	d.b.WriteString(`<clipPath id="` + id + `">`)
	d.rect(x, y, w, h, white)
	d.b.WriteString("</clipPath>\n" + `<g clip-path="url(#` + id + `)">` + "\n")
	fn()
	d.b.WriteString("</g>\n")
}

var (
	anchorEnd    = []string{"text-anchor", "end"}
	anchorMiddle = []string{"text-anchor", "middle"}
	bold         = []string{"font-weight", "bold"}
	dashed       = []string{"stroke-dasharray", "5 3"}
	dotted       = []string{"stroke-dasharray", "1.5 2.5"}
)

// boldWide is how much wider bold text is.
const boldWide = 1.14

// textWidth is about how wide a text is, a little more rather than less: letters
// in groups, by a font wider than Helvetica that stands for it on many machines.
func textWidth(s string, size float64) float64 {
	sum := 0.0
	for _, r := range s {
		switch {
		case strings.ContainsRune("ijl.,:;|!'`ftrI()[]{}/ ", r):
			sum += 0.36
		case strings.ContainsRune("mwMW@%—…→", r):
			sum += 0.97
		case r >= 'A' && r <= 'Z':
			sum += 0.72
		default:
			sum += 0.61
		}
	}
	return sum * size
}

// fit shortens a text to a width.
func fit(s string, width, size float64) string {
	if textWidth(s, size) <= width {
		return s
	}
	runes := []rune(s)
	for len(runes) > 0 && textWidth(string(runes)+"…", size) > width {
		runes = runes[:len(runes)-1]
	}
	return strings.TrimRight(string(runes), " ,") + "…"
}

// The marks that points are drawn by, as paths.
func dot(x, y float64) string { return "M" + number(x) + " " + number(y) + "h0" } // with round ends of the line

func cross(x, y float64) string {
	return "M" + number(x-3) + " " + number(y-3) + "l6 6m0 -6l-6 6"
}

func ring(x, y float64) string {
	return "M" + number(x-2.6) + " " + number(y) + "a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0 -5.2 0"
}

func square(x, y float64) string {
	return "M" + number(x-2.6) + " " + number(y-2.6) + "h5.2v5.2h-5.2z"
}

func triangle(x, y float64) string {
	return "M" + number(x) + " " + number(y-3.4) + "l3.4 6h-6.8z"
}

func diamond(x, y float64) string {
	return "M" + number(x) + " " + number(y-4) + "l4 4l-4 4l-4 -4z"
}
