package publish

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"pinwheel/internal/atomicfile"
)

const (
	benchProjects = 200
	benchFiles    = 30 // of a project
)

// BenchmarkPages writes the pages of projects of 30 wheels each, whose files are
// in place: from stale rows to pages in HTML and JSON, compressed, flushed, renamed,
// and the rows forgotten. Beside it, in the same run, the same bytes are compressed
// and written by as many goroutines, without rows, renames and comparisons: plain,
// which a power failure may undo, and flushed like ours.
func BenchmarkPages(b *testing.B) {
	w := newWorld(b)
	w.fill(benchProjects, benchFiles, 4<<10)
	p := w.publisher()
	w.must(p.WriteAll(b.Context()))
	var ours, plain, flushed time.Duration
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		w.exec(`update releases set yanked = true, yank_reason = $1`, fmt.Sprintf("round %06d", n))
		_, err := w.MarkAllStale(b.Context())
		w.must(err)
		settle()
		b.StartTimer()
		began := time.Now()
		w.must(p.writeStale(b.Context()))
		ours += time.Since(began)
		b.StopTimer()
		pages := pagesOf(b, p.simple())
		plain += plainly(b, pages, false)
		flushed += plainly(b, pages, true)
		b.StartTimer()
	}
	if c := p.Counts(); c.Pages != int64(benchProjects*(b.N+1)) || c.Failures != 0 {
		b.Fatalf("counts %+v", c)
	}
	checkCopies(b, w.site())
	for name, d := range map[string]time.Duration{"": ours, "plain-": plain, "flushed-": flushed} {
		b.ReportMetric(float64(benchProjects*b.N)/d.Seconds(), name+"packages/s")
	}
	b.ReportMetric(ours.Seconds()/plain.Seconds(), "x-plain")
	b.ReportMetric(ours.Seconds()/flushed.Seconds(), "x-flushed")
}

// settle lets no measurement pay for the garbage of the one before.
func settle() { runtime.GC() }

// fill makes projects with files wheels each, as rows and in the depot, the long
// way past leases and reports.
func (w *world) fill(projects, files, metadata int) {
	w.t.Helper()
	meta := "Metadata-Version: 2.1\nName: x\nVersion: 1\nSummary: " + noise(metadata) + "\n"
	w.exec(`insert into packages (name, display) select 'project-' || i, 'project-' || i from generate_series(1, $1) i`, projects)
	w.exec(`insert into releases (package_id, version, raw, requires_python)
	        select p.id, '1.' || v, '1.' || v, '>=3.9' from packages p cross join generate_series(1, $1) v`, files)
	w.exec(`insert into jobs (release_id, target_id, state, released_at, rank) select id, $1, 'built', now(), id from releases`, w.target)
	w.exec(`insert into builds (job_id, slave_id, token, request, outcome, ended_at)
	        select id, $1, 't' || id, 'r' || id, 'built', now() from jobs`, w.slave)
	w.exec(`insert into published_names (filename, sha256, size)
	        select replace(p.name, '-', '_') || '-' || r.version || '-cp311-cp311-linux_armv7l.whl', encode(sha256(r.id::text::bytea), 'hex'), 7
	        from releases r join packages p on p.id = r.package_id`)
	w.exec(`insert into wheels (release_id, build_id, filename, sha256, size, metadata_sha256, metadata, requires_python, tags)
	        select r.id, b.id, n.filename, n.sha256, n.size, encode(sha256($1 || r.id::text::bytea), 'hex'), $1 || r.id::text::bytea, r.requires_python, array['cp311-cp311-linux_armv7l']
	        from releases r join packages p on p.id = r.package_id join jobs j on j.release_id = r.id join builds b on b.job_id = j.id
	        join published_names n on n.filename = replace(p.name, '-', '_') || '-' || r.version || '-cp311-cp311-linux_armv7l.whl'`,
		[]byte(meta))
	names, err := w.PublishedNames(w.t.Context())
	w.must(err)
	for _, n := range names {
		path, err := w.depot.Path(n.SHA256) // of a wheel, only name and size are looked at
		w.must(err)
		w.must(os.MkdirAll(filepath.Dir(path), 0o755))
		w.must(os.WriteFile(path, []byte("a wheel"), 0o644))
	}
}

// noise does not compress, as the hashes of a page do not.
func noise(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "%x", r.Uint64())
	}
	return b.String()[:n]
}

// pagesOf reads the pages of all projects: path below dir → content.
func pagesOf(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for _, name := range []string{pageHTML, pageJSON} {
		found, err := filepath.Glob(filepath.Join(dir, "*", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			body, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			out[strings.TrimPrefix(path, dir)] = body
		}
	}
	return out
}

// plainly compresses and writes pages into a new folder.
func plainly(t testing.TB, pages map[string][]byte, flush bool) time.Duration {
	t.Helper()
	root := t.TempDir()
	projects := map[string][]string{}
	for path := range pages {
		dir := filepath.Join(root, filepath.Dir(path))
		if projects[dir] == nil {
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		projects[dir] = append(projects[dir], path)
	}
	settle()
	var group errgroup.Group
	group.SetLimit(atOnce)
	var gzips packers
	began := time.Now()
	for dir, paths := range projects {
		group.Go(func() error {
			for _, path := range paths {
				if err := writePlain(filepath.Join(root, path), pages[path], flush); err != nil {
					return err
				}
				if err := gzips.pack(pages[path], func(packed []byte) error {
					return writePlain(filepath.Join(root, path+gzipSuffix), packed, flush)
				}); err != nil {
					return err
				}
			}
			if flush {
				return atomicfile.SyncDir(dir)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	return took
}

func writePlain(path string, body []byte, flush bool) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(body); err != nil || !flush {
		return err
	}
	return f.Sync()
}

// allNames is about how many projects PyPI has.
const allNames = 886_000

// rootNames are names in order, of about the length that they have there, made
// before the clock runs.
func rootNames() iter.Seq2[string, error] {
	names := make([]string, allNames)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range names {
		names[i] = fmt.Sprintf("%06x-%06x", i, r.Uint32N(1<<24))
	}
	return func(yield func(string, error) bool) {
		for _, n := range names {
			if !yield(n, nil) {
				return
			}
		}
	}
}

// BenchmarkRoot writes the root index of all of PyPI in both forms, from names that
// come one by one as they do from the rows: without the compressed copies, which is
// the budget, and with them. The plain way puts both forms together in memory.
func BenchmarkRoot(b *testing.B) {
	names := rootNames()
	for name, write := range map[string]func(*Publisher, iter.Seq2[string, error]) error{
		"bare": writeBareRoot, "copies": (*Publisher).writeRootFiles, "plain": writePlainRoot,
	} {
		b.Run(name, func(b *testing.B) {
			p, err := New(Config{SiteDir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			benchRoot(b, p, func() error { return write(p, names) })
		})
	}
}

// writeBareRoot is writeRootFiles without the copies.
func writeBareRoot(p *Publisher, names iter.Seq2[string, error]) error {
	for _, f := range []struct {
		name string
		form rootForm
	}{{pageHTML, rootHTML()}, {pageJSON, rootJSON()}} {
		r, err := p.beginRoot(f.name, f.form)
		if err != nil {
			return err
		}
		defer r.drop()
		r.out = r.page
		for name := range names {
			if err := r.add(name); err != nil {
				return err
			}
		}
		if err := r.end(); err != nil {
			return err
		}
		if _, err := r.page.Commit(); err != nil {
			return err
		}
	}
	return nil
}

func writePlainRoot(p *Publisher, names iter.Seq2[string, error]) error {
	var all []string
	for name := range names {
		all = append(all, name)
	}
	if err := os.WriteFile(filepath.Join(p.simple(), pageHTML), rootHTML().page(all), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(p.simple(), pageJSON), rootJSON().page(all), 0o644)
}

func benchRoot(b *testing.B, p *Publisher, write func() error) {
	b.ReportAllocs()
	var grown uint64
	for b.Loop() {
		b.StopTimer()
		for _, name := range []string{pageHTML, pageJSON, pageHTML + gzipSuffix, pageJSON + gzipSuffix} {
			if err := os.RemoveAll(filepath.Join(p.simple(), name)); err != nil {
				b.Fatal(err)
			}
		}
		debug.FreeOSMemory()
		before := heap()
		b.StartTimer()
		if err := write(); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		grown = max(grown, heap()-before)
		b.StartTimer()
	}
	b.ReportMetric(float64(grown)/1e6, "MB")
}

// heap is what the process holds of memory for its heap: after a run without a
// collection in between that gave some back, the most that it needed.
func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapSys - m.HeapReleased
}
