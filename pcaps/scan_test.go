package pcaps

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

// Two sections with two interfaces and one; a packet without a time; keys; and what a
// cut leaves.
func TestAScanReadsAsFarAsThereIsSomething(t *testing.T) {
	var file bytes.Buffer
	w, err := NewWriter(&file, Section{}, WriterConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ifc := Interface{LinkType: LinkTypeEthernet}
	packet := func(p Packet) func() error {
		p.Data = make([]byte, 60)
		p.OriginalLen = len(p.Data)
		return func() error { return w.WritePacket(&p) }
	}
	add := func() error { _, err := w.AddInterface(ifc); return err }
	for i, step := range []func() error{
		add, add,
		packet(Packet{Interface: 1, Time: 3e9}),
		func() error { return w.WriteSecrets(&Secrets{Kind: SecretsTLS, Data: []byte("a key\n")}) },
		packet(Packet{Block: BlockSimplePacket}),
		func() error { return w.StartSection(Section{}) },
		add,
		packet(Packet{Time: 5e9}),
		packet(Packet{Time: 6e9}),
		w.Flush,
	} {
		if err := step(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	type frame struct {
		at     Stamp
		number uint64
		lane   int
	}
	want := []frame{{3e9, 1, 1}, {3e9, 2, 0}, {5e9, 3, 2}, {6e9, 4, 2}}
	read := func(ctx context.Context, data []byte) (all []frame, keys string, problem, failed error) {
		in, err := NewReader(bytes.NewReader(data), ReaderConfig{})
		if err != nil {
			return nil, "", nil, err
		}
		var said strings.Builder
		scan := Scan{Secrets: func(lines []byte) { said.Write(lines) }}
		for f, err := range scan.Frames(ctx, in) {
			if err != nil {
				return all, said.String(), scan.Problem, err
			}
			all = append(all, frame{f.At, f.Number, f.Lane})
		}
		return all, said.String(), scan.Problem, nil
	}
	if got, keys, problem, err := read(t.Context(), file.Bytes()); !slices.Equal(got, want) || keys != "a key\n" || problem != nil || err != nil {
		t.Errorf("%v, keys %q, %v, %v", got, keys, problem, err)
	}
	var cut *TruncatedError
	if got, _, problem, err := read(t.Context(), file.Bytes()[:file.Len()-5]); !slices.Equal(got, want[:3]) || !errors.As(problem, &cut) || err != nil {
		t.Errorf("cut: %v, %v, %v", got, problem, err)
	}
	if got, _, problem, err := read(t.Context(), file.Bytes()[:20]); len(got) > 0 || problem != nil || err == nil {
		t.Errorf("nothing to read: %v, %v, %v", got, problem, err)
	}
	over, end := context.WithCancel(t.Context())
	end()
	if got, _, _, err := read(over, file.Bytes()); len(got) > 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v, %v", got, err)
	}
}
