package emu

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"hilnet/link/decisions"
	"hilnet/pcaps"
	"hilnet/scenarios"
)

// A Recorded is the run that a capture of hilnet's is of, as the capture's header
// tells it.
type Recorded struct {
	Path     string
	Scenario *scenarios.Scenario // with the seed of the run
	Seed     uint64
	Version  string // of hilnet
	Go       string
	// Decisions is the list of drops that the run had, for Options.Decisions; nil
	// without.
	Decisions *decisions.Log
	// Followed is the file name of the decision log that the run followed, which is not
	// in the capture; "" without.
	Followed string
	// Replaced is what somebody else's doing had taken the place of, "device" or
	// "broker", as in a play of a capture; "" without.
	Replaced string

	text pcaps.RunText // the scenario
}

// ErrNoRun is in a RecordedError of a capture that hilnet did not record.
var ErrNoRun = errors.New("its header has no run")

// A RecordedError says why the run of a capture cannot be repeated.
type RecordedError struct {
	Path   string
	Reason string
	Hint   string
	Err    error // what is wrong with the scenario, or nil
}

func (e *RecordedError) Error() string {
	s := fmt.Sprintf("emu: %s: %s", e.Path, e.Reason)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Unwrap returns what is wrong with the scenario, or nil.
func (e *RecordedError) Unwrap() error { return e.Err }

// OpenRecorded reads from a capture which run it is of. The error is a
// *RecordedError when the capture is of none that can be repeated. apps are the
// applications that devices may name.
func OpenRecorded(path string, apps map[string]App) (*Recorded, error) {
	r, err := ReadRecorded(path)
	if err != nil {
		return nil, err
	}
	if r.Replaced != "" {
		return nil, &RecordedError{Path: path, Reason: fmt.Sprintf("it was recorded with something else in place of the %s: a play of a capture", r.Replaced),
			Hint: "replay play --against model with the same capture, --scenario, --set and --seed repeats that"}
	}
	if r.Scenario.Clock == scenarios.Real {
		return nil, &RecordedError{Path: path, Reason: "it was recorded in real time, where no run is like another",
			Hint: "replay play plays one side of it again; replay extract makes a scenario in virtual time of it"}
	}
	for i := range r.Scenario.Devices {
		if d := &r.Scenario.Devices[i]; d.App != "" && apps[d.App] == nil {
			return nil, &RecordedError{Path: path, Reason: fmt.Sprintf("its device %q ran the application %q, which is not part of this program", d.Name, d.App),
				Hint: "repeat it with the program that has it: emu.OpenRecorded with Options.Apps"}
		}
	}
	return r, nil
}

// ReadRecorded is OpenRecorded for any run of hilnet's, whether it can be repeated or
// not.
func ReadRecorded(path string) (*Recorded, error) {
	info, err := recordedInfo(path)
	if err != nil {
		return nil, err
	}
	r := &Recorded{Path: path, Seed: info.Seed, Version: info.Version}
	for _, v := range info.Versions {
		if v.Name == "go" {
			r.Go = v.Version
		}
	}
	if len(info.Texts) == 0 {
		return nil, &RecordedError{Path: path, Reason: "it was recorded without its scenario"}
	}
	if err := r.hearTexts(info.Texts[1:]); err != nil {
		return nil, err
	}
	r.text = info.Texts[0]
	if r.Scenario, err = r.With(nil); err != nil {
		return nil, &RecordedError{Path: path, Reason: "the scenario in it is none for this hilnet" + r.versions(), Err: err}
	}
	return r, nil
}

// With returns the scenario of the run with other settings.
func (r *Recorded) With(sets []scenarios.Set) (*scenarios.Scenario, error) {
	// Files that the scenario names are looked for where the capture is.
	sc, err := scenarios.LoadWith(filepath.Join(filepath.Dir(r.Path), r.text.Name), []byte(r.text.Text), sets)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(sets, func(s scenarios.Set) bool { return s.Key == "seed" }) {
		sc.Seed = r.Seed
	}
	return sc, nil
}

// recordedInfo reads what is in the header of a capture.
func recordedInfo(path string) (*pcaps.RunInfo, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, &RecordedError{Path: path, Reason: "it is not a file"}
	}
	reader, closeFile, err := pcaps.Open(path, pcaps.ReaderConfig{})
	var format *pcaps.FormatError
	switch {
	case errors.As(err, &format), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, &RecordedError{Path: path, Reason: "it is no capture", Err: err}
	case err != nil:
		return nil, err
	}
	defer closeFile() // only read from
	record, err := reader.Next()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, &RecordedError{Path: path, Reason: "its header cannot be read", Err: err}
	}
	if err == nil && record.Section != nil {
		if info, ok := pcaps.ParseRunInfo(record.Section); ok {
			return &info, nil
		}
	}
	return nil, &RecordedError{Path: path, Reason: "it is no recording of hilnet", Err: ErrNoRun,
		Hint: "replay info says what is in it; replay play plays one side of it again"}
}

// versions says what of the versions is not as it was, "" when nothing is.
func (r *Recorded) versions() string {
	var all []string
	if r.Version != Version {
		all = append(all, fmt.Sprintf("hilnet is %s and was %s", Version, cmp.Or(r.Version, "unknown")))
	}
	if now := runtime.Version(); r.Go != now {
		all = append(all, fmt.Sprintf("Go is %s and was %s", now, cmp.Or(r.Go, "unknown")))
	}
	if len(all) == 0 {
		return ""
	}
	return " (" + strings.Join(all, ", ") + ")"
}

// Compare lays the captures that a run has written beside the recording, and adds
// to the result whether it is the same.
func (r *Recorded) Compare(result *Result) error {
	check := scenarios.Verdict{Expectation: scenarios.Expectation{Text: "the run makes the recording again", That: filepath.Base(r.Path)}}
	same, why, err := r.same(result.Files)
	if err != nil {
		return err
	}
	if check.Passed = same; same {
		result.Notes = append(result.Notes, fmt.Sprintf("the recording %s was made again%s", r.Path, why))
	} else {
		check.Why = why + r.versions()
		if r.Followed != "" && result.Decisions == "" {
			check.Why += fmt.Sprintf("; the run followed the decision log %s, which is not in it: emu run --from %s --decisions %s repeats it",
				r.Followed, Quote(r.Path), Quote(r.Followed))
		}
		if result.Verdict == Pass {
			result.Verdict = Fail
		}
	}
	result.Checks = append(result.Checks, check)
	return nil
}

// same finds the file that is the recording again, else what is different in the
// one of its name, or the first.
func (r *Recorded) same(files []string) (bool, string, error) {
	var captures []string
	for _, f := range files {
		if strings.HasSuffix(f, ".pcapng") {
			captures = append(captures, f)
		}
	}
	if len(captures) == 0 {
		return false, "the run has written no capture", nil
	}
	named := func(f string) bool { return filepath.Base(f) == filepath.Base(r.Path) }
	slices.SortStableFunc(captures, func(a, b string) int {
		switch {
		case named(a) && !named(b):
			return -1
		case named(b) && !named(a):
			return 1
		}
		return 0
	})
	first := ""
	for _, f := range captures {
		same, why, err := r.compare(f)
		if same || err != nil {
			return same, why, err
		}
		if first == "" {
			first = why
		}
	}
	return false, first, nil
}

// compare tells where a file differs from the recording. Under other versions the
// headers, which have them, are not compared.
func (r *Recorded) compare(path string) (same bool, why string, err error) {
	old, err := newRecords(r.Path)
	if err != nil {
		return false, "", err
	}
	defer old.close()
	again, err := newRecords(path)
	if err != nil {
		return false, "", err
	}
	defer again.close()
	versions := r.versions()
	frames := 0
	for n := 1; ; n++ {
		a, errA := old.next()
		b, errB := again.next()
		if a != nil && a.Packet != nil {
			frames++
		}
		var cut *pcaps.TruncatedError
		switch {
		case errA == io.EOF && errB == io.EOF:
			if versions != "" {
				return true, fmt.Sprintf(": the same %d frames%s", frames, versions), nil
			}
			return true, fmt.Sprintf(", byte for byte: %d frames", frames), nil
		case errors.As(errA, &cut):
			return true, fmt.Sprintf(" as far as it goes: %d frames, then it is cut at byte %d", frames, cut.Offset), nil
		case errA == io.EOF && errB == nil:
			return true, fmt.Sprintf(" as far as it goes: %d frames, then it ends without the end of a recording", frames), nil
		case errB == io.EOF:
			return false, fmt.Sprintf("the run ends behind %d frames, the recording goes on", frames), nil
		case errA != nil:
			return false, fmt.Sprintf("the recording is damaged: %v", errA), nil
		case errB != nil:
			return false, "", errB
		case n == 1 && versions != "":
			continue
		case !sameBlock(old.bytes(a), again.bytes(b)):
			what := fmt.Sprintf("block %d at byte %d", n, a.Offset)
			if a.Packet != nil {
				what = fmt.Sprintf("frame %d at byte %d", frames, a.Offset)
			}
			return false, what + " is another one", nil
		}
	}
}

// sameBlock compares two blocks; one that could not be read is like no other.
func sameBlock(a, b []byte) bool { return len(a) > 0 && bytes.Equal(a, b) }

// records are the blocks of a capture with their bytes.
type records struct {
	reader    *pcaps.Reader
	closeFile func() error
	file      *os.File
	buffer    []byte
}

func newRecords(path string) (*records, error) {
	reader, closeFile, err := pcaps.Open(path, pcaps.ReaderConfig{})
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		_ = closeFile() // only read from
		return nil, err
	}
	return &records{reader: reader, closeFile: closeFile, file: file}, nil
}

func (r *records) next() (*pcaps.Record, error) { return r.reader.Next() }

// blockHeader is the size of a block's type and length.
const blockHeader = 8

// bytes returns the block that a record was read from.
func (r *records) bytes(record *pcaps.Record) []byte {
	var head [blockHeader]byte
	if _, err := r.file.ReadAt(head[:], record.Offset); err != nil {
		return nil
	}
	n := int(uint32(head[4]) | uint32(head[5])<<8 | uint32(head[6])<<16 | uint32(head[7])<<24)
	if n > pcaps.DefaultMaxBlock {
		return nil // the reader would have refused it
	}
	r.buffer = slices.Grow(r.buffer[:0], n)[:n]
	if _, err := r.file.ReadAt(r.buffer, record.Offset); err != nil {
		return nil
	}
	return r.buffer
}

func (r *records) close() {
	_ = r.closeFile() // only read from
	_ = r.file.Close()
}
