package metrics

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"pinwheel/internal/certs"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// Store is what is asked of the database. All but QueueDepths is cheap, whatever the
// farm's size.
type Store interface {
	QueueDepths(ctx context.Context) ([]store.Depth, error)
	UnderWay(ctx context.Context) (store.Waiting, error)
	Following(ctx context.Context) (store.Following, error)
	ReadingLeft(ctx context.Context) ([]store.ReadingCount, error)
	Slaves(ctx context.Context) ([]store.SlaveRow, error)
	Ping(ctx context.Context) error
	Schema(ctx context.Context) error
}

// Farm is what a page of figures is made of, beside what was counted.
type Farm struct {
	Store Store
	Wire  func() bool  // can slaves reach us right now?
	Certs *certs.Certs // nil: none
	Log   zerolog.Logger
	Now   func() time.Time
}

const (
	// rowsWithin is for the questions of one page.
	rowsWithin = 5 * time.Second
	// rowsKept is for how long their answers are told again, so that a second
	// Prometheus, or a curious person, costs the database nothing.
	rowsKept = 5 * time.Second
	// mostSlaves bounds the series of slaves; a farm has hundreds at most.
	mostSlaves = 1000
)

// rows is what the database says of one moment.
type rows struct {
	waiting   store.Waiting
	following store.Following
	reading   []store.ReadingCount
	slaves    []store.SlaveRow
	err       error
}

// collector makes series of rows, when Prometheus asks.
type collector struct {
	farm  Farm
	queue *queue
	gauge map[string]*prometheus.Desc

	mu   sync.Mutex
	kept rows
	at   time.Time
}

// Watch has the page tell of a farm; once.
func (m *Metrics) Watch(f Farm) {
	if m != nil {
		f.Log = f.Log.With().Str("part", "metrics").Logger()
		m.registry.MustRegister(&collector{farm: f, queue: &m.queue, gauge: gauges()})
	}
}

// gauges are all series that come of rows, with their labels.
func gauges() map[string]*prometheus.Desc {
	all := map[string]*prometheus.Desc{}
	add := func(name, help string, labels ...string) {
		all[name] = prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
	}
	add("database_up", "Whether the database answered the questions for this page.")
	add("nats_up", "Whether slaves can reach this master by NATS.")
	add("queue_jobs", "Queued jobs, as counted at queue_counted_timestamp_seconds.", "target", "priority")
	add("queue_oldest_age_seconds", "Age of the job that is queued longest.", "target", "priority")
	add("queue_counted_timestamp_seconds", "When the queue was counted last.")
	add("leases", "Jobs that slaves are building now.", "target")
	add("ingest_answered_timestamp_seconds", "When the upstream last answered.")
	add("ingest_trouble", "Whether the upstream does not answer as it should.")
	add("ingest_unread_projects", "Projects that are still to be read from the upstream.", "urgency")
	add("ingest_lag_seconds", "Age of the oldest project that is still to be read.", "urgency")
	add("publish_stale_pages", "Pages that are still to be written.")
	add("publish_lag_seconds", "Age of the oldest page that is still to be written.")
	add("slaves", "Enrolled slaves, by what they do.", "state")
	add("slave_seen_timestamp_seconds", "When a slave was last heard.", "slave")
	add("slave_load1", "Load of the last minute.", "slave")
	add("slave_temperature_celsius", "Temperature of the processor; not there without a sensor.", "slave")
	add("slave_memory_free_bytes", "Memory that is free.", "slave")
	add("slave_disk_free_bytes", "Space that is free in the state folder.", "slave")
	add("slave_paused", "Whether it gets no jobs, by a person's word or after faults.", "slave")
	add("slave_unfit", "Whether it asks for no jobs, because of heat, space or its clock.", "slave")
	add("slave_throttled", "Whether a Pi's firmware slows it down.", "slave")
	add("slave_faults", "Faults of its own in a row.", "slave")
	add("certificate_expires_timestamp_seconds", "When a certificate of this master ends.", "subject")
	return all
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.gauge {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	set := func(name string, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(c.gauge[name], prometheus.GaugeValue, v, labels...)
	}
	r := c.rows()
	set("database_up", truth(r.err == nil))
	set("nats_up", truth(c.farm.Wire()))
	c.certificates(set)
	c.depths(set)
	if r.err != nil {
		return // what was is not told as what is
	}
	for target, n := range r.waiting.Leases {
		set("leases", float64(n), target)
	}
	set("publish_stale_pages", float64(r.waiting.StalePages))
	set("publish_lag_seconds", r.waiting.OldestStale.Seconds())
	c.ingest(set, r)
	c.slaves(set, r.slaves)
}

type setter func(name string, v float64, labels ...string)

// depths tells every priority of a target that has any, so that an emptied one goes
// to zero instead of away.
func (c *collector) depths(set setter) {
	depths, counted := c.queue.last()
	if counted.IsZero() {
		return
	}
	set("queue_counted_timestamp_seconds", seconds(counted))
	known := map[string]map[farm.Priority]store.Depth{}
	for _, d := range depths {
		if known[d.Target] == nil {
			known[d.Target] = map[farm.Priority]store.Depth{}
		}
		known[d.Target][d.Priority] = d
	}
	for target, of := range known {
		for _, p := range farm.Priorities() {
			d, age := of[p], 0.0
			if d.Jobs > 0 {
				age = max(0, c.farm.Now().Sub(d.Oldest).Seconds())
			}
			set("queue_jobs", float64(d.Jobs), target, p.Word())
			set("queue_oldest_age_seconds", age, target, p.Word())
		}
	}
}

func (c *collector) ingest(set setter, r rows) {
	if r.following.Asked != nil {
		set("ingest_answered_timestamp_seconds", seconds(*r.following.Asked))
	}
	set("ingest_trouble", truth(r.following.Trouble != ""))
	left := map[farm.Urgency]store.ReadingCount{}
	for _, one := range r.reading {
		left[one.Urgency] = one
	}
	for _, u := range []farm.Urgency{farm.UrgencyEvent, farm.UrgencyWalk, farm.UrgencyAged} {
		set("ingest_unread_projects", float64(left[u].Count), u.String())
		set("ingest_lag_seconds", left[u].Oldest.Seconds(), u.String())
	}
}

// lively is how long after its last word a slave is still there: three beats of a
// lease of ninety seconds.
const lively = 90 * time.Second

func (c *collector) slaves(set setter, list []store.SlaveRow) {
	states := map[string]int{"building": 0, "idle": 0, "paused": 0, "unfit": 0, "silent": 0}
	told := 0
	for _, s := range list {
		if s.Role != farm.RoleSlave || s.Revoked {
			continue
		}
		states[stateOf(s)]++
		if s.LastSeen == nil || told >= mostSlaves {
			continue
		}
		told++
		set("slave_seen_timestamp_seconds", seconds(*s.LastSeen), s.Name)
		set("slave_load1", s.Pulse.Load, s.Name)
		if s.Pulse.Temperature != 0 {
			set("slave_temperature_celsius", s.Pulse.Temperature, s.Name)
		}
		set("slave_memory_free_bytes", float64(s.Pulse.MemoryFree), s.Name)
		set("slave_disk_free_bytes", float64(s.Pulse.DiskFree), s.Name)
		set("slave_paused", truth(s.Paused), s.Name)
		set("slave_unfit", truth(s.Pulse.Unfit != ""), s.Name)
		set("slave_throttled", truth(len(s.Pulse.Throttled) > 0), s.Name)
		set("slave_faults", float64(s.Faults), s.Name)
	}
	for state, n := range states {
		set("slaves", float64(n), state)
	}
}

func stateOf(s store.SlaveRow) string {
	switch {
	case s.LastSeen == nil || s.Now.Sub(*s.LastSeen) > lively:
		return "silent"
	case s.Paused:
		return "paused"
	case s.Pulse.Unfit != "":
		return "unfit"
	case strings.HasPrefix(s.Doing, "building ") || s.Doing == "reporting": // as the agent words it
		return "building"
	}
	return "idle"
}

// certificates tells the first to end of those of one name.
func (c *collector) certificates(set setter) {
	first := map[string]time.Time{}
	for _, one := range c.farm.Certs.Dates() {
		if at, ok := first[one.Subject]; !ok || one.NotAfter.Before(at) {
			first[one.Subject] = one.NotAfter
		}
	}
	for subject, at := range first {
		set("certificate_expires_timestamp_seconds", seconds(at), subject)
	}
}

// rows asks the database, or tells again what it said a moment ago.
func (c *collector) rows() rows {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.farm.Now().Sub(c.at) < rowsKept {
		return c.kept
	}
	ctx, cancel := context.WithTimeout(context.Background(), rowsWithin)
	defer cancel()
	var r rows
	if r.waiting, r.err = c.farm.Store.UnderWay(ctx); r.err == nil {
		r.following, r.err = c.farm.Store.Following(ctx)
	}
	if r.err == nil {
		r.reading, r.err = c.farm.Store.ReadingLeft(ctx)
	}
	if r.err == nil {
		r.slaves, r.err = c.farm.Store.Slaves(ctx)
	}
	if r.err != nil {
		c.farm.Log.Warn().Err(r.err).Msg("figures without the database's")
	}
	c.kept, c.at = r, c.farm.Now()
	return r
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
