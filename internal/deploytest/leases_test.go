package deploytest

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

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
