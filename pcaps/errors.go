package pcaps

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// A FormatError says that the bytes at Offset break the format or a limit of
// the [ReaderConfig]. Everything before Offset was read and is good.
type FormatError struct {
	Offset int64     // of the block, record or option, from the start of the input
	Block  BlockType // 0 when no block type was read yet, and in classic pcap
	Reason string
}

func (e *FormatError) Error() string {
	if e.Block == 0 {
		return fmt.Sprintf("pcaps: byte %d: %s", e.Offset, e.Reason)
	}
	return fmt.Sprintf("pcaps: byte %d: %v block: %s", e.Offset, e.Block, e.Reason)
}

// A TruncatedError says that the input ends in the middle of a block. Every
// whole block before Offset was delivered. It unwraps to [io.ErrUnexpectedEOF].
type TruncatedError struct {
	Offset  int64 // where the incomplete block starts
	Ignored int64 // how many bytes from there to the end of the input were not used
}

func (e *TruncatedError) Error() string {
	if e.Offset == 0 && e.Ignored == 0 {
		return "pcaps: byte 0: the file is empty"
	}
	return fmt.Sprintf("pcaps: byte %d: the file is cut here; its last %d bytes are no whole block and were ignored", e.Offset, e.Ignored)
}

// Unwrap makes errors.Is(err, io.ErrUnexpectedEOF) true.
func (e *TruncatedError) Unwrap() error { return io.ErrUnexpectedEOF }

// A WriteError says that the output failed. It is sticky: the Writer that
// returned it writes nothing more.
type WriteError struct {
	Name     string // of the file, or "output"
	Packets  uint64 // whole packets that stand in the file
	Readable bool   // the file ends with a whole block
	Err      error
}

func (e *WriteError) Error() string {
	cause := e.Err
	if path := (*fs.PathError)(nil); errors.As(cause, &path) {
		cause = path.Err // the name is already there
	}
	state := "the file is readable up to there"
	if !e.Readable {
		state = "the file ends in an incomplete block, which a reader of cut files ignores"
	}
	return fmt.Sprintf("pcaps: write %s: %v after %d packets; %s", e.Name, cause, e.Packets, state)
}

// Unwrap returns the cause.
func (e *WriteError) Unwrap() error { return e.Err }
