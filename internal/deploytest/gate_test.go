package deploytest

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// gate is a server that keeps builds waiting for as long as a test wants.
type gate struct {
	*httptest.Server
	asked chan struct{}
	open  func()
}

func newGate(t *testing.T) *gate {
	t.Helper()
	opened := make(chan struct{})
	g := &gate{asked: make(chan struct{}, 10), open: sync.OnceFunc(func() { close(opened) })}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.asked <- struct{}{}
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			_, _ = w.Write([]byte(".")) // who hears something does not give up
			_ = http.NewResponseController(w).Flush()
			select {
			case <-opened:
				return
			case <-r.Context().Done():
				return
			case <-tick.C:
			}
		}
	}))
	t.Cleanup(func() { g.open(); g.CloseClientConnections(); g.Close() })
	return g
}

// leases counts the rows of the ledger of leases, by version.
func leases(t *testing.T, dsn string) map[string]int {
	t.Helper()
	db, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	rows, err := db.Query(t.Context(), `select r.version, count(*) from builds b join jobs j on j.id = b.job_id
		join releases r on r.id = j.release_id
		group by r.version`)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	var version string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&version, &n}, func() error { got[version] = n; return nil }); err != nil {
		t.Fatal(err)
	}
	return got
}
