// Package metrics tells Prometheus how the farm is. Input: what passes through the
// master (requests of slaves, of visitors, of the database), and rows. Output: a page of
// figures, and whether the master can do its work, on a listener of their own.
//
// It owns that listener and what it counted since its start; after a crash counters
// begin at zero, which Prometheus knows of. It never counts the whole queue for a
// question: that is done in the background, at most a hundredth of the time. No label
// has a value that somebody outside could choose.
package metrics

import (
	"context"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

const namespace = "pinwheel"

// Metrics is what is counted as it passes. The nil Metrics counts nothing.
type Metrics struct {
	registry *prometheus.Registry

	requests *prometheus.HistogramVec // by request and result
	claims   *prometheus.CounterVec   // by result
	reports  *prometheus.CounterVec   // by outcome and cause
	visits   *prometheus.HistogramVec // by handler and code
	sql      *prometheus.HistogramVec // by statement
	sqlWrong *prometheus.CounterVec   // by statement

	queue queue
}

// buckets are for what takes from a third of a millisecond to ten seconds.
func buckets() []float64 {
	return []float64{.0003, .001, .003, .01, .03, .1, .3, 1, 3, 10}
}

// New makes one; version is the program's.
func New(version string) *Metrics {
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets()}, labels)
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: histogram("slave_request_duration_seconds", "Time to answer a slave, by request and result; next waits for work.", "request", "result"),
		claims:   counter("claims_total", "Questions of slaves for a job: leased, nothing, or refused.", "result"),
		reports:  counter("reports_total", "Reports of builds that ended, by outcome and cause.", "outcome", "cause"),
		visits:   histogram("http_request_duration_seconds", "Time to answer over HTTP, by handler and class of status.", "handler", "code"),
		sql:      histogram("sql_statement_duration_seconds", "Time of statements, by their first word.", "statement"),
		sqlWrong: counter("sql_errors_total", "Statements that failed, by their first word.", "statement"),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: "build_info", Help: "The program's version, as a label of a one."}, []string{"version"})
	build.WithLabelValues(version).Set(1)
	m.registry.MustRegister(m.requests, m.claims, m.reports, m.visits, m.sql, m.sqlWrong, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.begin()
	return m
}

// The results of requests.
const (
	resultOK      = "ok"
	resultRefused = "refused"
	resultLeased  = "leased"
	resultNothing = "nothing"
)

// begin makes the counters that alerts ask for be there from the start, at zero.
func (m *Metrics) begin() {
	for _, r := range []string{resultLeased, resultNothing, resultRefused} {
		m.claims.WithLabelValues(r)
	}
	m.reports.WithLabelValues(string(farm.OutcomeBuilt), "")
	for _, c := range farm.Causes() {
		m.reports.WithLabelValues(string(farm.OutcomeFailed), string(c))
	}
	for _, k := range store.Kinds() {
		m.sqlWrong.WithLabelValues(k)
	}
}

// SQL is a store.Tracer.
func (m *Metrics) SQL(kind string, took time.Duration, failed bool) {
	m.sql.WithLabelValues(kind).Observe(took.Seconds())
	if failed {
		m.sqlWrong.WithLabelValues(kind).Inc()
	}
}

// Tracer is what the store is opened with; nil for the nil Metrics.
func (m *Metrics) Tracer() store.Tracer {
	if m == nil {
		return nil
	}
	return m.SQL
}

// timed measures the answers to one request of slaves.
func timed[M, R any](m *Metrics, request string, refused func(R) bool, f func(context.Context, string, M) R) func(context.Context, string, M) R {
	if m == nil {
		return f
	}
	return func(ctx context.Context, slave string, msg M) R {
		began := time.Now()
		reply := f(ctx, slave, msg)
		result := resultOK
		if refused(reply) {
			result = resultRefused
		}
		m.requests.WithLabelValues(request, result).Observe(time.Since(began).Seconds())
		return reply
	}
}

// Hello measures a handler of the bus.
func (m *Metrics) Hello(f func(context.Context, string, bus.Hello) bus.Welcome) func(context.Context, string, bus.Hello) bus.Welcome {
	return timed(m, "hello", func(r bus.Welcome) bool { return r.Error != "" }, f)
}

// Beat measures a handler of the bus.
func (m *Metrics) Beat(f func(context.Context, string, bus.Beat) bus.BeatReply) func(context.Context, string, bus.Beat) bus.BeatReply {
	return timed(m, "beat", func(r bus.BeatReply) bool { return r.Error != "" }, f)
}

// Next measures a handler of the bus, and counts what came of the questions.
func (m *Metrics) Next(f func(context.Context, string, bus.Next) bus.NextReply) func(context.Context, string, bus.Next) bus.NextReply {
	return timed(m, "next", func(r bus.NextReply) bool {
		switch {
		case r.Error != "":
			m.claims.WithLabelValues(resultRefused).Inc()
		case r.Lease != nil:
			m.claims.WithLabelValues(resultLeased).Inc()
		default:
			m.claims.WithLabelValues(resultNothing).Inc()
		}
		return r.Error != ""
	}, f)
}

// Report measures a handler of the bus.
func (m *Metrics) Report(f func(context.Context, string, bus.Report) bus.ReportReply) func(context.Context, string, bus.Report) bus.ReportReply {
	return timed(m, "report", func(r bus.ReportReply) bool { return r.Error != "" }, f)
}

// Ended counts a build that ended, by what the master says of it: the state that its
// job has by now, and of a failure the cause, which is the first word of the detail.
func (m *Metrics) Ended(e bus.Event) {
	if m == nil {
		return
	}
	cause, _, _ := strings.Cut(e.Detail, " ")
	switch {
	case e.Kind == string(farm.Built):
		m.reports.WithLabelValues(string(farm.OutcomeBuilt), "").Inc()
	case !farm.Cause(cause).Valid():
		m.reports.WithLabelValues(string(farm.OutcomeFailed), string(farm.Unknown)).Inc()
	case e.Kind == string(farm.Failed):
		m.reports.WithLabelValues(string(farm.OutcomeFailed), cause).Inc()
	default: // it is tried again, or waits for what it requires
		m.reports.WithLabelValues(outcomeAgain, cause).Inc()
	}
}

// outcomeAgain is that of a failed build which is not the end of its job.
const outcomeAgain = "again"
