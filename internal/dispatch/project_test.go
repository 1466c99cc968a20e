package dispatch

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/store"
	"pinwheel/internal/storetest"
)

// TestProjectLeases: a project gets as many leases at once as it may have, then the
// others have their turn, and what ends makes room.
func TestProjectLeases(t *testing.T) {
	t.Parallel()
	for most, want := range map[int]string{
		0: "large large large large small -, large", // the default
		2: "large large small - - -, large",
	} {
		w := newWorld(t, func(c *Config) { c.ProjectLeases = most })
		w.poll = time.Millisecond
		var releases []store.ReleaseFacts
		for i := range 6 {
			v := fmt.Sprintf("%d.0", i)
			releases = append(releases, store.ReleaseFacts{Version: v, Raw: v})
		}
		storetest.Release(t, w.Store, "small", young(), store.ReleaseFacts{Version: "1.0", Raw: "1.0", Released: time.Unix(1, 0)})
		storetest.Release(t, w.Store, "large", young(), releases...)
		var got []string
		ask := func(request string) string {
			if l := w.ask("a", request); l != nil {
				return l.Package
			}
			return "-"
		}
		for i := range 6 {
			got = append(got, ask(fmt.Sprint(i)))
		}
		w.Exec(`update jobs set state = 'failed', cause = 'unknown', lease_token = null, lease_slave_id = null, lease_deadline = null
where id = (select min(j.id) from jobs j join packages p on p.id = j.package_id where p.name = 'large' and j.state = 'leased')`)
		if all := strings.Join(got, " ") + ", " + ask("next"); all != want {
			t.Errorf("with %d: %s, want %s", most, all, want)
		}
	}
}
