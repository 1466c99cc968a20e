package store_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// TestFailures: groups with their counts, share, trend and example.
func TestFailures(t *testing.T) {
	t.Parallel()
	w := failures(t) // four failed, 100 to 70 hours ago
	w.add("good", "1.0")
	w.built("a", "good", "good-1.0-py3-none-any.whl")
	w.must(w.exec(`update jobs set changed_at = now() - interval '9 days 1 hour' where cause = 'python-syntax'`))
	w.must(w.exec(`update jobs set changed_at = now() - interval '40 days' where detail = 'libxml/parser.h'`))

	got, err := w.Failures(t.Context(), store.Selector{}, 2)
	w.must(err)
	on := map[string]int64{target.String(): 2}
	want := store.Failures{Schema: 1, Failed: 4, Ended: 5, Week: 2, Before: 1, Others: 1,
		Days: []int64{0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0},
		Groups: []store.FailureGroup{
			{Cause: farm.MissingHeader, Detail: "ffi.h", Hint: "apt: libffi-dev", Jobs: 2, Share: 0.4, Week: 2,
				Days: []int64{0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0}, Targets: on,
				Example: store.FailureExample{Package: "ffi", Version: "1.0", Target: target.String(), Build: 4}},
			{Cause: farm.MissingHeader, Detail: "libxml/parser.h", Jobs: 1, Share: 0.2,
				Days: make([]int64, 14), Targets: map[string]int64{target.String(): 1},
				Example: store.FailureExample{Package: "lxml", Version: "1.0", Target: target.String(), Build: 2}},
		}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(store.FailureExample{}, "At")); diff != "" {
		t.Error(diff)
	}
	for what, c := range map[string]struct {
		sel           store.Selector
		failed, ended int64
		groups        int
	}{
		"a package":       {store.Selector{Package: "old"}, 1, 1, 1},
		"a cause":         {store.Selector{Cause: farm.MissingHeader}, 3, 5, 2},
		"a target":        {store.Selector{Target: target.String()}, 4, 5, 3},
		"another target":  {store.Selector{Target: "cp39-linux_armv7l"}, 0, 0, 0},
		"one that works":  {store.Selector{Package: "good"}, 0, 1, 0},
		"one and a cause": {store.Selector{Package: "ffi", Cause: farm.PythonSyntax}, 0, 1, 0},
	} {
		got, err := w.Failures(t.Context(), c.sel, 10)
		w.must(err)
		if got.Failed != c.failed || got.Ended != c.ended || len(got.Groups) != c.groups {
			t.Errorf("%s: %+v", what, got)
		}
	}
}
