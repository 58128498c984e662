//go:build !unix

package emu

import "os"

// lock does nothing here: two runs into one folder are the user's to keep apart.
func lock(*os.File) error { return nil }
