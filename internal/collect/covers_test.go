package collect

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
	"pinwheel/internal/wheel"
)

// TestCovers is which other targets need no build of their own.
func TestCovers(t *testing.T) {
	t.Parallel()
	var all []store.TargetRow // in the farm's order
	for i, name := range []string{"cp37m-linux_armv7l", "cp39-linux_armv7l", "cp311-linux_aarch64", "cp311-linux_armv7l", "cp313-linux_armv7l"} {
		target, err := farm.ParseTarget(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, store.TargetRow{ID: int64(i + 1), Target: target, Active: i != 4})
	}
	all[3].Facts.Python = "3.11.2"
	cases := []struct {
		name, tags, requires string
		want                 []int64
	}{
		{"for every platform", "py3-none-any", "", []int64{3, 4, 5}},
		{"for both Pythons", "py2-none-any py3-none-any", "", []int64{3, 4, 5}},
		{"for one platform", "py3-none-linux_armv7l", "", []int64{}},
		{"for one binary interface", "cp39-cp39-linux_armv7l", "", []int64{}},
		{"for every platform or one", "py3-none-any py3-none-linux_armv7l", "", []int64{}},
		{"for this Python only", "cp39-none-any", "", []int64{}},
		{"for this Python's generic tag", "py39-none-any", "", []int64{3, 4, 5}},
		{"with Pythons that it is not for", "py3-none-any", "<3.11", []int64{}},
		{"with one full version that it is not for", "py3-none-any", "!=3.11.2", []int64{3, 5}},
		{"with a requirement that cannot be read", "py3-none-any", "three", []int64{3, 4, 5}},
		{"without tags", "", "", []int64{}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := wheel.Report{Tags: strings.Fields(c.tags)}
			r.Metadata.RequiresPython = c.requires
			if diff := cmp.Diff(c.want, covers(all, all[1].Target, r)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestReportDecidesAboutOthers: an accepted wheel for every platform covers the
// job that waits for it, with the wheel's name as the reason; a retired target's too.
func TestReportDecidesAboutOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	next := farm.Target{ABI: "cp313", Platform: "linux_armv7l"}
	w.Must(w.Store.AddTarget(t.Context(), next, farm.Facts{}, "test"))
	lease := w.lease()
	w.Exec(`insert into jobs (release_id, target_id, state, why, reason, waits_target_id, released_at, rank)
select j.release_id, t.id, 'waiting', 'lower-target', 'r', j.target_id, j.released_at, j.rank from jobs j, targets t where t.abi = 'cp313'`)
	_, err := w.Store.RetireTarget(t.Context(), next, "test")
	w.Must(err)
	file, content := makeWheel(t, "demo", "1.0", "")
	w.wantAccepted(w.bring("a", built(lease, file, nil), content), "")
	jobs, err := w.Store.Jobs(t.Context(), store.Selector{Target: next.String()})
	w.Must(err)
	if want := "the wheel " + file.Name + " of " + target().String() + " serves this target too"; jobs[0].State != farm.Covered || jobs[0].Reason != want {
		t.Errorf("the job that waited is %s: %s", jobs[0].State, jobs[0].Reason)
	}
}
