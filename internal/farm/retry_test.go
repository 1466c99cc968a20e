package farm

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRetries is the policy by cause, as a table: what becomes of the first failure
// of a kind, and of the last that is tried again.
func TestRetries(t *testing.T) {
	t.Parallel()
	const gb = 1 << 30
	pi := Bench{Memory: 1 * gb, Others: true, Largest: 4 * gb}
	alone := Bench{Memory: 1 * gb, Largest: 1 * gb}
	half := 30 * time.Minute
	cases := []struct {
		cause  Cause
		detail string
		tried  Tried
		bench  Bench
		want   string
	}{
		{SlaveFault, "", Tried{}, pi, "elsewhere after 10s, not there"},
		{SlaveFault, "", Tried{Faults: 1}, pi, "elsewhere after 40s, not there"},
		{SlaveFault, "", Tried{Faults: 3}, pi, "elsewhere after 10m40s, not there"},
		{SlaveFault, "", Tried{Faults: 4}, pi, "never: slave-fault"},
		{SlaveFault, "", Tried{}, alone, "elsewhere after 10s"},
		{SlaveFault, "", Tried{Timeouts: 9, MemoryOuts: 9}, pi, "elsewhere after 10s, not there"},
		{Disk, "", Tried{Faults: 3}, pi, "elsewhere after 10m40s, not there"},
		{Disk, "", Tried{Faults: 4}, pi, "never: disk"},
		{Disk, OverLimit + "of 10 GB", Tried{}, pi, "never: disk"},
		{Network, "", Tried{Faults: 1}, pi, "elsewhere after 40s, not there"},
		{Network, "", Tried{Faults: 2}, pi, "never: network"},
		{Network, "github.example", Tried{}, pi, "elsewhere after 10s, not there"}, // as a log says
		{Network, "github.example", Tried{Refused: true}, pi, "never: network"},
		{Network, RefusedByFence + ": github.example:443", Tried{}, pi, "never: network"},
		{UpstreamFault, "files.example: HTTP 503", Tried{Refused: true}, pi, "elsewhere after 10s"},
		{UpstreamFault, "", Tried{}, pi, "elsewhere after 10s"},
		{UpstreamFault, "", Tried{Faults: 6}, pi, "elsewhere after 2h0m0s"},
		{UpstreamFault, "", Tried{Faults: 7}, pi, "never: upstream-fault"},

		{Timeout, "", Tried{TimeLimit: half}, pi, "last, with 3h0m0s"},
		{Timeout, "", Tried{TimeLimit: half, Timeouts: 1}, pi, "never: timeout"},
		{Timeout, "", Tried{TimeLimit: 3 * time.Hour}, pi, "never: timeout"}, // a recipe gave it as much
		{Timeout, "", Tried{TimeLimit: half, Faults: 9}, pi, "last, with 3h0m0s"},
		{Timeout, "", Tried{}, pi, "last, with 3h0m0s"},

		{OutOfMemory, "", Tried{}, pi, "bigger: 1280 MB"},
		{OutOfMemory, "", Tried{Peak: 2 * gb}, pi, "bigger: 2304 MB"}, // it swapped
		{OutOfMemory, "", Tried{MemoryOuts: 1}, pi,
			"never: out-of-memory (a slave with at least 1.2 GB of memory; the largest that is live has 4 GB)"},
		{OutOfMemory, "", Tried{}, alone,
			"never: out-of-memory (a slave with at least 1.2 GB of memory; the largest that is live has 1 GB)"},
		{OutOfMemory, "", Tried{}, Bench{Others: true}, "elsewhere after 0s, not there"},
		{OutOfMemory, "", Tried{MemoryOuts: 1}, Bench{Others: true},
			"never: out-of-memory (a slave with at least 0.25 GB of memory; the largest that is live has 0 GB)"},

		{BuildRequirement, "NumPy==1.19.5", Tried{}, pi, "with numpy==1.19.5, else build-requirement"},
		{BuildRequirement, "numpy", Tried{}, pi, "with numpy, else build-requirement"},
		{BuildRequirement, "build requirements conflict", Tried{}, pi, "never: build-requirement"},
	}
	told := map[Cause]bool{}
	for _, c := range cases {
		told[c.cause] = true
		f := Failure{Cause: c.cause, Detail: c.detail}
		got := said(DecideRetry(f, c.tried, c.bench, RetryPolicy{}, 0.5))
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s %q after %+v on %+v:\n%s", c.cause, c.detail, c.tried, c.bench, diff)
		}
	}
	// All others are the package's, at the first failure.
	for _, cause := range Causes() {
		if told[cause] {
			continue
		}
		if got, want := said(DecideRetry(Failure{Cause: cause}, Tried{}, pi, RetryPolicy{}, 0)), "never: "+string(cause); got != want {
			t.Errorf("%s: %s, want %s", cause, got, want)
		}
	}
}

// TestRetriesOfTime: a second try has more time than the first had, be that by a recipe or
// as every build on the farm, or there is none.
func TestRetriesOfTime(t *testing.T) {
	t.Parallel()
	const again, never = "last, with 3h0m0s", "never: timeout"
	for _, c := range []struct {
		what   string
		tried  Tried
		policy RetryPolicy
		want   string
	}{
		{"the farm gives less", Tried{}, RetryPolicy{BuildTimeout: 2 * time.Hour}, again},
		{"the farm gives as much", Tried{}, RetryPolicy{BuildTimeout: 3 * time.Hour}, never},
		{"the farm gives more", Tried{}, RetryPolicy{BuildTimeout: 4 * time.Hour}, never},
		{"the farm gives more, and the recipe less", Tried{TimeLimit: time.Hour}, RetryPolicy{BuildTimeout: 4 * time.Hour}, again},
		{"the farm gives less, and the recipe more", Tried{TimeLimit: 4 * time.Hour}, RetryPolicy{BuildTimeout: time.Hour}, never},
		{"the second limit is the first", Tried{}, RetryPolicy{BuildTimeout: time.Minute, LongTimeout: time.Minute}, never},
	} {
		if got := said(DecideRetry(Failure{Cause: Timeout}, c.tried, Bench{}, c.policy, 0.5)); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}

// TestRetriesOfLimits: what a limit of memory ended and not the machine is tried with a
// wider one, if it is the recipe's, and not at all if it is the farm's.
func TestRetriesOfLimits(t *testing.T) {
	t.Parallel()
	const gb = 1 << 30
	pis := Bench{Memory: 8 * gb, Others: true, Largest: 8 * gb}
	farms := RetryPolicy{BuildMemory: 2 * gb}
	const never = "never: out-of-memory "
	for _, c := range []struct {
		what, detail string
		tried        Tried
		bench        Bench
		policy       RetryPolicy
		want         string
	}{
		{"a recipe's limit is doubled", OverLimit + "of 1.0 GB", Tried{Memory: gb}, pis, farms, "bigger: 2048 MB"},
		{"or more, where it took more", "MemoryError", Tried{Memory: gb, Peak: 3 * gb}, pis, farms, "bigger: 3328 MB"},
		{"as far as there is", OverLimit + "of 5.0 GB", Tried{Memory: 5 * gb}, pis, farms, "bigger: 8192 MB"},
		{"also on the same slave", OverLimit + "of 1.0 GB", Tried{Memory: gb}, Bench{Memory: 8 * gb}, farms, "bigger: 2048 MB"},
		{"of a liar, as far as others have", "MemoryError", Tried{Memory: gb, Peak: 1 << 60}, Bench{Memory: 1 << 60, Others: true, Largest: 4 * gb}, farms,
			"bigger: 4096 MB"},
		{"of a liar, not further than twice where others have less", "MemoryError", Tried{Memory: 4 * gb, Peak: 1 << 60},
			Bench{Memory: 1 << 60, Others: true, Largest: 4 * gb}, farms, "bigger: 8192 MB"},
		{"of a liar alone", "MemoryError", Tried{Memory: gb, Peak: 1 << 60}, Bench{Memory: 1 << 60}, farms, "bigger: 2048 MB"},
		{"once", OverLimit + "of 1.0 GB", Tried{Memory: gb, MemoryOuts: 1}, pis, farms,
			never + "(a recipe with more memory than 1 GB; the largest slave that is live has 8 GB)"},
		{"not where no slave has more", OverLimit + "of 8.0 GB", Tried{Memory: 8 * gb}, pis, farms,
			never + "(a recipe with more memory than 8 GB; the largest slave that is live has 8 GB)"},
		{"the farm's is the same everywhere", OverLimit + "of 2.0 GB", Tried{}, Bench{Memory: 8 * gb, Others: true, Largest: 32 * gb}, farms,
			never + "(a recipe with at least 2.2 GB of memory; without one a build may have 2 GB)"},
		{"in whatever words", "MemoryError", Tried{Peak: 3 * gb}, Bench{Memory: 8 * gb, Others: true, Largest: 32 * gb}, farms,
			never + "(a recipe with at least 3.2 GB of memory; without one a build may have 2 GB)"},
		{"also of a slave that does not tell what it has", OverLimit + "of 2.0 GB", Tried{}, Bench{Others: true}, farms,
			never + "(a recipe with at least 2.2 GB of memory; without one a build may have 2 GB)"},
		{"unless the machine was smaller", "", Tried{}, Bench{Memory: gb, Others: true, Largest: 8 * gb}, farms, "bigger: 1280 MB"},
	} {
		if got := said(DecideRetry(Failure{Cause: OutOfMemory, Detail: c.detail}, c.tried, c.bench, c.policy, 0.5)); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}

func said(r Retry) string {
	s := string(r.Again)
	switch r.Again {
	case AgainElsewhere:
		s += fmt.Sprintf(" after %s", r.After)
		if r.Avoid {
			s += ", not there"
		}
	case AgainLast:
		s += fmt.Sprintf(", with %s", r.TimeLimit)
	case AgainBigger:
		s += fmt.Sprintf(": %d MB", r.NeedsMemory>>20)
	case AgainWith:
		s += fmt.Sprintf(" %s, else %s", r.Requirement, r.Failure.Cause)
	case AgainNever:
		s += ": " + string(r.Failure.Cause)
		if r.Failure.Hint != "" {
			s += " (" + r.Failure.Hint + ")"
		}
	}
	return s
}

// TestRetryPausesComeApart: jobs that failed in one moment are not tried in one.
func TestRetryPausesComeApart(t *testing.T) {
	t.Parallel()
	f := Failure{Cause: UpstreamFault}
	for faults := range 7 {
		least := DecideRetry(f, Tried{Faults: faults}, Bench{}, RetryPolicy{}, 0).After
		most := DecideRetry(f, Tried{Faults: faults}, Bench{}, RetryPolicy{}, 1).After
		if least <= 0 || most*3 != least*5 {
			t.Errorf("after %d faults from %s to %s", faults, least, most)
		}
	}
}

// TestWhoseFault: every failure is somebody's.
func TestWhoseFault(t *testing.T) {
	t.Parallel()
	got := map[string][]Cause{}
	for _, c := range Causes() {
		switch {
		case c.OwnFault():
			got["slave"] = append(got["slave"], c)
		case !c.PackageFault():
			got["nobody here"] = append(got["nobody here"], c)
		case !c.EndsByItself():
			got["limits"] = append(got["limits"], c)
		}
	}
	want := map[string][]Cause{
		"slave": {Disk, SlaveFault}, "nobody here": {Network, SlaveLost, UpstreamFault},
		"limits": {OutOfMemory, Timeout},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
