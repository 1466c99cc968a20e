package monitor

import (
	"time"

	"pinwheel/internal/bus"
)

// traceLong is how many beats are remembered of a slave: as many as a wide screen shows.
const traceLong = 32

// trace is what was seen of a slave, a value per beat, the newest last.
type trace struct {
	seen                     time.Time
	load, heat, disk, memory []float64
}

// add remembers a beat that is a new one.
func (t *trace) add(s bus.SlaveNow) {
	if s.LastSeen == nil || !s.LastSeen.After(t.seen) {
		return
	}
	t.seen = *s.LastSeen
	p := s.Pulse
	for _, one := range []struct {
		list  *[]float64
		value float64
	}{{&t.load, p.Load}, {&t.heat, p.Temperature}, {&t.disk, float64(p.DiskFree)}, {&t.memory, float64(p.MemoryFree)}} {
		*one.list = append(*one.list, one.value)
		if over := len(*one.list) - traceLong; over > 0 {
			*one.list = append((*one.list)[:0], (*one.list)[over:]...)
		}
	}
}

func largest(list []float64, least float64) float64 {
	for _, v := range list {
		least = max(least, v)
	}
	return least
}
