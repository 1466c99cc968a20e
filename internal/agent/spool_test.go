package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"pinwheel/internal/buildlog"
	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
	"pinwheel/internal/tree"
)

// built lays the files of a finished build into a folder of its own.
func built(t *testing.T, n int64) done {
	t.Helper()
	dir := t.TempDir()
	d := done{
		dir:    dir,
		wheels: []string{filepath.Join(dir, "demo-"+strconv.FormatInt(n, 10)+"-py3-none-any.whl")},
		log:    filepath.Join(dir, "build.log"),
		report: bus.Report{Token: lease(n).Token, Job: n, Outcome: farm.OutcomeBuilt, Record: farm.Record{Ended: time.Unix(100-n, 0).UTC()}},
	}
	for _, path := range append(d.wheels, d.log) {
		if err := os.WriteFile(path, []byte("content of "+filepath.Base(path)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func spoolOne(t *testing.T, s *spool, n int64) bus.Report {
	t.Helper()
	r, err := s.put(built(t, n))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// recovered starts anew on s and returns the reports that are left, each of
// which must be whole.
func recovered(t *testing.T, s *spool) []bus.Report {
	t.Helper()
	tokens, err := s.recover(filepath.Join(t.TempDir(), "broken"), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	onlyNames(t, s.dir, slices.Sorted(slices.Values(tokens))...)
	var all []bus.Report
	for _, token := range tokens {
		r, err := s.read(token)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range append(r.Wheels, r.Log) {
			if err := s.verify(token, f); err != nil {
				t.Errorf("half a result: %v", err)
			}
		}
		all = append(all, r)
	}
	return all
}

// TestCrashBetweenTheSteps stops spooling after each of its steps, as a kill
// would, and starts again: before the commit nothing is left and the job is
// built anew, after it the whole result is there.
func TestCrashBetweenTheSteps(t *testing.T) {
	t.Parallel()
	d := func(t *testing.T) done { return built(t, 1) }
	var r bus.Report
	steps := []struct {
		name string
		do   func(s *spool, d done) error
	}{
		{"begin", func(s *spool, d done) error { r = d.report; return s.begin(r.Token) }},
		{"move wheel", func(s *spool, d done) error {
			return os.Rename(d.wheels[0], filepath.Join(s.folder(r.Token), filepath.Base(d.wheels[0])))
		}},
		{"take wheel", func(s *spool, d done) error {
			if err := s.begin(r.Token); err != nil {
				return err
			}
			if err := os.WriteFile(d.wheels[0], []byte("again"), 0o600); err != nil {
				return err
			}
			f, err := s.take(r.Token, d.wheels[0], filepath.Base(d.wheels[0]))
			r.Wheels = []farm.File{f}
			return err
		}},
		{"take log", func(s *spool, d done) (err error) { r.Log, err = s.takeLog(r.Token, d.log); return err }},
		{"half a report", func(s *spool, _ done) error {
			return os.WriteFile(filepath.Join(s.folder(r.Token), "."+reportName+"123"), []byte(`{"tok`), 0o600)
		}},
		{"commit", func(s *spool, _ done) error { return s.commit(r) }},
		{"commit again", func(s *spool, _ done) error { return s.commit(r) }},
		{"forget", func(s *spool, _ done) error { return os.Remove(filepath.Join(s.folder(r.Token), reportName)) }},
		{"remove", func(s *spool, _ done) error { return s.remove(r.Token) }},
	}
	for crash := range steps {
		s, d := &spool{dir: t.TempDir()}, d(t)
		for _, step := range steps[:crash+1] {
			if err := step.do(s, d); err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
		}
		left := recovered(t, s)
		name := steps[crash].name
		if committed := strings.HasPrefix(name, "commit"); committed != (len(left) == 1) {
			t.Errorf("a crash after %q leaves %d results", name, len(left))
		}
	}
}

func TestSpooledResultIsReadBackAsItWas(t *testing.T) {
	t.Parallel()
	s := &spool{dir: t.TempDir()}
	want := spoolOne(t, s, 2)
	older := spoolOne(t, s, 3) // ended before the other, by built
	if diff := cmp.Diff([]bus.Report{older, want}, recovered(t, s)); diff != "" {
		t.Errorf("oldest first: %s", diff)
	}
}

func TestResultWithoutLog(t *testing.T) {
	t.Parallel()
	s, d := &spool{dir: t.TempDir()}, built(t, 1)
	if err := os.Remove(d.log); err != nil {
		t.Fatal(err)
	}
	if _, err := s.put(d); err != nil {
		t.Errorf("a result without a log: %v", err)
	}
}

// TestLogIsSpooledCompressed: what the master gets is the stored form, under its
// own hash and size.
func TestLogIsSpooledCompressed(t *testing.T) {
	t.Parallel()
	s, d := &spool{dir: t.TempDir()}, built(t, 1)
	text := strings.Repeat("cc -O2 -c x.c\n", 10_000) + "\xff\x00the end"
	if err := os.WriteFile(d.log, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := s.put(d)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.verify(r.Token, r.Log); err != nil || r.Log.Name != buildlog.Name || r.Log.Size > int64(len(text)/50) {
		t.Errorf("%+v: %v", r.Log, err)
	}
	f, err := os.Open(s.path(r.Token, r.Log))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := io.ReadAll(buildlog.Text(t.Context(), f)); err != nil || string(got) != text {
		t.Errorf("%d bytes of log, %v; want %d", len(got), err, len(text))
	}
}

// TestForeignFilesDoNotLeadElsewhere gives the spool what a hostile build could
// leave in place of its wheel.
func TestForeignFilesDoNotLeadElsewhere(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]func(path string) error{
		"link":      func(path string) error { return os.Symlink(secret, path) },
		"dead link": func(path string) error { return os.Symlink("/no/such/file", path) },
		"hard link": func(path string) error { return os.Link(secret, path) },
		"pipe":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"folder":    func(path string) error { return os.Mkdir(path, 0o700) },
	}
	for name, make := range tests {
		s, d := &spool{dir: t.TempDir()}, built(t, 1)
		if err := errors.Join(os.Remove(d.wheels[0]), make(d.wheels[0])); err != nil {
			t.Fatal(err)
		}
		if r, err := s.put(d); err == nil {
			t.Errorf("%s was taken: %+v", name, r)
		}
		onlyNames(t, s.dir)
		if name == "dead link" {
			continue // a log that leads nowhere is none
		}
		d = built(t, 1)
		if err := errors.Join(os.Remove(d.log), make(d.log)); err != nil {
			t.Fatal(err)
		}
		if r, err := s.put(d); err == nil {
			t.Errorf("%s was taken for a log: %+v", name, r)
		}
		onlyNames(t, s.dir)
	}
	if info, err := os.Stat(secret); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret is touched: %v, %v", info, err)
	}
}

func TestUnreadableResultIsSetAside(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"garbage": "\x00\x00", "other token": `{"token":"OTHER","job":1}`, "half": `{"token":"TOKEN1",`,
	} {
		s, broken := &spool{dir: t.TempDir()}, filepath.Join(t.TempDir(), "broken")
		good := spoolOne(t, s, 2)
		spoolOne(t, s, 1)
		if err := os.WriteFile(filepath.Join(s.folder("TOKEN1"), reportName), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		tokens, err := s.recover(broken, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{good.Token}, tokens); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		kept, err := filepath.Glob(filepath.Join(broken, "*", "TOKEN1", "*.whl"))
		if err != nil || len(kept) != 1 {
			t.Errorf("%s: set aside %q, %v", name, kept, err)
		}
	}
}

func TestRemoveTreeOpensClosedFolders(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "build")
	if err := os.MkdirAll(filepath.Join(dir, "a", "b", "c"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"a/b", "a"} {
		if err := os.Chmod(filepath.Join(dir, sub), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := tree.Remove(dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
}

func FuzzParseReport(f *testing.F) {
	for _, seed := range []string{`{"token":"T","job":1,"outcome":"built","wheels":[{"name":"../x","sha256":"","size":-1}]}`, `{}`, `[]`, "\xff"} {
		f.Add([]byte(seed), "T")
	}
	s := &spool{dir: "/spool"}
	f.Fuzz(func(t *testing.T, data []byte, token string) {
		r, err := parseReport(data, token)
		if err != nil {
			return
		}
		if r.Token != token {
			t.Errorf("report of %q in the folder of %q", r.Token, token)
		}
		for _, file := range r.Wheels {
			if path := s.path("T", file); !strings.HasPrefix(path, "/spool/") && path != "/spool" {
				t.Errorf("file %q leads to %s", file.Name, path)
			}
		}
		again, err := json.Marshal(r)
		if err != nil || !bytes.Contains(again, []byte(`"token"`)) {
			t.Errorf("cannot be written again: %v", err)
		}
	})
}

// What is no plain name of a folder names none.
func TestNamesFolder(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 128)
	for _, token := range []string{"a", "Z9_-", long} {
		if !namesFolder(token) {
			t.Errorf("%q names no folder", token)
		}
	}
	for _, token := range []string{"", ".", "..", "a/b", "a b", "a\x00", "é", "\xff", "a\n", long + "x"} {
		if namesFolder(token) {
			t.Errorf("%q names a folder", token)
		}
	}
}
