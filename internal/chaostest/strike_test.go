package chaostest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"pinwheel/internal/pypitest"
)

// strike lets the faults of a plan happen, each at its time, and returns when all
// are over.
func (w *world) strike(ctx context.Context, faults []fault) {
	type step struct {
		at time.Duration
		do func()
	}
	var steps []step
	for _, f := range faults {
		steps = append(steps, step{f.at, func() { w.say("%-8s %s for %v", f.kind, f.victim, f.long); w.begin(f) }})
		steps = append(steps, step{f.at + f.long, func() { w.say("%-8s %s is over", f.kind, f.victim); w.finish(f) }})
	}
	slices.SortStableFunc(steps, func(a, b step) int { return int(a.at - b.at) })
	began := time.Now()
	for _, s := range steps {
		due := time.NewTimer(time.Until(began.Add(s.at)))
		select {
		case <-due.C:
		case <-ctx.Done():
			return
		}
		s.do()
	}
}

func (w *world) begin(f fault) {
	u, c, d := w.units[f.victim], w.cables[f.victim], w.disks[f.victim]
	switch f.kind {
	case kill:
		u.end(syscall.SIGKILL)
	case freeze:
		w.signalAll(u, syscall.SIGSTOP)
	case quit, clock:
		u.end(syscall.SIGTERM)
		u.setClock(f.skew)
	case restart:
		u.end(syscall.SIGQUIT)
	case backend:
		w.killBackend()
	case silence, pause, refuse:
		c.set(f.kind)
	case full:
		if !d.mounted {
			w.say("%s is no disk of its own: only root may mount one", f.victim)
		} else if err := d.fill(); err != nil {
			w.t.Errorf("fill %s: %v", f.victim, err)
		}
	case down:
		w.index.Break("/", pypitest.Fault{Trouble: pypitest.Status, Status: 503})
	}
}

func (w *world) finish(f fault) {
	u, c, d := w.units[f.victim], w.cables[f.victim], w.disks[f.victim]
	switch f.kind {
	case kill, restart:
		u.start()
	case freeze:
		w.signalAll(u, syscall.SIGCONT)
	case quit, clock:
		if !u.gone(0) {
			w.say("%s has not ended yet, and is killed", f.victim)
			u.end(syscall.SIGKILL)
		}
		u.start()
	case silence, pause, refuse:
		c.set("")
	case full:
		if d.mounted {
			if err := d.empty(); err != nil {
				w.t.Errorf("empty %s: %v", f.victim, err)
			}
		}
	case down:
		w.index.Mend("/")
	}
}

// signalAll is for a server that is many processes, too; a slave's builds go on.
func (w *world) signalAll(u *unit, sig syscall.Signal) {
	u.signal(sig)
	if u.name != "pg" {
		return
	}
	for _, pid := range childrenOf(u.pid()) {
		_ = syscall.Kill(pid, sig) // it may just have ended
	}
}

// killBackend ends one of the processes by which Postgres serves somebody.
func (w *world) killBackend() {
	for _, pid := range childrenOf(w.units["pg"].pid()) {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && strings.Contains(string(line), w.ip) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			return
		}
	}
	w.say("nobody is served by Postgres")
}

func childrenOf(pid int) (list []int) {
	if pid == 0 {
		return nil
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil
	}
	for _, file := range tasks {
		text, _ := os.ReadFile(file) // of a thread that has just ended
		for _, word := range strings.Fields(string(text)) {
			if n, err := strconv.Atoi(word); err == nil {
				list = append(list, n)
			}
		}
	}
	return list
}
