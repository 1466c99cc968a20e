package farm

import (
	"testing"

	"pinwheel/internal/pep"
)

func requirement(t testing.TB, s string) (r pep.Requirement) {
	t.Helper()
	if s == "" {
		return r
	}
	r, err := pep.ParseRequirement(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestBringer: who waits for whom, and whether a wheel may come of it. The job that
// asks is number 1, on target 1, and wants b.
func TestBringer(t *testing.T) {
	t.Parallel()
	type job struct {
		id, target, release int64
		version             string
		state               State
		waits               int64
		lacks               string
	}
	cases := []struct {
		name  string
		wants string
		open  map[string][]job
		want  int64 // the job that is waited for in the end; 0: none
	}{
		{"nothing is known of it", "b", nil, 0},
		{"queued", "b", map[string][]job{"b": {{10, 1, 1, "1.0", Queued, 0, ""}}}, 10},
		{"leased", "b==1.0", map[string][]job{"b": {{10, 1, 1, "1.0", Leased, 0, ""}}}, 10},
		{"another version", "b==2.0", map[string][]job{"b": {{10, 1, 1, "1.0", Queued, 0, ""}}}, 0},
		{"the right one of two", "b>1", map[string][]job{"b": {{10, 1, 1, "1.0", Queued, 0, ""}, {11, 1, 2, "1.1", Queued, 0, ""}}}, 11},
		{"another target", "b", map[string][]job{"b": {{10, 2, 1, "1.0", Queued, 0, ""}}}, 0},
		{"a lower target builds first", "b", map[string][]job{"b": {{10, 1, 1, "1.0", Waiting, 2, ""}, {11, 2, 1, "1.0", Leased, 0, ""}}}, 11},
		{"a lower target that has ended", "b", map[string][]job{"b": {{10, 1, 1, "1.0", Waiting, 2, ""}}}, 0},
		{"itself", "a", map[string][]job{"a": {{1, 1, 1, "1.0", Leased, 0, ""}}}, 0},
		{"another version of itself", "a", map[string][]job{"a": {{1, 1, 1, "1.0", Leased, 0, ""}, {2, 1, 2, "0.9", Queued, 0, ""}}}, 2},
		{"a chain", "b", map[string][]job{"b": {{10, 1, 1, "1.0", Waiting, 0, "c"}}, "c": {{20, 1, 1, "1.0", Queued, 0, ""}}}, 20},
		{"two that wait for each other", "b", map[string][]job{"b": {{10, 1, 1, "1.0", Waiting, 0, "a"}}, "a": {{1, 1, 1, "1.0", Leased, 0, ""}}}, 0},
		{"three", "b", map[string][]job{"b": {{10, 1, 1, "1.0", Waiting, 0, "c"}}, "c": {{20, 1, 1, "1.0", Waiting, 0, "a"}},
			"a": {{1, 1, 1, "1.0", Leased, 0, ""}}}, 0},
		{"a ring that does not hold us", "b", map[string][]job{"b": {{10, 1, 1, "1.0", Waiting, 0, "c"}}, "c": {{20, 1, 1, "1.0", Waiting, 0, "b"}}}, 0},
		{"a ring with a way out", "b", map[string][]job{"b": {{10, 1, 1, "1.0", Waiting, 0, "a"}},
			"a": {{1, 1, 1, "1.0", Leased, 0, ""}, {2, 1, 2, "0.9", Queued, 0, ""}}}, 2},
		{"over targets and back", "b", map[string][]job{"b": {{10, 1, 1, "1.0", Waiting, 2, ""}, {11, 2, 1, "1.0", Waiting, 0, "a"}},
			"a": {{1, 1, 1, "1.0", Leased, 0, ""}, {2, 2, 1, "1.0", Waiting, 1, ""}}}, 0},
	}
	for _, c := range cases {
		open := func(name string) (out []OpenJob, _ error) {
			for _, j := range c.open[name] {
				out = append(out, OpenJob{ID: j.id, Target: j.target, Release: j.release, Version: j.version, State: j.state,
					Waits: j.waits, Lacks: requirement(t, j.lacks)})
			}
			return out, nil
		}
		got, ok, err := Bringer(requirement(t, c.wants), 1, 1, open)
		if err != nil || ok != (c.want != 0) || got.ID != c.want {
			t.Errorf("%s: job %d (%v, %v), want %d", c.name, got.ID, ok, err, c.want)
		}
	}
}
