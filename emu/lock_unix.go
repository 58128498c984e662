//go:build unix

package emu

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lock makes the file this run's own, so that two runs never write into one
// another's files. It ends with the file.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("another run is writing %s", f.Name())
	}
	return err
}
