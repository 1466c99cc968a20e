package agent

import (
	"context"
	"fmt"
	"time"

	"pinwheel/internal/bus"
)

// Fitness is what this machine must be to take a job. A job under way is finished
// whatever happens to the machine.
type Fitness struct {
	MaxTemperature float64       // °C, of the hottest thermal zone; 0: whatever it is
	MinDisk        int64         // bytes free in the state folder; 0: DefaultMinDisk
	MaxSkew        time.Duration // of the clock, against the farm's; 0: whatever it is
}

// DefaultMinDisk is the space without which asking for a job would only turn the
// job of somebody else into a fault of this slave.
const DefaultMinDisk = 64 << 20

// A machine that was unfit is fit again when it is better than the limit by so
// much, so that it does not change its mind with every beat.
const (
	cooler   = 5.0 // °C
	moreDisk = 10  // a tenth of the limit
)

// LeastFiles is how many files there must be room for: a build of some size makes as
// many, and has been ended before it takes the last of them.
const LeastFiles = 20_000

func (f Fitness) leastDisk() int64 {
	if f.MinDisk <= 0 {
		return DefaultMinDisk
	}
	return f.MinDisk
}

// enoughDisk is what makes a full machine fit again, and so what the cache leaves: it
// must not be the cache that keeps a slave from its work.
func (f Fitness) enoughDisk() int64 { return f.leastDisk() + f.leastDisk()/moreDisk }

// ailment is why no job is asked for.
type ailment struct {
	kind string // "hot", "full", "files" or "clock"; empty: it is fit
	text string // for people: "hot: 84.3 °C, over 80"
}

// vitals are what fitness is judged by.
type vitals struct {
	temperature float64       // °C; 0: unknown
	disk        int64         // bytes free
	files       int64         // how many more the file system has room for; -1: unknown
	skew        time.Duration // of our clock, at least so much before the farm's; 0: none, or unknown
}

// judge says what is wrong with a machine that was ailing from before, if it was.
func (f Fitness) judge(v vitals, before ailment) ailment {
	least, files, hot := f.leastDisk(), int64(LeastFiles), f.MaxTemperature
	switch before.kind {
	case "hot":
		hot -= cooler
	case "full":
		least = f.enoughDisk()
	case "files":
		files += files / moreDisk
	}
	switch {
	case f.MaxSkew > 0 && v.skew.Abs() > f.MaxSkew:
		return ailment{"clock", fmt.Sprintf("clock: %s the farm's, more than %s", aside(v.skew), f.MaxSkew)}
	case v.disk < least:
		return ailment{"full", fmt.Sprintf("full: %d MB free in the state folder, want %d", v.disk>>20, least>>20)}
	case v.files >= 0 && v.files < files:
		return ailment{"files", fmt.Sprintf("full: room for %d more files in the state folder, want %d", v.files, files)}
	case f.MaxTemperature > 0 && v.temperature > hot:
		return ailment{"hot", fmt.Sprintf("hot: %.1f °C, over %.0f", v.temperature, hot)}
	}
	return ailment{}
}

// aside is a skew in words.
func aside(skew time.Duration) string {
	word := "ahead of"
	if skew < 0 {
		word = "behind"
	}
	return skew.Abs().Round(time.Second).String() + " " + word
}

// skewOf is how far our clock is from the farm's at the least, if an answer that
// says now came between two moments of ours. The wire took its time both ways, and
// how it divided that nobody knows.
func skewOf(asked, now, answered time.Time) time.Duration {
	switch {
	case now.IsZero(): // a master that does not tell
		return 0
	case now.Before(asked):
		return asked.Sub(now)
	case now.After(answered):
		return answered.Sub(now)
	}
	return 0
}

// examine looks at the machine, after what is learnt from the master's word. It is
// called at every hello and beat, and when a build has ended: nothing else is
// looked at meanwhile, and a slave that was unfit goes on by itself.
func (a *Agent) examine(learn func(*facts)) {
	a.spare()
	v := vitals{temperature: a.cfg.Sensors.Temperature(), disk: a.cfg.Sensors.DiskFree(a.paths.build), files: a.cfg.Sensors.FilesFree(a.paths.build)}
	var before, after ailment
	a.board.change(func(f *facts) {
		learn(f)
		v.skew = f.skew
		before, f.ailing = f.ailing, a.cfg.Fitness.judge(v, f.ailing)
		after = f.ailing
	})
	switch {
	case before.kind == after.kind:
	case after.kind == "":
		a.log.Info().Str("was", before.text).Msg("this machine is fit again, jobs are asked for")
	default:
		a.log.Error().Str("why", after.text).Msg("this machine is not fit, no job is asked for until it is")
	}
}

// pulse is how this slave is now.
func (a *Agent) pulse(ctx context.Context) bus.Beat {
	f, s := a.board.facts(), a.cfg.Sensors
	throttle, _ := s.Throttle(ctx)
	return bus.Beat{
		Held:        f.held(),
		Asking:      f.request,
		Doing:       a.doing(f),
		Load:        s.Load(),
		Temperature: s.Temperature(),
		MemoryFree:  s.Memory("MemAvailable"),
		DiskFree:    s.DiskFree(a.paths.build),
		Machine:     s.Model(),
		Throttled:   throttle.Now(),
		Unfit:       f.ailing.text,
	}
}
