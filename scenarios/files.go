package scenarios

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"hilnet/link"
	"hilnet/link/traces"
)

// A NamedFile is a trace or a distribution that a key of the scenario names, as
// it was when the scenario was read. Load fills it in, so that a recording needs
// no other file.
type NamedFile struct {
	// Its name, as the key has it.
	Name string `yaml:"name" required:"true" min:"1" max:"4096"`
	// SHA-256 of its bytes, in hexadecimal digits: other bytes are refused.
	SHA256 string `yaml:"sha256" required:"true" min:"64" max:"64"`
	// Its bytes, compressed by gzip, in base64. Default: they are read from the file.
	Data string `yaml:"data" max:"1000000"`

	text  []byte
	trace traces.Trace       // what text says, once it has been read as one
	table *link.Distribution // likewise
}

// maxEmbedded bounds what a scenario holds of other files, in bytes of Data: a
// scenario with more would be too large to be read again. Of what is beyond, only
// the hash is kept.
const maxEmbedded = MaxFile / 2

// file returns the file that the value at path names and that is to be found at
// where, or nil when there was an error.
func (c *checker) file(path, name, where string, most int64) *NamedFile {
	i := slices.IndexFunc(c.s.Files, func(f NamedFile) bool { return f.Name == name })
	if i < 0 {
		text, err := readFileOf(where, most)
		if err != nil {
			c.failf(path, "write its path from this file", "%s cannot be read: %v", name, plainError(err))
			return nil
		}
		c.s.Files = append(c.s.Files, NamedFile{Name: name, SHA256: hash(text), text: text, Data: c.embed(text)})
		i = len(c.s.Files) - 1
		c.places[name] = where
	}
	f := &c.s.Files[i]
	switch other, seen := c.places[name]; {
	case !seen:
		c.places[name] = where
	case other != where:
		c.failf(path, "give one of them another name", "two files are called %s: %s and %s", name, other, where)
		return nil
	}
	if f.text == nil && !c.open(path, f, where, most) {
		return nil
	}
	return f
}

// open reads a file that the scenario has the hash of.
func (c *checker) open(path string, f *NamedFile, where string, most int64) bool {
	var err error
	if f.Data == "" {
		if f.text, err = readFileOf(where, most); err != nil {
			c.failf(path, "put it there: the recording was too large to hold it", "%s cannot be read: %v", f.Name, plainError(err))
			return false
		}
	} else if f.text, err = unpack(f.Data, most); err != nil {
		c.failf("files", "remove it, and the file itself is read", "the data of %s: %v", f.Name, err)
		return false
	}
	if hash(f.text) != f.SHA256 {
		f.text = nil
		c.failf(path, "use the file that was there before, or remove it from files", "%s is another file than the one with the SHA-256 %s", f.Name, f.SHA256)
		return false
	}
	return true
}

func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// embed returns a file's Data, or nothing if it is too much.
func (c *checker) embed(text []byte) string {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		if _, err = w.Write(text); err == nil {
			err = w.Close()
		}
	}
	if err != nil {
		panic(fmt.Sprintf("scenarios: gzip: %v", err)) // a buffer does not fail
	}
	had := 0
	for i := range c.s.Files {
		had += len(c.s.Files[i].Data)
	}
	if had+base64.StdEncoding.EncodedLen(b.Len()) > maxEmbedded {
		return ""
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// unpack is the opposite of embed.
func unpack(data string, most int64) ([]byte, error) {
	packed, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return nil, fmt.Errorf("it is not base64: %w", err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("it was not made by gzip: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, fmt.Errorf("it cannot be unpacked: %w", err)
	}
	if int64(len(text)) > most {
		return nil, fmt.Errorf("it has more than %d bytes", most)
	}
	return text, nil
}

// readFileOf reads a file of at most so many bytes.
func readFileOf(name string, most int64) ([]byte, error) {
	text, err := readRegular(name, most)
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("it has more than %d bytes", most)
	}
	if err == nil && len(text) == 0 {
		err = errors.New("it is empty")
	}
	return text, err
}

// dropUnnamed forgets files that no key names any more.
func (c *checker) dropUnnamed() {
	c.s.Files = slices.DeleteFunc(c.s.Files, func(f NamedFile) bool {
		_, named := c.places[f.Name]
		return !named
	})
	if len(c.s.Files) == 0 {
		c.s.Files = nil
	}
}
