package manualtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pinwheel/internal/builder"
	"pinwheel/internal/clitest"
	"pinwheel/internal/pypitest"
	"pinwheel/internal/wheeltest"
)

func TestMain(m *testing.M) {
	builder.Inside()
	os.Exit(m.Run())
}

// TestTyped installs the programs as the manual says, and types its other chapters to farms of
// them: a master with an embedded Postgres and NATS, a slave, an index of the test's own.
//
// What the manual leaves open the scripts give: names.txt, and wheels whose verification it
// shows. Host names and targets are the manual's.
func TestTyped(t *testing.T) {
	t.Parallel()
	bin := install(t)
	clitest.Run(t, clitest.Params{
		Dir:      "testdata",
		Programs: map[string]string{"pinwheel-master": bin + "/pinwheel-master", "pinwheel-slave": bin + "/pinwheel-slave"},
		Commands: map[string]func(*clitest.Script, []string){"chapter": openAt, "types": types, "given": given, "shown": shown, "heavy": heavy, "tell": tell, "wheel": wheel},
	})
}

// install types the chapter of that name in a copy of the source, and returns the folder of
// the programs.
func install(t *testing.T) (bin string) {
	t.Helper()
	source := t.TempDir()
	for _, name := range []string{"Makefile", "go.mod", "go.sum", "cmd", "internal", "sql"} {
		if out, err := exec.Command("cp", "-r", "../../"+name, source).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	shell := func(line string, more ...string) string {
		t.Helper()
		cmd := exec.Command("bash", "-ec", line)
		cmd.Dir = source
		cmd.Env = append(append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL="), more...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		return string(out)
	}
	bin = filepath.Join(source, "bin")
	lines := Open(t).Lines("Install", 4)
	shell(lines[0])
	if out := shell(lines[2]); !strings.Contains(shell("cat dist/man/man1/pinwheel-slave-doctor.1"), "doctor") {
		t.Errorf("%s: %s", lines[2], out)
	}
	rules := filepath.Join(source, "completion")
	complete := strings.ReplaceAll(lines[3], "/etc/bash_completion.d/pinwheel-master", rules)
	if complete == lines[3] {
		t.Fatalf("%s would write into this machine", lines[3])
	}
	shell(complete, "PATH="+bin+":"+os.Getenv("PATH"))
	// Without the package bash-completion, as bash itself takes the rules.
	out := shell(`. ` + rules + `; complete -p pinwheel-master`)
	if !strings.Contains(out, "-F __start_pinwheel-master pinwheel-master") {
		t.Errorf("%s: bash has the rules %q", complete, out)
	}
	return bin
}

// place is where a script stands in the manual.
type place struct {
	book  *Book
	at    string         // the chapter
	typed map[string]int // so many lines of each
	given [][2]string    // a word of the manual, and what it is here
}

type placeKey struct{}

func placeOf(s *clitest.Script) *place {
	p, ok := s.Kept(placeKey{}).(*place)
	if !ok {
		p = &place{book: Open(s.TB), typed: map[string]int{}}
		s.Keep(placeKey{}, p)
	}
	return p
}

// openAt: chapter HEADING has the lines that are typed next. One that was left is gone on with.
func openAt(s *clitest.Script, args []string) {
	p := placeOf(s)
	p.at = args[0]
	p.book.chapter(p.at)
}

// types WORDS... runs the next line of the chapter, which has these words, as it stands there.
func types(s *clitest.Script, args []string) {
	p := placeOf(s)
	lines, n := p.book.chapter(p.at).lines, p.typed[p.at]
	if n >= len(lines) || !slices.Equal(words(lines[n]), args) {
		s.Fail("the next line of the chapter %q is not this one; it has %q", p.at, lines[min(n, len(lines)):])
	}
	p.typed[p.at]++
	line := lines[n] + " "
	for _, word := range p.given {
		line = strings.Replace(line, " "+word[0]+" ", " "+word[1]+" ", 1)
	}
	s.Must(s.Exec("sh", "-ec", line))
}

// given WORD REGEXP has a word of the lines that follow, which stands there for what only a
// command could tell, be what it just told: the first group of the expression.
func given(s *clitest.Script, args []string) {
	out := s.ReadFile("stdout")
	found := regexp.MustCompile(args[1]).FindStringSubmatch(out)
	if found == nil {
		s.Fail("%q does not match %q", args[1], out)
	}
	p := placeOf(s)
	p.given = append(p.given, [2]string{args[0], found[1]})
}

// shown LANGUAGE FILE writes what the chapter shows to be written into a file.
func shown(s *clitest.Script, args []string) {
	p := placeOf(s)
	s.Must(os.WriteFile(s.MkAbs(args[1]), []byte(p.book.File(p.at, args[0])), 0o644))
}

// heavy NAME VERSION MEGABYTES is a release of the index whose source is so large, and whose
// build waits for an answer of the index.
func heavy(s *clitest.Script, args []string) {
	n, err := strconv.Atoi(args[2])
	s.Must(err)
	modules := map[string]string{args[0] + ".py": ""}
	for i := range n {
		modules[fmt.Sprintf("%s_%d.py", args[0], i)] = strings.Repeat("# "+strings.Repeat("x", 97)+"\n", 10_000)
	}
	s.Must(s.Upstream().Add(pypitest.Release{Name: args[0], Version: args[1], Kind: pypitest.Network, Modules: modules}))
}

// tell LINE... tells what happens upstream.
func tell(s *clitest.Script, args []string) { s.Must(s.Upstream().Tell(strings.Join(args, "\n"))) }

// wheel FILE ELF makes the wheel of that name, with a library as a compiler made it.
func wheel(s *clitest.Script, args []string) {
	parts := strings.SplitN(strings.TrimSuffix(args[0], ".whl"), "-", 3)
	library := wheeltest.File{Name: strings.ToLower(parts[0]) + "/_native.so", Body: wheeltest.RealELF(s.TB, args[1])}
	_, body := wheeltest.Wheel{Name: parts[0], Version: parts[1], Tag: parts[2], Files: []wheeltest.File{library}}.Make(s.TB)
	s.Must(os.WriteFile(s.MkAbs(args[0]), body, 0o644))
}
