package main

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"pinwheel/internal/builder"
	"pinwheel/internal/clitest"
	"pinwheel/internal/embedpg"
	"pinwheel/internal/farmtest"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
	"pinwheel/internal/store"
)

// TestMain runs the tests, or is the program: scripts start this very binary
// under the program's name. That goes by hand and not through testscript.Main,
// since pgtest ends the process that it has served.
func TestMain(m *testing.M) {
	builder.Inside()
	if filepath.Base(os.Args[0]) == "master" {
		main()
	}
	pgtest.Main(m)
}

// TestScript runs each command as a process: good use, wrong use, what it prints,
// its exit status.
func TestScript(t *testing.T) {
	t.Parallel()
	clitest.Run(t, clitest.Params{
		Dir:      filepath.Join("testdata", "script"),
		Programs: map[string]string{"master": ""},
		Commands: map[string]func(*clitest.Script, []string){
			"database": database, "fetch": fetch, "queued": queued, "leased": leased, "heard": heard, "built": built, "broken": broken,
			"attended": attended, "locked": locked, "blocked": blocked, "unlocked": unlocked,
			"tell": tell, "asked": asked, "until": until, "page": page, "lacks": lacks,
		},
	})
}

// TestEveryCommandHasScripts: a new one without them fails here.
func TestEveryCommandHasScripts(t *testing.T) {
	t.Parallel()
	clitest.Rows(t, newRoot(), map[string]string{
		"master config: nodatabase": "it asks none",
		"master config: interrupt":  "it waits for nothing",
	}, filepath.Join("testdata", "script"), filepath.Join("testdata", "farm"))
}

// TestFarm runs master and slave as the two processes that they are on a rack.
func TestFarm(t *testing.T) {
	t.Parallel()
	clitest.Run(t, clitest.Params{
		Dir:      filepath.Join("testdata", "farm"),
		Programs: map[string]string{"master": "", "slave": buildProgram(t, "slave"), "monitor": buildProgram(t, "monitor")},
		Commands: map[string]func(*clitest.Script, []string){"check": check, "settled": settled, "installs": installs},
	})
}

// buildProgram makes another program, which this test cannot be.
func buildProgram(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "pinwheel/cmd/"+name)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return path
}

// database gives the script a database of its own: a migrated one, or an empty.
func database(s *clitest.Script, args []string) {
	dsn := ""
	if len(args) > 0 && args[0] == "empty" {
		dsn = pgtest.Empty(s.TB)
	} else {
		dsn = pgtest.New(s.TB)
	}
	s.SetVar("PINWHEEL_DATABASE_URL", dsn)
}

// open reaches the embedded database of the script's running master.
func open(s *clitest.Script) *store.Store {
	address, err := embedpg.Find(filepath.Join(s.Var("PINWHEEL_STATE_DIR"), "postgres"))
	s.Must(err)
	st, err := store.Open(s.TB.Context(), address.URL())
	s.Must(err)
	return st
}

// check holds the whole farm together: rows, files, hashes, links. Its argument is
// the site's address.
func check(s *clitest.Script, args []string) {
	st := open(s)
	defer st.Close()
	state := s.Var("PINWHEEL_STATE_DIR")
	farmtest.Farm{
		Store: st, DepotDir: filepath.Join(state, "depot"), SiteDir: filepath.Join(state, "site"), URL: args[0],
	}.Check(s.TB)
}

// settled waits until a package's one job is in a state. A third argument is how
// many builds it must then have taken.
func settled(s *clitest.Script, args []string) {
	st := open(s)
	defer st.Close()
	name, state := args[0], args[1]
	var job store.JobRow
	farmtest.Eventually(s.TB, name+" is "+state, func() bool {
		jobs, err := st.Jobs(s.TB.Context(), store.Selector{Package: name})
		if err != nil || len(jobs) != 1 {
			return false
		}
		job = jobs[0]
		return string(job.State) == state
	})
	if len(args) < 3 {
		return
	}
	builds, err := st.BuildsOf(s.TB.Context(), job.ID)
	s.Must(err)
	if strconv.Itoa(len(builds)) != args[2] {
		s.Fail("%s has %d builds, want %s: %+v", name, len(builds), args[2], builds)
	}
}

// installs lets real pip take a package from the farm.
func installs(s *clitest.Script, args []string) {
	site, name, version := args[0], args[1], args[2]
	index, err := url.JoinPath(site, "simple/")
	s.Must(err)
	dir, err := proc.SharedTempDir("pinwheel-proof-", proc.BuildUser())
	s.Must(err)
	defer os.RemoveAll(dir)
	res, err := pip.Prove(s.TB.Context(), pip.Proof{
		Python: farmtest.Python(s.TB), User: proc.BuildUser(), Package: name, Version: version,
		Index: index, Upstream: s.Var("UPSTREAM"), Dir: dir,
	})
	s.Must(err)
	if len(res.Imported) == 0 {
		s.Fail("%s: nothing was imported", name)
	}
}

// fetch brings a file of the upstream into the current folder.
func fetch(s *clitest.Script, args []string) {
	files, err := url.JoinPath(s.Var("UPSTREAM"), "..", "files", args[0])
	s.Must(err)
	resp, err := http.Get(files)
	s.Must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	s.Must(err)
	if resp.StatusCode != http.StatusOK {
		s.Fail("GET %s: %s", files, resp.Status)
	}
	s.Must(os.WriteFile(s.MkAbs(filepath.Base(args[0])), body, 0o644))
}
