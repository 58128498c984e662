// Command release builds the programs for every platform that they run on, each
// into an archive with the licences of what is compiled in, and writes the
// archives' checksums beside them. `make release` runs it.
//
// The same commit, Go version and platforms give the same bytes: paths of this
// machine are left out, and every file carries the time of the commit.
package main

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"hilnet/emu"
)

// A platform is one that a release is made for.
type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "/" + p.arch }

// What runs where: on Linux all of it, elsewhere what happens in virtual time.
var platforms = []platform{
	{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}, {"windows", "amd64"},
}

// programs are the commands of a release.
var programs = []string{"emu", "replay"}

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.SetOutput(progress)
	dir := flags.String("out", "dist", "`folder` that the archives go to")
	only := flags.String("only", "", "platforms to build for, such as linux/amd64,linux/arm64 (default: all)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is too much: it takes no arguments", flags.Arg(0))
	}
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	return release(chosen, *dir, out, progress)
}

// choose returns the platforms that a list names, in the order of platforms.
func choose(list string) ([]platform, error) {
	if list == "" {
		return platforms, nil
	}
	names := strings.Split(list, ",")
	for _, n := range names {
		if !slices.ContainsFunc(platforms, func(p platform) bool { return p.String() == n }) {
			return nil, fmt.Errorf("-only: %q is none of %v", n, platforms)
		}
	}
	return slices.DeleteFunc(slices.Clone(platforms), func(p platform) bool { return !slices.Contains(names, p.String()) }), nil
}

// release makes the archives of the platforms and their checksums.
func release(chosen []platform, dir string, out, progress io.Writer) error {
	at, err := commitTime()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "hilnet-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	var sums strings.Builder
	for _, p := range chosen {
		fmt.Fprintf(progress, "%v\n", p)
		files, err := build(p, work)
		if err != nil {
			return fmt.Errorf("%v: %w", p, err)
		}
		name := fmt.Sprintf("hilnet-%s-%s-%s", emu.Version, p.os, p.arch)
		pack, ending := tarball, ".tar.gz"
		if p.os == "windows" {
			pack, ending = zipped, ".zip"
		}
		data, err := pack(name, at, files)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name+ending), data, 0o644); err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sum(data), name+ending)
		fmt.Fprintf(out, "%s  %.1f MB\n", filepath.Join(dir, name+ending), float64(len(data))/1e6)
	}
	sumFile := filepath.Join(dir, "SHA256SUMS")
	if err := os.WriteFile(sumFile, []byte(sums.String()), 0o644); err != nil {
		return err
	}
	fmt.Fprintln(out, sumFile)
	return nil
}

// build returns the files of a platform's archive, in their order there.
func build(p platform, work string) ([]file, error) {
	dir := filepath.Join(work, p.os+"-"+p.arch)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var files []file
	for _, program := range programs {
		if p.os == "windows" {
			program += ".exe"
		}
		name := filepath.Join(dir, program)
		if _, err := goTool(p, "build", "-trimpath", "-ldflags=-s -w -buildid=", "-o", name, "./cmd/"+strings.TrimSuffix(program, ".exe")); err != nil {
			return nil, err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		files = append(files, file{program, 0o755, data})
	}
	for _, name := range []string{"README.md", "CHANGELOG.md", "LICENSE"} {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name, 0o644, data})
	}
	third, err := licences(p)
	return append(files, file{"THIRD-PARTY-LICENSES.txt", 0o644, third}), err
}

// licences returns the texts that the modules compiled in want to be passed on.
func licences(p platform) ([]byte, error) {
	list, err := goTool(p, "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}\t{{.Dir}}{{end}}{{end}}", "./cmd/...")
	if err != nil {
		return nil, err
	}
	modules := slices.Sorted(slices.Values(strings.Split(strings.TrimSpace(string(list)), "\n")))
	modules = slices.DeleteFunc(slices.Compact(modules), func(s string) bool { return s == "" })
	// The standard library is compiled in as well.
	root, err := goTool(p, "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	modules = append(modules, "Go\t"+strings.TrimSpace(string(root)))
	var b bytes.Buffer
	b.WriteString("The programs contain these modules, each under its own licence.\n")
	for _, m := range modules {
		name, dir, _ := strings.Cut(m, "\t")
		found, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			return nil, err
		}
		found = slices.DeleteFunc(found, func(f string) bool {
			base := strings.ToUpper(filepath.Base(f))
			return !strings.HasPrefix(base, "LICENSE") && !strings.HasPrefix(base, "LICENCE") && !strings.HasPrefix(base, "COPYING") && !strings.HasPrefix(base, "NOTICE") && !strings.HasPrefix(base, "PATENTS")
		})
		if len(found) == 0 {
			return nil, fmt.Errorf("%s has no licence in %s", name, dir)
		}
		for _, f := range found {
			text, err := os.ReadFile(f)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(&b, "\n======== %s, %s\n\n%s\n", name, filepath.Base(f), bytes.TrimSpace(text))
		}
	}
	return b.Bytes(), nil
}

// goTool runs the Go tool for a platform.
func goTool(p platform, args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+p.os, "GOARCH="+p.arch, "GOFLAGS=")
	return output(cmd)
}

// commitTime is when the commit was made that is built, or SOURCE_DATE_EPOCH.
func commitTime() (time.Time, error) {
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		text, err := output(exec.Command("git", "log", "-1", "--format=%ct"))
		if err != nil {
			return time.Time{}, fmt.Errorf("%w (outside a clone, set SOURCE_DATE_EPOCH to the seconds that the files shall carry)", err)
		}
		epoch = strings.TrimSpace(string(text))
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

func output(cmd *exec.Cmd) ([]byte, error) {
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("%s: %s", strings.Join(cmd.Args, " "), cmp.Or(strings.TrimSpace(string(exit.Stderr)), err.Error()))
	}
	return out, err
}
