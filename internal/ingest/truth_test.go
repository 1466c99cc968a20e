package ingest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/pypitest"
	"pinwheel/internal/store"
)

// truth is a project as the farm should have it: by what the index tells of itself
// past all pages, and by the policy applied to that from nothing.
type truth struct {
	*story
	project  pypitest.ProjectState
	known    store.Known
	order    map[string]int // of files on the page, where it decides
	problems *[]string
	deaf     bool // names were compared in place of the changelog: some events were never heard
	forgot   bool // it may not know how names are spelled, which events alone tell at once
}

// compare says what is wrong with the farm.
func (s *story) compare(ctx context.Context) (wrong []string, err error) {
	state := s.server.State()
	known, err := s.store.KnownAfter(ctx, 0, 1000)
	if err != nil {
		return nil, err
	}
	var deaf bool
	const q = `select exists (select 1 from walks where kind = 'gap' and listed_at is not null)`
	if err := s.conn.QueryRow(ctx, q).Scan(&deaf); err != nil {
		return nil, err
	}
	for _, k := range known {
		p, ok := state.Projects[k.Name]
		if !ok {
			wrong = append(wrong, k.Name+": the upstream does not have it")
			continue
		}
		delete(state.Projects, k.Name)
		order, err := s.order(p)
		if err != nil {
			return nil, err
		}
		truth{s, p, k, order, &wrong, deaf, deaf || s.forgetful()}.check()
	}
	for name, p := range state.Projects {
		if p.Status != pypitest.StatusQuarantined { // its page says nothing, and no list names it
			wrong = append(wrong, name+": the farm does not have it")
		}
	}
	contradictions, err := s.store.Contradictions(ctx)
	return append(wrong, contradictions...), err
}

// forgetful says whether the follower was killed with what it had in memory, or knows
// of projects that it heard no event of.
func (s *story) forgetful() bool {
	return slices.ContainsFunc(s.told, func(line string) bool {
		return strings.HasSuffix(line, " kill") || strings.Contains(line, "backfill")
	})
}

// order is that of the files on a project's page: of two sdists pip takes the last.
func (s *story) order(p pypitest.ProjectState) (map[string]int, error) {
	req, err := http.NewRequest(http.MethodGet, s.server.URL()+p.Name+"/", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/vnd.pypi.simple.v1+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	var page struct{ Files []struct{ Filename string } }
	err = errors.Join(json.NewDecoder(resp.Body).Decode(&page), resp.Body.Close())
	order := map[string]int{}
	for i, f := range page.Files {
		order[f.Filename] = i
	}
	return order, err
}

func (t truth) wrong(format string, args ...any) {
	*t.problems = append(*t.problems, t.project.Name+": "+fmt.Sprintf(format, args...))
}

// equal holds what the farm has to what it should have.
func equal[T comparable](t truth, what string, got, want T) {
	if got != want {
		t.wrong("%s is %v, want %v", what, got, want)
	}
}

func (t truth) check() {
	p, k := t.project, t.known
	equal(t, "status", k.Status, p.Status)
	equal(t, "reason of the status", k.StatusReason, p.Reason)
	equal(t, "serial", k.Serial, p.Serial)
	equal(t, "followed", k.Followed, true)
	if pep.NormalizeName(k.Display) != p.Name || !t.forgot && k.Display != p.Display {
		t.wrong("shown as %q, want %q", k.Display, p.Display)
	}
	had := map[string]store.KnownRelease{}
	for _, r := range k.Releases {
		key := releaseKey(r.Version)
		if _, twice := had[key]; twice {
			t.wrong("%s is there twice", r.Version)
		}
		had[key] = r
	}
	if p.Status == pypitest.StatusQuarantined { // what was there is still there, and nothing is built
		for _, r := range had {
			t.jobs(r, "", farm.Candidate{Quarantined: true, QuarantineReason: p.Reason})
		}
		return
	}
	for _, r := range p.Releases {
		key := releaseKey(r.Version)
		got, ok := had[key]
		delete(had, key)
		visible := slices.DeleteFunc(slices.Clone(r.Files), func(f pypitest.FileState) bool { return f.Hidden })
		if len(visible) == 0 { // what is withheld may be kept, and nothing is built
			t.unbuilt(got)
			continue
		}
		if !ok {
			t.wrong("release %s is missing", r.Version)
			continue
		}
		if len(visible) == 0 && got.Quarantined { // as it was when it was last seen, and nothing is built
			t.jobs(got, "release "+r.Version+": ", farm.Candidate{Quarantined: true})
			continue
		}
		t.release(r, visible, got)
	}
	for _, r := range had {
		if !r.Quarantined || !t.deaf { // else its removal is an event that nobody heard
			t.wrong("release %s is not upstream", r.Version)
		}
	}
}

// release holds the facts of one release, by its files on the page.
func (t truth) release(r pypitest.ReleaseState, visible []pypitest.FileState, got store.KnownRelease) {
	files := slices.DeleteFunc(slices.Clone(visible), func(f pypitest.FileState) bool { return r.Legacy || !f.Sdist && !f.Wheel })
	slices.SortFunc(files, func(a, b pypitest.FileState) int { return cmp.Compare(t.order[a.Filename], t.order[b.Filename]) })
	var sdist pypitest.FileState
	var uploaded time.Time
	yanked, reason := len(files) > 0, ""
	for _, f := range files {
		yanked = yanked && f.Yanked
		reason = cmp.Or(reason, f.YankReason)
		if f.Sdist && (sdist.Filename == "" || !f.Yanked || sdist.Yanked) {
			sdist = f
		}
		if uploaded.IsZero() || f.Uploaded.Before(uploaded) {
			uploaded = f.Uploaded
		}
	}
	if i := slices.IndexFunc(files, func(f pypitest.FileState) bool { return f.Filename == got.Sdist.Filename }); i >= 0 && t.spelledTwice(sdist, files[i]) {
		sdist = files[i]
	}
	if !yanked {
		reason = ""
	}
	python := sdist.RequiresPython
	for _, f := range files {
		if sdist.Filename == "" {
			python = cmp.Or(python, f.RequiresPython)
		}
	}
	at := "release " + r.Version + ": "
	equal(t, at+"held back", got.Quarantined, false)
	equal(t, at+"yanked", got.Yanked, yanked)
	equal(t, at+"why yanked", got.YankReason, reason)
	equal(t, at+"requires-python", got.RequiresPython, python)
	equal(t, at+"sdist", got.Sdist.Filename, sdist.Filename)
	equal(t, at+"size of the sdist", got.Sdist.Size, int64(sdist.Size))
	equal(t, at+"hash of the sdist", got.Sdist.SHA256, sdist.SHA256)
	if len(files) > 0 && !got.Released.Equal(uploaded) {
		t.wrong("%sreleased at %s, want %s", at, got.Released, uploaded)
	}
	if !slices.Contains(append(r.Raw, r.Version), got.Raw) || sdist.Filename != "" && got.Raw != sdist.Raw {
		t.wrong("%swritten as %q, want %q of %q", at, got.Raw, sdist.Raw, r.Raw)
	}
	equal(t, at+"wheels", got.Wheels, tagsOf(files, yanked, python))
	t.jobs(got, at, farm.Candidate{
		HasSdist: sdist.Filename != "", RequiresPython: python, Yanked: yanked, YankReason: reason,
		New: storyPolicy().IsNew(got.Released, time.Now()),
	})
}

// spelledTwice says that the farm may have taken either sdist: they are of one version spelled in two ways, and while
// the pages were away the farm went by the details, which do not tell the order of those on the page.
func (t truth) spelledTwice(best, had pypitest.FileState) bool {
	pagesAway := slices.ContainsFunc(t.told, func(line string) bool { return strings.Contains(line, " break /simple/") })
	return pagesAway && best.Sdist && had.Sdist && best.Raw != had.Raw && best.Yanked == had.Yanked
}

// unbuilt wants no job of a release to be one that is to be built.
func (t truth) unbuilt(r store.KnownRelease) {
	for _, j := range r.Jobs {
		if j.State != farm.Skipped || j.Why != farm.WhyQuarantined && j.Why != farm.WhyNoSdist && j.Why != farm.WhyLegacy {
			t.wrong("release %s has no files to see, and a job is %+v", r.Version, planned(&j))
		}
	}
}

// tagsOf are the tags of wheels as the farm notes them.
func tagsOf(files []pypitest.FileState, yanked bool, python string) string {
	var tags []string
	for _, f := range files {
		parts := strings.Split(strings.TrimSuffix(f.Filename, ".whl"), "-")
		if f.Wheel && (yanked || !f.Yanked) && (f.RequiresPython == "" || f.RequiresPython == python) {
			tags = append(tags, strings.Join(parts[len(parts)-3:], "-"))
		}
	}
	slices.Sort(tags)
	return strings.Join(slices.Compact(tags), " ")
}

// jobs holds the jobs of a release to the policy, which knows of no other moment
// than this.
func (t truth) jobs(r store.KnownRelease, at string, c farm.Candidate) {
	var cells []farm.Cell
	for i, target := range t.targets {
		one := c
		one.Version = r.Version
		one.TargetPython = cmp.Or(target.Facts.Python, target.Target.Python())
		if c.Quarantined {
			one.HasSdist, one.RequiresPython = r.Sdist.Filename != "", r.RequiresPython
		}
		one.UpstreamWheel = newTaker(target).choice(r.Wheels)
		cells = append(cells, farm.Cell{
			Target: target.ID, Name: target.Target.String(), Rank: i, Verdict: farm.Decide(one, storyPolicy()),
		})
	}
	equal(t, at+"number of jobs", len(r.Jobs), len(cells))
	for i, want := range farm.Plan(cells) {
		n := slices.IndexFunc(r.Jobs, func(j store.KnownJob) bool { return j.Target == cells[i].Target })
		if n < 0 {
			t.wrong("%sno job on %s", at, cells[i].Name)
			continue
		}
		if got := planned(&r.Jobs[n]); got != want && !(c.Quarantined && got.State == want.State && got.Why == want.Why) {
			t.wrong("%sjob on %s is %+v, want %+v", at, cells[i].Name, got, want)
		}
	}
}
