package audit_test

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/audit"
	"pinwheel/internal/depot"
	"pinwheel/internal/farm"
	"pinwheel/internal/farmtest"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/publish"
	"pinwheel/internal/store"
	"pinwheel/internal/storetest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// world is a farm of which only database, depot and site matter here.
type world struct {
	*store.Store
	t             testing.TB
	dir, dsn      string
	depot         *depot.Local
	publisher     *publish.Publisher
	slave, target int64
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), dsn: pgtest.New(t)}
	var err error
	w.Store, err = store.Open(t.Context(), w.dsn)
	w.must(err)
	t.Cleanup(w.Store.Close)
	w.depot, err = depot.Open(filepath.Join(w.dir, "depot"))
	w.must(err)
	w.publisher, err = publish.New(publish.Config{Store: w.Store, Depot: w.depot, SiteDir: w.site(), Log: zerolog.Nop()})
	w.must(err)
	w.must(w.AddTarget(t.Context(), target(), farm.Facts{}, "test"))
	w.must(w.EnrollSlave(t.Context(), "pi", farm.RoleSlave, "key", "test"))
	targets, err := w.Targets(t.Context())
	w.must(err)
	slave, err := w.Slave(t.Context(), "pi")
	w.must(err)
	w.target, w.slave = targets[0].ID, slave.ID
	return w
}

func target() farm.Target { return farm.Target{ABI: "cp311", Platform: "linux_x86_64"} }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) site() string { return filepath.Join(w.dir, "site") }

func (w *world) put(name string, content []byte) farm.File {
	w.t.Helper()
	f := farm.File{Name: name, SHA256: sum(content), Size: int64(len(content))}
	w.must(w.depot.Put(w.t.Context(), bytes.NewReader(content), f))
	return f
}

func wheelOf(t testing.TB, name string) (filename string, content []byte) {
	return farmtest.Wheel(t, name, "1.0", "py3-none-any", []byte("# "+name))
}

// hold says that the upstream holds a project's releases back.
func (w *world) hold(name string) {
	known, err := w.KnownProjects(w.t.Context(), []string{name})
	w.must(err)
	a := store.Agreement{Known: known[name], Facts: known[name].ProjectFacts, Page: true}
	for _, r := range known[name].Releases {
		r.Quarantined = true
		a.Update = append(a.Update, r)
	}
	_, err = w.Agree(w.t.Context(), []store.Agreement{a}, nil)
	w.must(err)
}

// setStatus says of a project what the upstream would have said (PEP 792).
func (w *world) setStatus(name, status string) error {
	known, err := w.KnownProjects(w.t.Context(), []string{name})
	if err != nil {
		return err
	}
	a := store.Agreement{Known: known[name], Facts: known[name].ProjectFacts, Page: true}
	a.Facts.Status = status
	_, err = w.Agree(w.t.Context(), []store.Agreement{a}, nil)
	return err
}

// build takes a wheel with its log through the farm, up to its page.
func (w *world) build(name string) (wheel, log farm.File) {
	w.t.Helper()
	ctx := w.t.Context()
	filename, content := wheelOf(w.t, name)
	wheel, log = w.put(filename, content), w.put("log", []byte("built "+name))
	storetest.Release(w.t, w.Store, name, target(), store.ReleaseFacts{Version: "1.0", Raw: "1.0"})
	_, ok, err := w.Claim(ctx, store.ClaimRequest{Slave: w.slave, Request: name, Token: name, Targets: []int64{w.target}, Length: time.Hour})
	w.must(err)
	if !ok {
		w.t.Fatal("nothing to build")
	}
	meta := []byte("Metadata-Version: 2.1\nName: " + name + "\nVersion: 1.0\n")
	_, err = w.FinishBuilt(ctx, store.Ending{Slave: w.slave, Token: name, Log: log}, store.NewWheel{
		File: wheel, MetadataSHA256: sum(meta), Metadata: meta, Tags: []string{"py3-none-any"},
	})
	w.must(err)
	w.must(w.publisher.WriteStale(ctx))
	return wheel, log
}

func (w *world) auditor(change ...func(*audit.Config)) *audit.Auditor {
	cfg := audit.Config{
		Store: w.Store, Depot: w.depot, SiteDir: w.site(), Render: publish.Render, RenderRoot: publish.RenderRoot, Full: true,
	}
	for _, c := range change {
		c(&cfg)
	}
	return audit.New(cfg)
}

// inSite is the path of something in simple/.
func (w *world) inSite(path string) string { return filepath.Join(w.site(), "simple", path) }

// inDepot is the path of a file in the depot.
func (w *world) inDepot(f farm.File) string {
	path, err := w.depot.Path(f.SHA256)
	w.must(err)
	return path
}

// write puts something in the place of what is there, which may be a link.
func (w *world) write(path string, content []byte) {
	w.t.Helper()
	w.must(os.MkdirAll(filepath.Dir(path), 0o755))
	w.must(os.RemoveAll(path))
	w.must(os.WriteFile(path, content, 0o644))
}

// age makes a file look as if it were put there long ago.
func (w *world) age(path string) {
	w.t.Helper()
	old := time.Now().Add(-100 * 24 * time.Hour)
	w.must(os.Chtimes(path, old, old))
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// exec does what no stage does.
func (w *world) exec(q string) {
	w.t.Helper()
	db, err := sql.Open("pgx", w.dsn)
	w.must(err)
	defer db.Close()
	_, err = db.ExecContext(w.t.Context(), q)
	w.must(err)
}
