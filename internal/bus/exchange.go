package bus

import "time"

// NextWait is how long the handler of Next may wait for work before it answers
// "nothing yet": less than the slave's patience by the time that a slow link and
// a claim may take.
const NextWait = 4 * time.Second

// exchange is what both sides must agree on about one kind of request.
type exchange struct {
	kind     string
	maxBytes int           // of the request
	within   time.Duration // the asker gives up then
	parallel int           // requests that one master works on at once
}

// The bounds keep kinds apart: many waiting slaves never hold up a beat or a
// report. Reports may take long because the answer comes after verification.
func exchangeHello() exchange  { return exchange{kindHello, 256 << 10, 10 * time.Second, 64} }
func exchangeNext() exchange   { return exchange{kindNext, 128 << 10, 5 * time.Second, 1024} }
func exchangeBeat() exchange   { return exchange{kindBeat, 64 << 10, 5 * time.Second, 64} }
func exchangeReport() exchange { return exchange{kindReport, 144 << 10, 30 * time.Second, 64} }

// handling is the time that a handler has: its answer must still arrive.
func (x exchange) handling() time.Duration { return x.within - 500*time.Millisecond }

// What people ask is bounded apart from what slaves do, and few look at once. Steering
// may take long: a requeue of a hundred thousand jobs is one transaction.
func exchangeLook() exchange  { return exchange{kindSnapshot, 4 << 10, 10 * time.Second, 16} }
func exchangeLog() exchange   { return exchange{kindLog, 4 << 10, 10 * time.Second, 8} }
func exchangeSteer() exchange { return exchange{kindControl, 8 << 10, 60 * time.Second, 8} }
