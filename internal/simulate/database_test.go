package simulate

import (
	"context"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// lowest to highest; slaves build for all three.
func targets() []farm.Target {
	var all []farm.Target
	for _, abi := range []string{"cp39", "cp311", "cp313"} {
		all = append(all, farm.Target{ABI: abi, Platform: "linux_armv7l"})
	}
	return all
}

// clock is the time of a simulated farm. Its database asks it for now(): a schema
// before pg_catalog in the search path has a function of that name.
type clock struct {
	conn *pgx.Conn
	last time.Time
}

// The server's own function that reads a sequence is said to be volatile, and would keep
// now() from being what a plan may rely on within a statement. Under another name it is
// stable, and now() is put in its place in every statement: it costs no call.
const makeClock = `
create schema simulated;
create sequence simulated.clock;
create function simulated.ticks(regclass) returns bigint language internal stable strict as 'pg_sequence_last_value';
create function simulated.now() returns timestamptz language sql stable as
    $$ select to_timestamp(simulated.ticks('simulated.clock'::regclass)::double precision / 1000000) $$;
create function simulated.clock_timestamp() returns timestamptz language sql stable as
    $$ select to_timestamp(simulated.ticks('simulated.clock'::regclass)::double precision / 1000000) $$;`

// newClock puts a clock into an empty database. The URL that it returns is that of
// the database with the clock; what is made there has it in its defaults too.
func newClock(t testing.TB, dsn string, began time.Time) (*clock, string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	must(t, err)
	t.Cleanup(func() { conn.Close(context.Background()) })
	_, err = conn.Exec(t.Context(), makeClock)
	must(t, err)
	// The clock is not what is to be durable here.
	_, err = conn.Exec(t.Context(), `set synchronous_commit = off`)
	must(t, err)
	c := &clock{conn: conn}
	must(t, c.set(t.Context(), began))
	u, err := url.Parse(dsn)
	must(t, err)
	query := u.Query()
	query.Set("search_path", "simulated,pg_catalog")
	u.RawQuery = query.Encode()
	return c, u.String()
}

// set moves the clock on; it never goes back.
func (c *clock) set(ctx context.Context, now time.Time) error {
	if !now.After(c.last) {
		return nil
	}
	c.last = now
	_, err := c.conn.Exec(ctx, `select setval('simulated.clock', $1)`, now.UnixMicro())
	return err
}

// fill makes the rows that a farm has which has read its upstream and built nothing:
// every version queued on the lowest target, and waiting for that on the others. The
// numbers of the rows are those of the world.
func fill(t testing.TB, dsn string, w *world) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	must(t, err)
	defer conn.Close(context.Background())
	for _, q := range []string{
		fmt.Sprintf(`insert into packages (id, name, display) overriding system value
			select i, 'p' || i, 'p' || i from generate_series(1, %d) i`, w.projects()),
		`alter table releases disable trigger all`,
	} {
		_, err = conn.Exec(t.Context(), q)
		must(t, err)
	}
	ages := w.ages()
	_, err = conn.CopyFrom(t.Context(), pgx.Identifier{"releases"},
		[]string{"id", "package_id", "version", "raw", "released_at", "sdist_filename", "sdist_url", "sdist_sha256"},
		pgx.CopyFromSlice(w.versions, func(i int) ([]any, error) {
			name := fmt.Sprintf("p%d-1.%d.tar.gz", w.owner[i]+1, i)
			version := fmt.Sprintf("1.%d", i)
			return []any{int64(i + 1), int64(w.owner[i] + 1), version, version, ages[i], name, "http://index.example/" + name, noSum}, nil
		}))
	must(t, err)
	for _, q := range []string{
		`alter table releases enable trigger all`,
		`set session_replication_role = replica`, // foreign keys hold by construction
		`insert into jobs (release_id, package_id, target_id, state, why, reason, waits_target_id, released_at, rank)
			select r.id, r.package_id, t.id, case when lowest then 'queued' else 'waiting' end,
				case when lowest then '' else 'lower-target' end, case when lowest then '' else 'the lowest builds first' end,
				case when lowest then null else first end, r.released_at, -(extract(epoch from r.released_at) * 1000)::bigint
			from releases r cross join (
				select id, first_value(id) over (order by rank) as first, rank = min(rank) over () as lowest from targets) t
			order by r.id, t.id`,
		// Not what is empty: that it is so is nothing to plan by.
		`analyze packages, releases, jobs, targets`, `checkpoint`,
	} {
		if _, err := conn.Exec(t.Context(), q); err != nil {
			t.Fatalf("%.60s: %v", q, err)
		}
	}
}

const noSum = "0000000000000000000000000000000000000000000000000000000000000000"

// ages are the times of the versions: a project's lie between two moments of ten
// years, in order.
func (w *world) ages() []time.Time {
	const long = 10 * 365 * 24 * time.Hour
	out := make([]time.Time, w.versions)
	for i := 0; i < w.versions; {
		n := 1
		for i+n < w.versions && w.owner[i+n] == w.owner[i] {
			n++
		}
		r := w.draw(drawAge, int64(w.owner[i]))
		began := time.Duration(r.Int64N(int64(long)))
		step := time.Duration(r.Int64N(int64(long-began)+1)) / time.Duration(n)
		for k := range n {
			out[i+k] = epoch().Add(-long + began + step*time.Duration(k))
		}
		i += n
	}
	return out
}

// epoch is when the simulation begins.
func epoch() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// prepare makes the farm's schema, targets, rows and slaves.
func prepare(t testing.TB, dsn string, w *world, slaves int) *store.Store {
	t.Helper()
	_, _, err := store.Migrate(t.Context(), dsn)
	must(t, err)
	s, err := store.Open(t.Context(), dsn)
	must(t, err)
	t.Cleanup(s.Close)
	for _, target := range targets() {
		must(t, s.AddTarget(t.Context(), target, farm.Facts{}, "simulation"))
	}
	for i := range slaves {
		must(t, s.EnrollSlave(t.Context(), slaveName(i), farm.RoleSlave, fmt.Sprint("key-", i), "test"))
	}
	fill(t, dsn, w)
	return s
}

func slaveName(i int) string { return fmt.Sprintf("pi%d", i+1) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
