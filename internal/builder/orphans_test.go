package builder

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	rest := " 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0"
	for _, c := range []struct {
		text string
		want process
		ok   bool
	}{
		{"7 (sh) S 3" + rest, process{7, 3, false, 4242}, true},
		{"8 (a) Z 1 (b) Z 3" + rest, process{8, 3, true, 4242}, true},
		{"9 (sh) S 3", process{}, false},
		{"9 sh S", process{}, false},
		{")(", process{}, false},
	} {
		got, ok := parseStat([]byte(c.text))
		if ok != c.ok || (ok && got != c.want) {
			t.Errorf("parseStat(%q) = %+v, %v", c.text, got, ok)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("7 (sh) S 3 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0"))
	f.Add([]byte("1 )( S"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, ok := parseStat(text)
		if !ok {
			return
		}
		// What was understood is said again in the plainest way.
		state := map[bool]string{false: "S", true: "Z"}[p.zombie]
		plain := fmt.Sprintf("%d (x) %s %d"+strings.Repeat(" 0", 17)+" %d", p.pid, state, p.parent, p.start)
		if again, ok := parseStat([]byte(plain)); !ok || again != p {
			t.Errorf("parseStat(%q) = %+v, of %q %+v", text, p, plain, again)
		}
	})
}

// The kernel's own words about this very process are understood.
func TestChildTable(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("/bin/sh", "-c", "read x")
	stdin, err := cmd.StdinPipe()
	must(t, err)
	must(t, cmd.Start())
	found := false
	for _, p := range childTable("/proc")[os.Getpid()] {
		found = found || (p.pid == cmd.Process.Pid && !p.zombie && p.start > 0)
	}
	if !found {
		t.Error("a child of ours is not in the table")
	}
	must(t, stdin.Close())
	_ = cmd.Wait() // read says 1 at the end of input
}
