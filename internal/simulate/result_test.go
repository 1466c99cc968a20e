package simulate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// result is what one simulated run came to.
type result struct {
	slaves, versions  int
	builds, necessary int
	lost              int           // builds whose slave died
	took              time.Duration // simulated, until the last job had ended
	tail              time.Duration // of it, a slave in the mean had nothing to do, since nothing was queued
	ideal             time.Duration // what is necessary, shared by all slaves without a gap
	idle              float64       // share of the time in which slaves were up and work was queued
	barred            float64       // of that time: what was queued was not to be had, as of a project with all its slots taken
	down              float64       // share of all time
	rate              float64       // claims that gave a job, a second of real time; each was built and reported in it, too
	claim50, claim99  time.Duration // real
	report50          time.Duration
	report99          time.Duration
	database          time.Duration // of real time per build, by Postgres's own count
	real              time.Duration // of the run
}

// result adds up what the slaves did.
func (s *simulation) result(n needed, real, database time.Duration) result {
	r := result{
		slaves: len(s.slaves), versions: s.world.versions, necessary: n.builds, took: s.ended,
		ideal: n.time / time.Duration(len(s.slaves)), real: real,
	}
	var idle, barred, busy, down time.Duration
	var claims, reports []time.Duration
	for _, one := range s.slaves {
		t := one.tally
		r.builds, r.lost = r.builds+t.builds, r.lost+t.lost
		idle, barred, busy, down = idle+t.idle, barred+t.barred, busy+t.busy, down+t.down
		claims, reports = append(claims, t.claims...), append(reports, t.reports...)
	}
	r.tail = max(0, s.ended-(idle+busy+down)/time.Duration(len(s.slaves)))
	r.idle = idle.Seconds() / (idle + busy).Seconds()
	r.barred = barred.Seconds() / (idle + busy).Seconds()
	r.down = down.Seconds() / (s.ended * time.Duration(len(s.slaves))).Seconds()
	r.rate = float64(r.builds) / real.Seconds()
	r.claim50, r.claim99 = quantile(claims, 0.5), quantile(claims, 0.99)
	r.report50, r.report99 = quantile(reports, 0.5), quantile(reports, 0.99)
	r.database = database / time.Duration(r.builds)
	return r
}

func quantile(d []time.Duration, q float64) time.Duration {
	slices.Sort(d)
	return d[min(len(d)-1, int(q*float64(len(d))))]
}

// databaseTime is how long Postgres has executed statements of this farm.
func (s *simulation) databaseTime(ctx context.Context) (time.Duration, error) {
	const q = `select active_time from pg_stat_database where datname = current_database()`
	var ms float64
	err := s.conn.QueryRow(ctx, q).Scan(&ms)
	return time.Duration(ms * float64(time.Millisecond)), err
}

// idleBudget is what a farm of this size may leave idle.
func idleBudget(slaves int) float64 {
	if slaves <= 20 {
		return 0.01
	}
	return 0.03
}

func (r result) overBuilt() float64 { return float64(r.builds) / float64(r.necessary) }
func (r result) overTime() float64  { return r.took.Seconds() / r.ideal.Seconds() }

func table(results []result) string {
	var b strings.Builder
	row := func(cells ...any) {
		fmt.Fprintf(&b, "%6v %9v %9v %8v %8v %8v %7v %7v %9v %7v %5v %8v %15v %16v %11v %8v\n", cells...)
	}
	row("slaves", "versions", "builds", "x needed", "days", "x ideal", "tail h", "idle %", "barred %", "down %", "lost", "claims/s",
		"claim p50/99 ms", "report p50/99 ms", "db ms/job", "real")
	ms := func(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()*1000) }
	for _, r := range results {
		row(r.slaves, r.versions, r.builds, fmt.Sprintf("%.4f", r.overBuilt()), fmt.Sprintf("%.2f", r.took.Hours()/24),
			fmt.Sprintf("%.4f", r.overTime()), fmt.Sprintf("%.1f", r.tail.Hours()),
			fmt.Sprintf("%.3f", 100*r.idle), fmt.Sprintf("%.3f", 100*r.barred), fmt.Sprintf("%.2f", 100*r.down), r.lost,
			fmt.Sprintf("%.0f", r.rate), ms(r.claim50)+" / "+ms(r.claim99), ms(r.report50)+" / "+ms(r.report99), ms(r.database),
			r.real.Round(time.Second))
	}
	return b.String()
}
