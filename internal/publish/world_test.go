package publish

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/depot"
	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/store"
	"pinwheel/internal/storetest"
	"pinwheel/internal/wheeltest"
)

func TestMain(m *testing.M) {
	if os.Getenv(crashEnv) != "" {
		writeAndDie() // this process is to be killed: see TestKilledAnywhere
	}
	pgtest.Main(m)
}

var target = farm.Target{ABI: "cp311", Platform: "linux_x86_64"}

// world is a farm of which only the database and the depot matter here.
type world struct {
	*store.Store
	t        testing.TB
	dsn, dir string
	depot    *depot.Local
	sql      *sql.DB // for what no stage does yet
	target   int64
	slave    int64
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, dsn: pgtest.New(t), dir: t.TempDir()}
	var err error
	w.Store, err = store.Open(t.Context(), w.dsn)
	w.must(err)
	t.Cleanup(w.Store.Close)
	w.sql, err = sql.Open("pgx", w.dsn)
	w.must(err)
	t.Cleanup(func() { w.sql.Close() })
	w.depot, err = depot.Open(filepath.Join(w.dir, "depot"))
	w.must(err)
	w.must(w.AddTarget(t.Context(), target, farm.Facts{}, "test"))
	targets, err := w.Targets(t.Context())
	w.must(err)
	w.must(w.EnrollSlave(t.Context(), "pi", farm.RoleSlave, "key", "test"))
	slave, err := w.Slave(t.Context(), "pi")
	w.must(err)
	w.target, w.slave = targets[0].ID, slave.ID
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) site() string { return filepath.Join(w.dir, "site") }

// publisher writes to the world's site.
func (w *world) publisher(change ...func(*Config)) *Publisher {
	w.t.Helper()
	cfg := Config{Store: w.Store, Depot: w.depot, SiteDir: w.site(), Log: zerolog.New(zerolog.NewTestWriter(w.t))}
	for _, f := range change {
		f(&cfg)
	}
	p, err := New(cfg)
	w.must(err)
	return p
}

// write brings the site up to date, as Run does.
func (w *world) write(p *Publisher) {
	w.t.Helper()
	w.must(p.writeStale(w.t.Context()))
	w.must(p.writeRoot(w.t.Context()))
}

// artifact is a wheel to be made.
type artifact struct {
	project, version string // the project as its owner spells it
	requiresPython   string
	requires         []string
	padding          int // bytes that do not compress
}

// wheel makes a small pure wheel that pip installs.
func (a artifact) wheel(t testing.TB) (name string, content, metadata []byte) {
	t.Helper()
	module := strings.ReplaceAll(pep.NormalizeName(a.project), "-", "_")
	w := wheeltest.Wheel{Name: a.project, Version: a.version}
	if a.requiresPython != "" {
		w.Head += "Requires-Python: " + a.requiresPython + "\n"
	}
	for _, r := range a.requires {
		w.Head += "Requires-Dist: " + r + "\n"
	}
	w.Files = []wheeltest.File{wheeltest.Text(module+".py", fmt.Sprintf("version = %q\n", a.version))}
	if a.padding > 0 {
		pad := make([]byte, a.padding)
		rand.NewChaCha8([32]byte{}).Read(pad)
		w.Files = append(w.Files, wheeltest.File{Name: module + ".bin", Body: pad})
	}
	file, content := w.Make(t)
	return file.Name, content, w.Metadata()
}

// build takes an artifact through the farm, up to the row that says it is there.
func (w *world) build(a artifact) farm.File {
	w.t.Helper()
	ctx := w.t.Context()
	name, content, meta := a.wheel(w.t)
	file := farm.File{Name: name, SHA256: hexSum(content), Size: int64(len(content))}
	w.must(w.depot.Put(ctx, bytes.NewReader(content), file))
	project := pep.NormalizeName(a.project)
	storetest.Release(w.t, w.Store, a.project, target,
		store.ReleaseFacts{Version: a.version, Raw: a.version, Sdist: farm.Sdist{Filename: "x.tar.gz"}})
	token := project + "/" + a.version
	lease, ok, err := w.Claim(ctx, store.ClaimRequest{
		Slave: w.slave, Request: token, Token: token, Targets: []int64{w.target}, Length: time.Hour,
	})
	w.must(err)
	if !ok || lease.Package != project {
		w.t.Fatalf("claimed %v %+v, want %s", ok, lease, project)
	}
	_, err = w.FinishBuilt(ctx, store.Ending{Slave: w.slave, Token: token}, store.NewWheel{
		File: file, MetadataSHA256: hexSum(meta), Metadata: meta, RequiresPython: a.requiresPython, Tags: []string{"py3-none-any"},
	})
	w.must(err)
	return file
}

// yank says what the upstream would have said.
func (w *world) yank(project, version, reason string) {
	w.t.Helper()
	a := w.agreement(project)
	for _, r := range a.Known.Releases {
		if r.Version == version {
			r.Yanked, r.YankReason = true, reason
			a.Update = append(a.Update, r)
		}
	}
	w.agree(a)
}

// setStatus says what the upstream would have said (PEP 792).
func (w *world) setStatus(project, status, reason string) {
	w.t.Helper()
	a := w.agreement(project)
	a.Facts.Status, a.Facts.StatusReason = status, reason
	w.agree(a)
}

// hold says whether the upstream holds a release back.
func (w *world) hold(project, version string, held bool) {
	w.t.Helper()
	a := w.agreement(project)
	known, err := w.KnownProjects(w.t.Context(), []string{a.Known.Name})
	w.must(err)
	for _, r := range known[a.Known.Name].Releases {
		if r.Version == version {
			r.Quarantined = held
			a.Update = append(a.Update, r)
		}
	}
	if len(a.Update) != 1 {
		w.t.Fatalf("%d releases %s %s", len(a.Update), project, version)
	}
	w.agree(a)
}

// agreement changes nothing yet but the page.
func (w *world) agreement(project string) store.Agreement {
	w.t.Helper()
	name := pep.NormalizeName(project)
	known, err := w.KnownProjects(w.t.Context(), []string{name})
	w.must(err)
	return store.Agreement{Known: known[name], Facts: known[name].ProjectFacts, Page: true}
}

func (w *world) agree(a store.Agreement) {
	w.t.Helper()
	done, err := w.Agree(w.t.Context(), []store.Agreement{a}, nil)
	w.must(err)
	if len(done.Changed) > 0 {
		w.t.Fatalf("%s has changed", a.Known.Name)
	}
}

// remove takes a project away, or some versions of it.
func (w *world) remove(project string, versions ...string) {
	w.t.Helper()
	_, err := w.Remove(w.t.Context(), project, versions, "test")
	w.must(err)
}

func (w *world) exec(q string, args ...any) {
	w.t.Helper()
	_, err := w.sql.ExecContext(w.t.Context(), q, args...)
	w.must(err)
}

// stale lists the scopes that are still to be written.
func (w *world) stale() []string {
	w.t.Helper()
	pages, err := w.StalePages(context.WithoutCancel(w.t.Context()), 1000)
	w.must(err)
	out := []string{}
	for _, p := range pages {
		out = append(out, p.Scope)
	}
	return out
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
