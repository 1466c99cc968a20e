package storetest

import (
	"testing"

	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/store"
)

// releaseTries is how often Release looks again at a project that something else
// (a publisher that runs, mostly) changed after it had looked.
const releaseTries = 10

// Release makes the farm agree that a project, named as its owner spells it, has
// these releases, among others, each with a queued job of the backlog on the target;
// a job that exists stays as it is.
func Release(t testing.TB, st *store.Store, display string, target farm.Target, releases ...store.ReleaseFacts) {
	t.Helper()
	id := idOf(t, st, target)
	for range releaseTries {
		out, err := st.Agree(t.Context(), []store.Agreement{agreement(t, st, display, id, releases)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Changed) == 0 {
			return
		}
	}
	t.Fatalf("%s changed each of %d times while its releases were added", display, releaseTries)
}

// agreement is what makes the project, as it is known now, have the releases.
func agreement(t testing.TB, st *store.Store, display string, id int64, releases []store.ReleaseFacts) store.Agreement {
	t.Helper()
	name := pep.NormalizeName(display)
	known, err := st.KnownProjects(t.Context(), []string{name})
	if err != nil {
		t.Fatal(err)
	}
	k := known[name]
	k.Name, k.Display = name, display
	a := store.Agreement{Known: k, Facts: k.ProjectFacts}
	plan := store.Planned{State: farm.Queued, Priority: farm.PriorityBacklog}
	for _, facts := range releases {
		was, ok := find(k, facts.Version)
		if !ok {
			a.Add = append(a.Add, store.NewRelease{ReleaseFacts: facts, Jobs: []store.NewJob{{Target: id, Planned: plan}}})
			continue
		}
		a.Update = append(a.Update, store.KnownRelease{ID: was.ID, ReleaseFacts: facts})
		if !hasJob(was, id) {
			a.AddJobs = append(a.AddJobs, store.NewJob{Release: was.ID, Target: id, Planned: plan})
		}
	}
	return a
}

func idOf(t testing.TB, st *store.Store, target farm.Target) int64 {
	t.Helper()
	rows, err := st.Targets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.Target == target {
			return r.ID
		}
	}
	t.Fatalf("there is no target %s", target)
	return 0
}

func find(k store.Known, version string) (store.KnownRelease, bool) {
	for _, r := range k.Releases {
		if r.Version == version {
			return r, true
		}
	}
	return store.KnownRelease{}, false
}

func hasJob(r store.KnownRelease, target int64) bool {
	for _, j := range r.Jobs {
		if j.Target == target {
			return true
		}
	}
	return false
}
