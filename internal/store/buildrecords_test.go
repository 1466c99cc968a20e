package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pinwheel/internal/farm"
)

// TestRecordsOfManyWheels: each wheel of a page has its own record or none, and a page
// of very many does not take the square of it: that would be minutes here.
func TestRecordsOfManyWheels(t *testing.T) {
	t.Parallel()
	const many = 100_000
	name := func(i int) string { return fmt.Sprintf("demo-1.%d-py3-none-any.whl", i) }
	var p Page
	var records []farm.BuildRecord
	for i := range many {
		p.Wheels = append(p.Wheels, WheelRow{Filename: name(i)})
		if i%10 > 0 {
			records = append(records, farm.BuildRecord{Build: int64(many - i), Wheel: farm.File{Name: name(many - i)}})
		}
	}
	took := time.Hour
	for range 3 { // a machine that was busy says nothing
		again := Page{Wheels: slices.Clone(p.Wheels)}
		began := time.Now()
		again.attach(records)
		took = min(took, time.Since(began))
		p = again
	}
	if took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	for i, w := range p.Wheels {
		switch r := w.Record; {
		case (many-i)%10 == 0 || i == 0:
			if r != nil {
				t.Fatalf("%s has the record %+v", w.Filename, r)
			}
		case r == nil || r.Build != int64(i):
			t.Fatalf("%s has the record %+v", w.Filename, r)
		}
	}
}
