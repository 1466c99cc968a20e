package main

import (
	"fmt"
	"time"

	"pinwheel/internal/certs"
)

// see keeps what a server showed.
func (d *doctor) see(c certs.Certificate, ok bool) {
	if ok {
		d.shown = append(d.shown, c)
	}
}

// certificates tells which of those that the farm hangs on ends first: of our files,
// and of what NATS and the master showed.
func (d *doctor) certificates() finding {
	if d.trustTrouble != nil {
		return verdict("certificate", d.trustTrouble, "", "")
	}
	all := append(d.trust.Dates(), d.shown...)
	if len(all) == 0 {
		return finding{Name: "certificate", Level: fine, Detail: "none is used"}
	}
	first := all[0]
	for _, c := range all {
		if c.NotAfter.Before(first.NotAfter) {
			first = c
		}
	}
	f := finding{Name: "certificate", Level: fine, Detail: fmt.Sprintf("%s of %s is good until %s",
		first.Subject, first.From, first.NotAfter.UTC().Format(time.DateOnly))}
	if first.Soon(d.now()) {
		f.Level, f.Detail = warning, f.Detail+fmt.Sprintf(", %s from now", days(first.NotAfter.Sub(d.now())))
		f.Remedy = "renew it; whoever has the file reads it again by itself"
	}
	return f
}

func days(d time.Duration) string {
	if n := int(d.Hours() / 24); n != 1 {
		return fmt.Sprintf("%d days", n)
	}
	return "1 day"
}
