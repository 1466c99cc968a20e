package racktest

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var (
	aPin  = regexp.MustCompile(`^([a-z0-9-]+)==(\S+)(?: ; [^\\]+)? \\$`)
	aHash = regexp.MustCompile(`^    --hash=sha256:[0-9a-f]{64}(?: \\)?$`)
)

// TestPins: what ansible is made of is named to the last file, and what is asked for is of
// the version that is asked for.
func TestPins(t *testing.T) {
	t.Parallel()
	pins, hashes, last := map[string]string{}, map[string]int{}, ""
	for _, line := range lines(t, "../../ansible/requirements.txt") {
		switch m := aPin.FindStringSubmatch(line); {
		case m != nil:
			last = m[1]
			pins[last] = m[2]
		case aHash.MatchString(line):
			hashes[last]++
		default:
			t.Errorf("neither a version nor a hash: %q", line)
		}
	}
	for name, version := range pins {
		if hashes[name] == 0 {
			t.Errorf("%s %s has no hash", name, version)
		}
	}
	asked := lines(t, "../../ansible/requirements.in")
	for _, line := range asked {
		if name, version, _ := strings.Cut(line, "=="); pins[name] != version || version == "" {
			t.Errorf("%s is asked for, and %q is pinned; run scripts/ansible-tools --renew", line, pins[name])
		}
	}
	if len(asked) < 2 || len(pins) < 10 {
		t.Errorf("only %d are asked for, and %d pinned", len(asked), len(pins))
	}
}

// lines are those of a file that are no comments.
func lines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		if s := strings.TrimSpace(line); s != "" && s[0] != '#' {
			list = append(list, line)
		}
	}
	return list
}
