package chaostest

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/pypitest"
	"pinwheel/internal/store"
)

// query reads a list of lines.
func query(ctx context.Context, db *pgx.Conn, q string) ([]string, error) {
	rows, err := db.Query(ctx, q)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// hurry cuts the pauses short that jobs got when they were lost, and projects when
// the upstream was away: time is what a test has least of.
func hurry(ctx context.Context, db *pgx.Conn) error {
	const q = `
with queued as (
    update jobs set not_before = now() where state = 'queued' and not_before > now() returning id
), listed as (
    update reading set not_before = now() where not taken and not_before > now() returning name
)
select pg_notify('farm_queue', '')::text from queued
union all select pg_notify('farm_reading', '')::text from listed`
	_, err := query(ctx, db, q)
	return err
}

// quiet says what is still under way, in words; none: nothing is.
func quiet(ctx context.Context, db *pgx.Conn, index pypitest.State) ([]string, error) {
	const q = `
select 'job ' || id || ', ' || package || ' ' || version || ', is ' || state from job_facts where state in ('waiting', 'queued', 'leased')
union all select 'to be read: ' || name from reading`
	open, err := query(ctx, db, q)
	if err != nil {
		return nil, err
	}
	rows, err := query(ctx, db, `select package || ' ' || version from job_facts`)
	if err != nil {
		return nil, err
	}
	for name, p := range index.Projects {
		for _, r := range p.Releases {
			held := slices.ContainsFunc(r.Files, func(f pypitest.FileState) bool { return f.Hidden })
			if !held && !slices.Contains(rows, name+" "+r.Version) {
				open = append(open, "no job for "+name+" "+r.Version)
			}
		}
	}
	for _, row := range rows {
		if name, version, _ := strings.Cut(row, " "); !has(index, name, version) {
			open = append(open, "a job for "+row+", which was removed")
		}
	}
	return open, nil
}

func has(index pypitest.State, name, version string) bool {
	p, ok := index.Projects[name]
	return ok && slices.ContainsFunc(p.Releases, func(r pypitest.ReleaseState) bool { return r.Version == version })
}

// ledger holds the rows of leases to the rule that each job ended once.
func ledger(ctx context.Context, db *pgx.Conn) ([]string, error) {
	const q = `
select 'build ' || b.id || ' of ' || j.package || ' ' || j.version || ' has no outcome'
from builds b join job_facts j on j.id = b.job_id where b.outcome is null
union all
select j.package || ' ' || j.version || ' is ' || j.state || ', with ' || count(b.id) || ' good builds'
from job_facts j left join builds b on b.job_id = j.id and b.outcome = 'built'
group by j.id, j.package, j.version, j.state having count(b.id) <> case when j.state = 'built' then 1 else 0 end
union all
select j.package || ' ' || j.version || ' is built, with ' || count(w.id) || ' wheels'
from job_facts j left join builds b on b.job_id = j.id left join wheels w on w.build_id = b.id
where j.state = 'built' group by j.id, j.package, j.version having count(w.id) <> 1
union all
select j.package || ' ' || j.version || ' has failed, and no build did'
from job_facts j where j.state = 'failed' and not exists (
    select 1 from builds b where b.job_id = j.id and b.outcome in ('failed', 'rejected', 'lost'))
union all
select filename || ' stands in no published name' from wheels where filename not in (select filename from published_names)`
	return query(ctx, db, q)
}

// failed lists the jobs that ended otherwise than their stories do, and says of
// those whose cause no trouble explains that it is so. Kinds has those that count.
func failed(jobs []store.JobRow, kinds map[[2]string]pypitest.Kind) (again []store.JobRow, wrong []string) {
	for _, j := range jobs {
		kind, known := kinds[[2]string{j.Package, j.Version}]
		if !known {
			continue
		}
		fails := kind == pypitest.Fails
		switch {
		case j.State == farm.Built && fails:
			wrong = append(wrong, fmt.Sprintf("%s %s is built, and cannot be", j.Package, j.Version))
		case j.State == farm.Failed && !(fails && j.Cause == string(farm.MissingHeader)):
			again = append(again, j)
			if farm.Cause(j.Cause).PackageFault() && j.Cause != string(farm.Disk) {
				wrong = append(wrong, fmt.Sprintf("%s %s failed as %s (%s), which counts against the package", j.Package, j.Version, j.Cause, j.Detail))
			}
		}
	}
	return again, wrong
}

// accepted is a wheel that a slave was told is the farm's now.
type accepted struct{ Wheel, SHA256 string }

// acceptedBy reads a slave's log.
func acceptedBy(log string) (list []accepted, err error) {
	f, err := os.Open(log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var line struct {
			Message, Outcome, Reason string
			accepted
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Message == "report accepted" && line.Outcome == "built" && line.Reason == "" {
			list = append(list, line.accepted)
		}
	}
	return list, nil
}

// served asks for a wheel as pip does that has its page.
func served(ctx context.Context, base string, a accepted) error {
	name, err := pep.ParseWheelName(a.Wheel)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/simple/%s/%s", base, name.Name(), a.Wheel), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, resp.Body); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); resp.StatusCode != http.StatusOK || got != a.SHA256 {
		return fmt.Errorf("%s was accepted with SHA-256 %s, and is served as %s with %s", a.Wheel, a.SHA256, resp.Status, got)
	}
	return nil
}

// lost looks for each accepted wheel whose release is still there and is shown.
func lost(ctx context.Context, base string, list []accepted, index pypitest.State) (errs []error, looked int) {
	for _, a := range list {
		name, err := pep.ParseWheelName(a.Wheel)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p := index.Projects[name.Name()]
		shown := slices.ContainsFunc(p.Releases, func(r pypitest.ReleaseState) bool {
			return r.Version == name.Version.String() && !slices.ContainsFunc(r.Files, func(f pypitest.FileState) bool { return f.Hidden })
		})
		if !shown {
			continue
		}
		looked++
		if err := served(ctx, base, a); err != nil {
			errs = append(errs, err)
		}
	}
	return errs, looked
}

// broken reads from the logs what no trouble excuses.
func broken(logs string) (errs []error) {
	files, err := filepath.Glob(filepath.Join(logs, "*.log"))
	errs = append(errs, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		errs = append(errs, err)
		for _, words := range []string{"panic:", "fatal error:", "DATA RACE", "PANIC:", "unlock of unlocked"} {
			if strings.Contains(string(text), words) {
				errs = append(errs, fmt.Errorf("%s says %q", filepath.Base(file), words))
			}
		}
	}
	return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}

// remains says what lies where nothing may lie when a farm is at rest.
func (w *world) remains() error {
	var errs []error
	empty := []string{w.path("t")}
	for _, s := range slaves() {
		for _, d := range []string{"build", "spool", "broken"} {
			empty = append(empty, w.path("disk-"+s, "state", d))
		}
	}
	for _, dir := range empty {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
		for _, e := range entries {
			errs = append(errs, fmt.Errorf("left behind: %s", filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// serials watches that the follower's place never goes back.
type serials struct {
	highest int64
	errs    []error
}

func (s *serials) watch(ctx context.Context, dsn string) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// A database that is away is asked again.
		_ = atOnce(ctx, dsn, func(ctx context.Context, db *pgx.Conn) error { return s.look(ctx, db) })
	}
}

func (s *serials) look(ctx context.Context, db *pgx.Conn) error {
	var now int64
	if err := db.QueryRow(ctx, `select serial from following`).Scan(&now); err != nil {
		return err
	}
	if now < s.highest {
		s.errs = append(s.errs, fmt.Errorf("the serial went back from %d to %d", s.highest, now))
	}
	s.highest = max(s.highest, now)
	return nil
}

// atOnce asks the database past all cables, and waits for none that is away.
func atOnce(ctx context.Context, dsn string, ask func(context.Context, *pgx.Conn) error) error {
	return within(ctx, 2*time.Second, dsn, ask)
}

// inTime asks a database that is there, on a machine that may be busy.
func inTime(ctx context.Context, dsn string, ask func(context.Context, *pgx.Conn) error) error {
	return within(ctx, time.Minute, dsn, ask)
}

func within(ctx context.Context, most time.Duration, dsn string, ask func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	db, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer db.Close(context.WithoutCancel(ctx))
	return ask(ctx, db)
}

// tally counts by what a function says, in the order of the words.
func tally[T any](list []T, of func(T) string) string {
	counts := map[string]int{}
	for _, x := range list {
		counts[of(x)]++
	}
	var words []string
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		words = append(words, fmt.Sprintf("%d %s", counts[k], k))
	}
	return strings.Join(words, ", ")
}
