package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"strings"
)

//go:embed assets
var assets embed.FS

// scripts are the page's script, in the order in which its parts stand.
var scripts = []string{"model.js", "decode.js", "view.js", "charts.js", "tracks.js", "ladder.js", "arrows.js", "summary.js", "study.js", "main.js"}

// shell is the page without its data. The policy lets the page load nothing, send
// nothing anywhere and run no script but the one whose digest it names.
const shell = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="%s">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>%s</title>
<style>%s</style>
</head>
<body>
<noscript><p>This page draws what it holds by a script of its own, which the browser does not run.</p></noscript>
<div id="app"></div>
`

// Write writes the page of what was not taken yet: of everything, if Take was
// never called. It is called once.
func (b *Builder) Write(w io.Writer) error {
	style, err := assets.ReadFile("assets/page.css")
	if err != nil {
		return fmt.Errorf("page: %w", err)
	}
	script, err := Script()
	if err != nil {
		return err
	}
	title := b.head.Title
	if b.head.Judged {
		title = string(b.head.Run.Verdict) + ": " + title
	}
	if _, err := fmt.Fprintf(w, shell, policyOf(script, style), html.EscapeString(strings.ToValidUTF8(title, "\uFFFD")), style); err != nil {
		return fmt.Errorf("page: %w", err)
	}
	chunks := b.Take()
	b.lists()
	if err := writeData(w, "head", &b.head); err != nil {
		return err
	}
	for i := range chunks {
		if err := writeData(w, "chunk", &chunks[i]); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(w, "<script>%s</script>\n</body>\n</html>\n", script); err != nil {
		return fmt.Errorf("page: %w", err)
	}
	return nil
}

// policyOf lets the page run these and ask nobody for anything.
func policyOf(script, style []byte) string {
	return fmt.Sprintf("default-src 'none'; script-src 'sha256-%s'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'", digest(script), digest(style))
}

// liveScripts are those of a page that is fed while the run goes on.
var liveScripts = append(append([]string{}, scripts[:len(scripts)-1]...), "live.js", "hand.js", scripts[len(scripts)-1])

// Script returns the script of a page of a run that is over.
func Script() ([]byte, error) { return scriptOf(scripts) }

func scriptOf(names []string) ([]byte, error) {
	var all bytes.Buffer
	all.WriteString("'use strict';\n(function () {\n")
	for _, name := range names {
		part, err := assets.ReadFile("assets/" + name)
		if err != nil {
			return nil, fmt.Errorf("page: %w", err)
		}
		all.Write(part)
	}
	all.WriteString("})();\n")
	return all.Bytes(), nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// writeData writes a value as a block that no browser runs: JSON, gzip, base64.
func writeData(w io.Writer, kind string, v any) error {
	if _, err := fmt.Fprintf(w, "<script type=\"application/gzip\" class=\"%s\">", kind); err != nil {
		return fmt.Errorf("page: %w", err)
	}
	text := base64.NewEncoder(base64.StdEncoding, w)
	packed, err := gzip.NewWriterLevel(text, gzip.DefaultCompression)
	if err != nil {
		return fmt.Errorf("page: %w", err)
	}
	enc := json.NewEncoder(packed)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("page: %w", err)
	}
	for _, c := range []io.Closer{packed, text} {
		if err := c.Close(); err != nil {
			return fmt.Errorf("page: %w", err)
		}
	}
	if _, err := io.WriteString(w, "</script>\n"); err != nil {
		return fmt.Errorf("page: %w", err)
	}
	return nil
}
