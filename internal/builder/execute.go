package builder

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/proc"
)

// floodFactor times the log's limit is more than any honest build writes.
const floodFactor = 10

// patience is how long the killed may take to be gone.
const patience = 15 * time.Second

// restWithin is how long the last of the output, which says what went wrong, may take on
// its way into the log: a disk that is busy keeps it for seconds.
const restWithin = 10 * time.Second

// ending is how a run in the box ended.
type ending struct {
	stop    farm.Failure // why we stopped it, if we did
	code    int          // exit status, 128+n after signal n
	seconds float64
	peakRSS int64 // bytes, of all processes together
}

// running is one run in the box.
type running struct {
	box    *box
	watch  *watch
	cmd    *exec.Cmd
	child  *proc.Child
	output *os.File      // the read end of the pipe that the build writes to
	pumped chan struct{} // closed when the log has all
	flood  chan struct{} // closed when the log is far too long
	info   chan *handle  // gives the sandbox's first process once; nil if it never was
	first  *handle       // what info gave

	guarded sync.WaitGroup // the guard, if there is one
}

// execute runs argv in the box and returns when it, and all that came of it, is
// gone and its output is in the log. An error is ours, or ctx's.
func (x *box) execute(ctx context.Context, limits farm.Limits, log *cappedLog, argv []string) (ending, error) {
	if err := ctx.Err(); err != nil {
		return ending{}, err
	}
	started := time.Now()
	r, err := x.start(limits, log, argv)
	if err != nil {
		return ending{}, err
	}
	stop, err := r.await(ctx, limits)
	err = errors.Join(ctx.Err(), err)
	err = errors.Join(err, r.end(stop.Cause != "" || err != nil))
	end := ending{stop: stop, seconds: time.Since(started).Seconds()}
	end.code, end.peakRSS = r.measured()
	return end, errors.Join(err, log.err)
}

func (x *box) start(limits farm.Limits, log *cappedLog, argv []string) (*running, error) {
	cmd, err := x.command(limits, argv...)
	if err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the build: %w", err)
	}
	defer write.Close()
	cmd.Stdout, cmd.Stderr = write, write
	r := &running{box: x, watch: x.watch(limits), cmd: cmd, output: read, pumped: make(chan struct{}),
		flood: make(chan struct{}), info: make(chan *handle, 1)}
	if err := r.launch(); err != nil {
		read.Close()
		return nil, cmp.Or(x.shut(), err)
	}
	go r.pump(log, floodFactor*limits.LogLimit)
	return r, nil
}

// launch starts the child; with bwrap, also the reading of its info.
func (r *running) launch() (err error) {
	if r.box.mode != Bwrap {
		r.child, err = proc.Start(r.cmd)
		return err
	}
	info, toInfo, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start the build: %w", err)
	}
	defer toInfo.Close()
	r.cmd.ExtraFiles = append([]*os.File{toInfo}, r.box.out.inherited()...)
	defer r.box.out.begun()
	g, err := newGuard(r.box.user)
	if err == nil {
		r.child, err = proc.Start(r.cmd)
		r.guarded.Go(func() { g.over(r.child) })
	}
	if err != nil {
		info.Close()
		return err
	}
	go func() {
		defer info.Close()
		r.info <- readInfo(info)
	}()
	return nil
}

// readInfo takes hold of the first process of the sandbox. Nil means that
// bwrap ended before there was one. Only bwrap itself has the other end.
func readInfo(info io.Reader) *handle {
	var said struct {
		Child int `json:"child-pid"`
	}
	if err := json.NewDecoder(info).Decode(&said); err != nil || said.Child <= 0 {
		return nil
	}
	h, err := hold(said.Child)
	if err != nil {
		return nil // already gone
	}
	return h
}

// pump moves the output into the log until nobody can write any more.
func (r *running) pump(log *cappedLog, most int64) {
	defer close(r.pumped)
	buf, flooded := make([]byte, 64<<10), false
	for {
		n, err := r.output.Read(buf)
		log.add(buf[:n])
		if most > 0 && log.taken > most && !flooded {
			flooded = true
			close(r.flood)
		}
		if err != nil {
			return
		}
	}
}

// Pip that waits in vain is seen on this many looks before it is helped.
const (
	lookEvery = time.Second
	strikes   = 3
)

// await returns when the child has ended by itself or has to be stopped, and then
// says why. Meanwhile it ends what keeps pip waiting for a build step that is over.
func (r *running) await(ctx context.Context, limits farm.Limits) (farm.Failure, error) {
	timer, looks, watch := time.NewTimer(limits.Timeout), time.NewTicker(lookEvery), time.NewTicker(watchEvery)
	defer timer.Stop()
	defer looks.Stop()
	defer watch.Stop()
	for vain := 0; ; {
		select {
		case <-r.child.Done():
			return farm.Failure{}, nil
		case <-ctx.Done():
			return farm.Failure{}, nil
		case <-timer.C:
			return farm.Failure{Cause: farm.Timeout, Detail: "not done after " + limits.Timeout.String()}, nil
		case <-r.flood:
			return farm.Failure{Cause: farm.LogLimit, Detail: fmt.Sprintf("wrote more than %d bytes of log", floodFactor*limits.LogLimit)}, nil
		case now := <-watch.C:
			if f, err := r.watch.look(now, r.firstPid()); f.Cause != "" || err != nil {
				return f, err
			}
		case r.first = <-r.info:
			r.info = nil
		case <-looks.C:
			r.watch.kin.first = r.firstPid()
			orphans := r.watch.kin.orphans()
			if len(orphans) == 0 {
				vain = 0
			} else if vain++; vain >= strikes {
				for _, p := range orphans {
					p.end()
				}
			}
		}
	}
}

// firstPid is the process that takes in the build's orphans.
func (r *running) firstPid() int {
	if r.first != nil {
		return r.first.pid
	}
	return r.child.Pid()
}

// end makes sure that nothing of the build is left, then waits for the rest of
// its output.
func (r *running) end(stop bool) error {
	defer r.watch.close()
	defer r.guarded.Wait()
	if stop {
		r.stop()
	}
	r.expect(r.child.Done())
	err := r.leftovers()
	// Whoever still holds the pipe now is not ours to wait for.
	if e := r.output.SetReadDeadline(time.Now().Add(restWithin)); e != nil {
		err = errors.Join(err, e)
	}
	<-r.pumped
	return errors.Join(err, r.output.Close())
}

// stop asks for the end. Through its first process the whole namespace dies at
// once, and bwrap ends by itself when it is empty; without bwrap the
// supervisor ends all others first.
func (r *running) stop() {
	if r.box.mode != Bwrap {
		_ = r.child.Signal(syscall.SIGTERM) // an error means that it is gone
		return
	}
	if r.info != nil {
		select {
		case r.first = <-r.info:
			r.info = nil
		case <-time.After(patience):
		}
	}
	if r.first != nil {
		r.first.kill()
	} else {
		r.child.Kill()
	}
}

// expect waits for the child's end, and after a stop not for ever.
func (r *running) expect(done <-chan struct{}) {
	select {
	case <-done:
	case <-time.After(patience):
		r.child.Kill()
		<-done
	}
}

// leftovers waits until the sandbox is empty; without bwrap it hunts what got
// away from the supervisor.
func (r *running) leftovers() error {
	if r.box.mode != Bwrap {
		return sweep(r.box.mark)
	}
	if r.info != nil {
		r.first = <-r.info // bwrap is gone, so this cannot last
	}
	if r.first == nil {
		return nil
	}
	defer r.first.close()
	r.first.kill() // if bwrap itself was killed, by the build or short of memory
	return r.first.gone(patience)
}

// measured gives the exit status and the most memory that was seen: of all
// processes together four times a second, and at the end that of the largest. The
// largest is at least as large as this program was when it started the child.
func (r *running) measured() (code int, peak int64) {
	state := r.cmd.ProcessState
	if state == nil {
		return -1, 0
	}
	peak = r.watch.peak
	if u, ok := state.SysUsage().(*syscall.Rusage); ok {
		peak = max(peak, int64(u.Maxrss)*1024)
	}
	if w, ok := state.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal()), peak
	}
	return state.ExitCode(), peak
}
