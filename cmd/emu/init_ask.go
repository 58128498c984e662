package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"hilnet/scenarios"
)

// A question is one that init asks.
type question struct {
	flag  string // by which check knows it
	text  string
	value func() string
	set   func(string) error
}

// maxTries is how often a question is asked before it is given up.
const maxTries = 5

// ask has a person say what the scenario is about. Questions go to standard
// error: standard output is for the file, if that is where it goes.
func (c *cli) ask(ctx context.Context, d *draft, file bool) error {
	text := func(p *string) (func() string, func(string) error) {
		return func() string { return *p }, func(s string) error { *p = s; return nil }
	}
	q := func(flag, words string, p *string) question {
		value, set := text(p)
		return question{flag, words, value, set}
	}
	var all []question
	if file {
		all = append(all, q("FILE", "Name of the file", &d.file))
	}
	if err := d.check("FILE"); !file && err != nil {
		return err
	}
	all = append(all,
		q("device", "Stack of the device, netx or linux", &d.device),
		q("pool", "Packet pool, packets x bytes of payload", &d.pool),
		q("link", "Link, none or one of "+strings.Join(scenarios.PresetName("").Values(), ", "), &d.link),
		question{
			"cut", "How long the link is cut, 0s for not at all", func() string { return shortest(d.cut) },
			func(s string) (err error) {
				if d.cut, err = time.ParseDuration(s); err != nil {
					err = usagef("%q is no time; write one such as 8s or 2m", s)
				}
				return err
			},
		},
		q("broker", "Broker, model, or a real one: gateway (no root), tap", &d.broker))
	lines := c.lines()
	for i := range all {
		if err := c.askOne(ctx, d, &all[i], lines); err != nil {
			return err
		}
	}
	return nil
}

// askOne asks until the answer will do.
func (c *cli) askOne(ctx context.Context, d *draft, q *question, lines func(context.Context) (string, error)) error {
	was := q.value()
	for range maxTries {
		fmt.Fprintf(c.stderr, "%s [%s]: ", q.text, was)
		answer, err := lines(ctx)
		if err != nil {
			fmt.Fprintln(c.stderr)
			return err
		}
		if answer = strings.TrimSpace(answer); answer == "" {
			answer = was
		}
		if err = q.set(answer); err == nil {
			err = d.check(q.flag)
		}
		if err == nil {
			return nil
		}
		fmt.Fprintf(c.stderr, "  %s\n", strings.TrimPrefix(bare(err), "--"+q.flag+" ")) // nobody typed a flag
	}
	return usagef("no answer to %q would do; emu init --help names the flags", q.text)
}

// lines returns a function that reads a line of standard input, or stops to when
// the context is done: a read from a terminal itself cannot be stopped.
func (c *cli) lines() func(context.Context) (string, error) {
	stdin := c.stdin
	if stdin == nil {
		stdin = strings.NewReader("")
	}
	in := bufio.NewReader(io.LimitReader(stdin, maxAnswers))
	type answer struct {
		line string
		err  error
	}
	return func(ctx context.Context) (string, error) {
		came := make(chan answer, 1)
		go func() {
			line, err := in.ReadString('\n')
			if errors.Is(err, io.EOF) && line != "" {
				err = nil // the last line needs no end
			}
			came <- answer{line, err}
		}()
		select {
		case a := <-came:
			if errors.Is(a.err, io.EOF) {
				return "", usagef("standard input ended before the last question; flags answer them, too: emu init --help")
			}
			return a.line, a.err
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// maxAnswers bounds what is read, in bytes.
const maxAnswers = 64 << 10
