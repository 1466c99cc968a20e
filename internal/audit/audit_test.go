package audit_test

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/audit"
	"pinwheel/internal/depot"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// lines are a report's findings as kinds and subjects, in order, but for the
// compressed copies of pages, which go with the pages.
func lines(r audit.Report) []string {
	out := []string{}
	for _, f := range r.Findings {
		if strings.HasSuffix(f.Subject, ".gz") {
			continue
		}
		l := string(f.Kind) + " " + f.Subject
		if f.Repaired {
			l += " repaired"
		}
		out = append(out, l)
	}
	slices.Sort(out)
	return out
}

// TestEachDisagreementIsFoundAndMended breaks one thing at a time: an audit says
// exactly that, a repair mends it, and the next audit finds nothing.
func TestEachDisagreementIsFoundAndMended(t *testing.T) {
	t.Parallel()
	_, foo := wheelOf(t, "foo")
	cases := map[string]struct {
		spoil func(w *world, wheel, log farm.File)
		want  []string
	}{
		"wheel lost by the depot": {
			func(w *world, wheel, _ farm.File) { w.must(os.Remove(w.inDepot(wheel))) },
			[]string{"file-missing foo-1.0-py3-none-any.whl"},
		},
		"wheel damaged in the depot, good on the site": {
			func(w *world, wheel, _ farm.File) {
				w.write(w.inDepot(wheel), bytes.Repeat([]byte("x"), int(wheel.Size)))
			},
			[]string{"file-damaged foo-1.0-py3-none-any.whl"},
		},
		"wheel cut short in the depot": {
			func(w *world, wheel, _ farm.File) { w.write(w.inDepot(wheel), []byte("x")) },
			[]string{"file-damaged foo-1.0-py3-none-any.whl"},
		},
		"wheel missing on the site": {
			func(w *world, wheel, _ farm.File) { w.must(os.Remove(w.inSite("foo/" + wheel.Name))) },
			[]string{"site-missing foo/foo-1.0-py3-none-any.whl"},
		},
		"wheel of other bytes on the site": {
			func(w *world, wheel, _ farm.File) {
				w.write(w.inSite("foo/"+wheel.Name), bytes.Repeat([]byte("x"), int(wheel.Size)))
			},
			[]string{"site-other foo/foo-1.0-py3-none-any.whl"},
		},
		"METADATA missing": {
			func(w *world, wheel, _ farm.File) { w.must(os.Remove(w.inSite("foo/" + wheel.Name + ".metadata"))) },
			[]string{"site-missing foo/foo-1.0-py3-none-any.whl.metadata"},
		},
		"build record missing": {
			func(w *world, wheel, _ farm.File) { w.must(os.Remove(w.inSite("foo/" + wheel.Name + ".build.json"))) },
			[]string{"site-missing foo/foo-1.0-py3-none-any.whl.build.json"},
		},
		"build record of other bytes": {
			func(w *world, wheel, _ farm.File) { w.write(w.inSite("foo/"+wheel.Name+".build.json"), []byte("{}")) },
			[]string{"site-other foo/foo-1.0-py3-none-any.whl.build.json"},
		},
		"page of other bytes": {
			func(w *world, _, _ farm.File) { w.write(w.inSite("foo/index.html"), []byte("<a href=evil.whl>")) },
			[]string{"site-other foo/index.html"},
		},
		"folder missing": {
			func(w *world, _, _ farm.File) { w.must(os.RemoveAll(w.inSite("foo"))) },
			[]string{"site-missing foo/foo-1.0-py3-none-any.whl", "site-missing foo/foo-1.0-py3-none-any.whl.build.json", "site-missing foo/foo-1.0-py3-none-any.whl.metadata",
				"site-missing foo/index.html", "site-missing foo/index.json", "site-other index.html", "site-other index.json"},
		},
		"file in the folder's place": {
			func(w *world, _, _ farm.File) { w.write(w.inSite("foo"), nil) },
			[]string{"site-missing foo/foo-1.0-py3-none-any.whl", "site-missing foo/foo-1.0-py3-none-any.whl.build.json", "site-missing foo/foo-1.0-py3-none-any.whl.metadata",
				"site-missing foo/index.html", "site-missing foo/index.json", "site-other index.html", "site-other index.json",
				"site-stray foo"},
		},
		"stray file": {
			func(w *world, _, _ farm.File) { w.write(w.inSite("foo/foo-2.0-py3-none-any.whl"), nil) },
			[]string{"site-stray foo/foo-2.0-py3-none-any.whl"},
		},
		"stray folder": {
			func(w *world, _, _ farm.File) { w.write(w.inSite("gone/index.html"), nil) },
			[]string{"site-stray gone/"},
		},
		"folder of no name": {
			func(w *world, _, _ farm.File) { w.write(w.inSite("Not \xff/x"), nil) },
			[]string{"site-stray Not \xff/"},
		},
		"root index of other bytes, and a stray beside it": {
			func(w *world, _, _ farm.File) {
				w.write(w.inSite("index.json"), []byte("{}"))
				w.write(w.inSite(".index.json123"), nil)
			},
			[]string{"site-other index.json", "site-stray .index.json123"},
		},
		"site deleted": {
			func(w *world, _, _ farm.File) { w.must(os.RemoveAll(w.site())) },
			[]string{"site-missing bar/bar-1.0-py3-none-any.whl", "site-missing bar/bar-1.0-py3-none-any.whl.build.json", "site-missing bar/bar-1.0-py3-none-any.whl.metadata",
				"site-missing bar/index.html", "site-missing bar/index.json", "site-missing foo/foo-1.0-py3-none-any.whl", "site-missing foo/foo-1.0-py3-none-any.whl.build.json", "site-missing foo/foo-1.0-py3-none-any.whl.metadata",
				"site-missing foo/index.html", "site-missing foo/index.json", "site-missing index.html", "site-missing index.json"},
		},
		"stale page": {
			func(w *world, _, _ farm.File) { w.must(w.MarkStale(w.t.Context(), []string{"foo"})) },
			[]string{"site-stale foo"},
		},
		"old leftover in the depot": {
			func(w *world, _, _ farm.File) { w.age(w.inDepot(w.put("left", []byte("left")))) },
			[]string{"file-leftover " + sum([]byte("left"))},
		},
		"removed behind the page": {
			func(w *world, wheel, log farm.File) {
				_, err := w.Remove(w.t.Context(), "foo", nil, "test")
				w.must(err)
				w.age(w.inDepot(wheel)) // a row names it as long as the page may
			},
			[]string{"site-other index.html", "site-other index.json", "site-stale foo", "site-stale the root index", "site-stray foo/"},
		},
		"killed between row and file": {
			func(w *world, wheel, log farm.File) {
				_, err := w.Remove(w.t.Context(), "foo", nil, "test")
				w.must(err)
				gone, err := w.WithdrawnOf(w.t.Context(), []string{"foo"})
				w.must(err)
				w.must(w.ForgetWithdrawn(w.t.Context(), gone))
				w.age(w.inDepot(wheel))
			},
			[]string{"site-other index.html", "site-other index.json", "site-stale foo", "site-stale the root index", "site-stray foo/",
				"file-leftover " + sum(foo)},
		},
		"removed by a program that knows no withdrawn wheels": {
			func(w *world, wheel, log farm.File) {
				w.must(w.setStatus("foo", ""))
				w.exec(`delete from packages where name = 'foo'`)
				w.age(w.inDepot(wheel))
			},
			[]string{"site-other index.html", "site-other index.json", "site-stale foo", "site-stray foo/", "file-leftover " + sum(foo)},
		},
		"withheld behind the page": {
			func(w *world, _, _ farm.File) { w.must(w.setStatus("foo", "quarantined")) },
			[]string{"site-other foo/index.html", "site-other foo/index.json", "site-stale foo",
				"site-stray foo/foo-1.0-py3-none-any.whl", "site-stray foo/foo-1.0-py3-none-any.whl.build.json", "site-stray foo/foo-1.0-py3-none-any.whl.metadata"},
		},
		"withheld wheel on the site": {
			func(w *world, wheel, _ farm.File) {
				w.must(w.setStatus("foo", "quarantined"))
				w.must(w.publisher.WriteStale(w.t.Context()))
				w.must(os.Link(w.inDepot(wheel), w.inSite("foo/"+wheel.Name)))
			},
			[]string{"site-stray foo/foo-1.0-py3-none-any.whl"},
		},
		"wheel of a withheld release on the site": {
			func(w *world, wheel, _ farm.File) {
				w.hold("foo")
				w.must(w.publisher.WriteStale(w.t.Context()))
				w.must(os.Link(w.inDepot(wheel), w.inSite("foo/"+wheel.Name)))
			},
			[]string{"site-stray foo/foo-1.0-py3-none-any.whl"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			wheel, log := w.build("foo")
			w.build("bar")
			c.spoil(w, wheel, log)
			want := slices.Sorted(slices.Values(c.want))
			a := w.auditor()
			got, err := a.Check(t.Context())
			w.must(err)
			if diff := cmp.Diff(want, lines(got)); diff != "" {
				t.Fatalf("found (-want +got):\n%s", diff)
			}
			again, err := w.auditor().Check(t.Context())
			w.must(err)
			if diff := cmp.Diff(lines(got), lines(again)); diff != "" {
				t.Fatalf("a check has changed something:\n%s", diff)
			}
			mended, err := a.Repair(t.Context(), w.publisher)
			w.must(err)
			if mended.Open() != 0 || len(lines(mended)) != len(want) {
				t.Errorf("after the repair: %q", lines(mended))
			}
			after, err := w.auditor().Check(t.Context())
			w.must(err)
			if len(after.Findings) != 0 {
				t.Errorf("the next audit finds %q", lines(after))
			}
		})
	}
}

// TestWhatIsLostIsSaid: what cannot be mended stands, in the repair and after it.
func TestWhatIsLostIsSaid(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		spoil  func(w *world, wheel, log farm.File)
		want   string
		detail string
	}{
		"no copy of a wheel": {func(w *world, wheel, _ farm.File) {
			w.must(os.Remove(w.inDepot(wheel)))
			w.must(os.Remove(w.inSite("foo/" + wheel.Name)))
		}, "file-missing foo-1.0-py3-none-any.whl", "it is lost"},
		"bad copy of a wheel": {func(w *world, wheel, _ farm.File) {
			w.must(os.Remove(w.inDepot(wheel)))
			w.write(w.inSite("foo/"+wheel.Name), bytes.Repeat([]byte("x"), int(wheel.Size)))
		}, "file-missing foo-1.0-py3-none-any.whl", "it is lost"},
		"log":          {func(w *world, _, log farm.File) { w.must(os.Remove(w.inDepot(log))) }, "file-missing log of build 1", "it is lost"},
		"foreign file": {func(w *world, wheel, _ farm.File) { w.write(w.inDepot(wheel)+".bak", nil) }, "file-foreign depot", "move it away"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			wheel, log := w.build("foo")
			w.build("bar")
			c.spoil(w, wheel, log)
			a := w.auditor()
			_, err := a.Check(t.Context())
			w.must(err)
			r, _ := a.Repair(t.Context(), w.publisher) // the error repeats what the report says
			i := slices.IndexFunc(r.Findings, func(f audit.Finding) bool { return string(f.Kind)+" "+f.Subject == c.want })
			if i < 0 || r.Findings[i].Repaired || !strings.Contains(r.Findings[i].Detail, c.detail) {
				t.Errorf("want %s with %q; findings %+v", c.want, c.detail, r.Findings)
			}
			after, err := w.auditor().Check(t.Context())
			w.must(err)
			if !slices.Contains(lines(after), c.want) {
				t.Errorf("the next audit finds only %q", lines(after))
			}
			if page, err := os.ReadFile(w.inSite("bar/index.html")); err != nil || !bytes.Contains(page, []byte("bar-1.0")) {
				t.Errorf("the page of another project: %q, %v", page, err)
			}
		})
	}
}

// TestWithoutFull reads names and sizes only.
func TestWithoutFull(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wheel, _ := w.build("foo")
	w.write(w.inDepot(wheel), bytes.Repeat([]byte("x"), int(wheel.Size)))
	r, err := w.auditor(func(c *audit.Config) { c.Full = false }).Check(t.Context())
	w.must(err)
	if len(r.Findings) != 0 {
		t.Errorf("found %q", lines(r))
	}
}

// TestYoungLeftoverIsNoFinding: a file comes before its row.
func TestYoungLeftoverIsNoFinding(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.build("foo")
	w.put("left", []byte("left"))
	r, err := w.auditor().Check(t.Context())
	w.must(err)
	if len(r.Findings) != 0 || r.Young != 1 || r.Files != 3 || r.Packages != 1 {
		t.Errorf("report %+v", r)
	}
}

// TestADaemonIsAboutToWrite: then a page that has just become stale is not wrong.
func TestADaemonIsAboutToWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.build("foo")
	_, err := w.Remove(t.Context(), "foo", nil, "test")
	w.must(err)
	r, err := w.auditor(func(c *audit.Config) { c.Attended = true }).Check(t.Context())
	w.must(err)
	if len(r.Findings) != 0 || r.Pending != 2 {
		t.Errorf("report %+v", r)
	}
	w.exec(`update stale_pages set marked_at = now() - interval '1 hour'`)
	r, err = w.auditor(func(c *audit.Config) { c.Attended = true }).Check(t.Context())
	w.must(err)
	if !slices.Contains(lines(r), "site-stale foo") || !slices.Contains(lines(r), "site-stray foo/") {
		t.Errorf("after an hour: %q", lines(r))
	}
}

// TestEmptyFarm has nothing, and nothing is wrong with that.
func TestEmptyFarm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, site := range []func() error{func() error { return nil }, func() error { return os.RemoveAll(w.site()) }} {
		w.must(site())
		r, err := w.auditor().Check(t.Context())
		w.must(err)
		if len(r.Findings) != 0 {
			t.Errorf("found %q", lines(r))
		}
	}
}

// TestCheckEndsWithItsContext, in the middle of whatever it does.
func TestCheckEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.build("foo")
	for _, at := range []string{"files of the depot", "pages"} {
		ctx, cancel := context.WithCancel(t.Context())
		a := w.auditor(func(c *audit.Config) {
			c.Told = func(what string, _, _ int64) {
				if what == at {
					cancel()
				}
			}
		})
		if _, err := a.Check(ctx); err == nil {
			t.Errorf("%s: no error", at)
		}
		cancel()
	}
}

// TestManyFiles has files of every first digit, known and unknown.
func TestManyFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var left []string
	for i := range 60 {
		f := w.put("left", []byte(strings.Repeat("x", i)+"y"))
		w.age(w.inDepot(f))
		left = append(left, "file-leftover "+f.SHA256)
	}
	w.build("foo")
	w.build("bar")
	slices.Sort(left)
	r, err := w.auditor().Check(t.Context())
	w.must(err)
	if diff := cmp.Diff(left, lines(r)); diff != "" {
		t.Error(diff)
	}
	if _, err := w.Page(t.Context(), store.RootScope); err == nil {
		t.Error("the root has a page of a project")
	}
}

// TestDepotDeleted: the site's links keep the wheels alive; the logs are lost.
func TestDepotDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.build("foo")
	w.build("bar")
	w.must(os.RemoveAll(w.dir + "/depot"))
	var err error
	w.depot, err = depot.Open(w.dir + "/depot")
	w.must(err)
	a := w.auditor()
	_, err = a.Check(t.Context())
	w.must(err)
	r, err := a.Repair(t.Context(), w.publisher)
	w.must(err)
	want := []string{
		"file-missing bar-1.0-py3-none-any.whl repaired", "file-missing foo-1.0-py3-none-any.whl repaired",
		"file-missing log of build 1", "file-missing log of build 2",
	}
	if diff := cmp.Diff(want, lines(r)); diff != "" {
		t.Error(diff)
	}
}
