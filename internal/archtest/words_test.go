package archtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hilnet/internal/linktest"
)

// git runs git in the repository. In an unpacked archive there is none.
func git(t *testing.T, args ...string) string {
	t.Helper()
	linktest.Require(t, "git")
	root := linktest.Root(t)
	if _, err := os.Stat(filepath.Join(root, ".git")); err != nil {
		t.Skipf("not a git repository: %v", err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = root, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, &stderr)
	}
	return stdout.String()
}

// foreign is what has no place in a repository that anybody may build anywhere:
// where modules come from on one machine, one machine's folders, and words about
// how a text came to be. The patterns are in pieces so that this file passes.
var foreign = []*regexp.Regexp{
	regexp.MustCompile(`(proxy|sum)\.` + `golang\.org`),
	regexp.MustCompile(`registry\.` + `npmjs|files\.` + `pythonhosted|index\.` + `crates\.io`),
	regexp.MustCompile(`GO` + `PROXY|GO` + `SUMDB`),
	regexp.MustCompile(`/wo` + `rk/|/tmp/` + `hil|/ro` + `ot/`),
	regexp.MustCompile(`\.\./` + `shared`),
	regexp.MustCompile(`\bfa` + `cts/[a-z]+\.md|\bde` + `sign\.md|\bst` + `yle\.md|CONT` + `RACTS|BRI` + `EF\.md`),
	regexp.MustCompile(`(?i)\bsub` + `-?agents?\b|\bchat` + `gpt\b|\bopen` + `ai\b|\bcl` + `aude\b|\banth` + `ropic\b|\bcop` + `ilot\b`),
	regexp.MustCompile(`\bA` + `I\b|\bL` + `LMs?\b`),
}

// foreignIn returns the lines of a text that have something foreign.
func foreignIn(name string, text []byte) (wrong []string) {
	if bytes.IndexByte(text, 0) >= 0 {
		return nil // not a text
	}
	for i, line := range bytes.Split(text, []byte("\n")) {
		for _, re := range foreign {
			if found := re.Find(line); found != nil {
				wrong = append(wrong, fmt.Sprintf("%s:%d: %q", name, i+1, found))
			}
		}
	}
	return wrong
}

func TestTheRepositorySpeaksOfItselfAlone(t *testing.T) {
	root := linktest.Root(t)
	names := strings.Split(strings.TrimRight(git(t, "ls-files", "-z"), "\x00"), "\x00")
	if len(names) < 20 {
		t.Fatalf("git knows %d files", len(names))
	}
	for _, name := range names {
		// Recorded bytes of others are not words of ours.
		if strings.Contains(name, "testdata/") && !strings.HasSuffix(name, ".md") && !strings.HasSuffix(name, ".txtar") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // deleted and not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range foreignIn(name, text) {
			t.Error(w)
		}
	}
}

func TestForeignWordsAreSeen(t *testing.T) {
	for _, text := range []string{
		"GO" + "PROXY=https://proxy" + ".golang.org", "see /wo" + "rk/main", "by an A" + "I", "fa" + "cts/netx.md b)",
	} {
		if len(foreignIn("x", []byte("ok\n"+text))) == 0 {
			t.Errorf("%q passes", text)
		}
	}
	for _, text := range []string{"FAIL", "an MQTT session", "network/main", "AID", "maintained"} {
		if wrong := foreignIn("x", []byte(text)); len(wrong) > 0 {
			t.Errorf("%q does not pass: %v", text, wrong)
		}
	}
}
