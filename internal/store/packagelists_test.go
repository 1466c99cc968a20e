package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
	"pinwheel/internal/storetest"
)

// TestPackagesByTarget: what a slave has for one of its targets is no help to another.
func TestPackagesByTarget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := farm.Target{ABI: "cp39", Platform: "linux_armv7l"}
	w.must(w.AddTarget(t.Context(), old, farm.Facts{}, "test"))
	hello := func(everywhere, here, there []string) store.PackageLists {
		t.Helper()
		_, err := w.Heard(t.Context(), store.Word{Slave: w.slaves["a"], Length: time.Minute, Machine: &farm.Machine{Packages: everywhere,
			Targets: []farm.Served{{Target: target, Packages: here}, {Target: old, Packages: there}}}})
		w.must(err)
		slave, err := w.Slave(t.Context(), "a")
		w.must(err)
		lists, err := w.PackagesOf(t.Context(), slave)
		w.must(err)
		return lists
	}
	for _, c := range []struct{ everywhere, here, there, onHere, onThere []string }{
		{nil, nil, nil, nil, nil},
		{[]string{"gcc"}, nil, nil, []string{"gcc"}, []string{"gcc"}},
		{[]string{"gcc"}, []string{"cmake"}, nil, []string{"cmake", "gcc"}, []string{"gcc"}},
		{nil, []string{"cmake"}, []string{"a", "z"}, []string{"cmake"}, []string{"a", "z"}},
	} {
		lists := hello(c.everywhere, c.here, c.there)
		if diff := cmp.Diff([][]string{c.onHere, c.onThere}, [][]string{lists.On(target.String()), lists.On(old.String())}); diff != "" {
			t.Errorf("%+v (-want +got)\n%s", c, diff)
		}
	}
	hello([]string{"gcc"}, []string{"cmake"}, nil)
	w.set("*", farm.Recipe{Packages: []string{"cmake", "gcc"}})
	for _, on := range []farm.Target{target, old} {
		storetest.Release(t, w.Store, "demo", on, store.ReleaseFacts{Version: "1.0", Raw: "1.0",
			Sdist: farm.Sdist{Filename: "demo-1.0.tar.gz", URL: "http://index.example/demo", SHA256: "abc", Size: 7}})
	}
	st, err := w.Status(t.Context())
	w.must(err)
	list := st.Unserved
	if len(list) != 1 || list[0].Target != old.String() || cmp.Diff([]string{"cmake"}, list[0].Lack.Packages) != "" {
		t.Errorf("not served: %+v", list)
	}
}
