package architecture

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
	"pinwheel/sql"
)

// TestStatesOfTheDocument holds the table of states to farm's legal moves; the
// schema's CHECKs are held to them in package store, where a Postgres is.
func TestStatesOfTheDocument(t *testing.T) {
	t.Parallel()
	got := map[string][]string{}
	for _, row := range tableUnder(t, statesDoc, "Of a job") {
		moves := quoted(row[2])
		slices.Sort(moves)
		got[quoted(row[0])[0]] = moves
	}
	want := map[string][]string{}
	for _, from := range farm.States() {
		var moves []string
		for _, to := range farm.States() {
			if farm.CanMove(from, to) {
				moves = append(moves, string(to))
			}
		}
		slices.Sort(moves)
		want[string(from)] = moves
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s, \"Of a job\" differs from package farm (-farm +document):\n%s", statesDoc, diff)
	}
}

var migration = regexp.MustCompile(`^([0-9]{4})_[a-z0-9_]+\.sql$`)

// TestMigrationsAreNumbered wants them without a gap: two people who both add
// the next one must notice.
func TestMigrationsAreNumbered(t *testing.T) {
	t.Parallel()
	for i, name := range migrations(t) {
		if m := migration.FindStringSubmatch(name); m == nil || m[1] != fmt.Sprintf("%04d", i+1) {
			t.Errorf("sql/%s: want a name that begins with %s_", name, fmt.Sprintf("%04d", i+1))
		}
	}
}

func migrations(t *testing.T) []string {
	t.Helper()
	names, err := fs.Glob(sql.FS, "*.sql")
	if err != nil || len(names) == 0 {
		t.Fatalf("list migrations: %v, %d found", err, len(names))
	}
	return names
}
