package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// none is no Disk: each file is flushed by itself.
var none *Disk

// written is something that takes its time to be flushed, and knows how.
type written struct {
	disk  *fakeDisk
	alone atomic.Int32 // how often by itself
	at    time.Time    // of its last writing
	fails error
}

func (w *written) Sync() error {
	<-time.After(10 * time.Millisecond)
	w.alone.Add(1)
	return w.fails
}

// fakeDisk is a Disk that notes what a flush of everything has reached.
type fakeDisk struct {
	*Disk
	takes time.Duration
	fails error

	mu      sync.Mutex
	flushed time.Time // what was written before is on the disk
	rounds  int
}

func newFakeDisk() *fakeDisk {
	f := &fakeDisk{takes: 5 * time.Millisecond}
	f.Disk = &Disk{now: time.Now, all: f.everything, turn: make(chan struct{}, 1)}
	return f
}

func (f *fakeDisk) everything() error {
	began := time.Now()
	<-time.After(f.takes)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flushed = began
	f.rounds++
	return f.fails
}

// write writes something and has it flushed. It is durable then, one way or the other.
func (f *fakeDisk) write(t *testing.T) (w *written, err error) {
	t.Helper()
	w = &written{disk: f, at: time.Now()}
	if err = f.Flush(w); err != nil {
		return w, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.alone.Load() == 0 && f.flushed.Before(w.at) {
		t.Errorf("said to be flushed %v before it was written", w.at.Sub(f.flushed))
	}
	return w, nil
}

// crowd has several write at once, each again and again, and says how often one of
// them was flushed by itself.
func (f *fakeDisk) crowd(t *testing.T) (alone int32) {
	t.Helper()
	var all sync.WaitGroup
	var n atomic.Int32
	for i := range 20 {
		all.Go(func() {
			for range 30 {
				w, err := f.write(t)
				if err != nil {
					t.Error(err)
				}
				n.Add(w.alone.Load())
				<-time.After(time.Duration(i) * time.Millisecond / 7)
			}
		})
	}
	all.Wait()
	return n.Load()
}

// TestDiskFlushesTogether: of many at once, a flush of everything that began after they
// had written serves all.
func TestDiskFlushesTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeDisk()
		if alone := f.crowd(t); alone >= several {
			t.Errorf("%d of 600 were flushed by themselves", alone)
		}
		if f.rounds > 150 {
			t.Errorf("600 files were flushed in %d rounds", f.rounds)
		}
		time.Sleep(2 * crowdLasts)
		if w, err := f.write(t); err != nil || w.alone.Load() != 1 {
			t.Errorf("when all have gone: %d times by itself, %v", w.alone.Load(), err)
		}
	})
}

// TestDiskOfFew: for one, and for fewer than several, nothing but their own files is flushed.
func TestDiskOfFew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeDisk()
		var all sync.WaitGroup
		for range several - 1 {
			all.Go(func() {
				for range 20 {
					if w, err := f.write(t); err != nil || w.alone.Load() != 1 {
						t.Errorf("flushed %d times by itself, error %v", w.alone.Load(), err)
					}
				}
			})
		}
		all.Wait()
		if f.rounds > 0 {
			t.Errorf("everything was flushed %d times", f.rounds)
		}
	})
}

// TestDiskThatIsBusy: where a flush of everything takes long, each flushes his own for
// a while, and those who have come meanwhile do not wait for its end.
func TestDiskThatIsBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeDisk()
		f.takes = 30 * time.Second
		var all sync.WaitGroup
		var long atomic.Int32
		for i := range 100 {
			all.Go(func() {
				<-time.After(time.Duration(i) * 3 * time.Millisecond)
				began := time.Now()
				if _, err := f.write(t); err != nil {
					t.Error(err)
				}
				if time.Since(began) > 2*slowFlush {
					long.Add(1)
				}
			})
		}
		all.Wait()
		if long.Load() != 1 || f.rounds != 1 {
			t.Errorf("%d waited long, where one has to; %d flushes of everything", long.Load(), f.rounds)
		}
		ended := time.Now()
		f.takes = time.Millisecond
		time.Sleep(shunFor*30*time.Second - time.Minute)
		if alone := f.crowd(t); alone != 600 || f.rounds != 1 {
			t.Errorf("after %v %d by themselves, %d flushes of everything", time.Since(ended), alone, f.rounds)
		}
		time.Sleep(time.Minute)
		if f.crowd(t); f.rounds < 20 {
			t.Errorf("after %v %d flushes of everything", time.Since(ended), f.rounds)
		}
	})
}

// TestDiskThatLoses: when a flush of everything fails, those who wait for it flush their
// own, which tells each whether that is lost; and so does everyone from then on.
func TestDiskThatLoses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeDisk()
		lost := errors.New("lost")
		f.fails = lost
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				mine, other := &written{disk: f}, &written{disk: f}
				if i%2 == 1 {
					mine.fails = lost
				}
				if err := f.Flush(other, mine); (err != nil) != (i%2 == 1) || err != nil && !errors.Is(err, lost) {
					t.Errorf("%d: %v", i, err)
				}
				if mine.alone.Load() != 1 || other.alone.Load() != 1 {
					t.Errorf("%d: flushed %d and %d times", i, mine.alone.Load(), other.alone.Load())
				}
			})
		}
		all.Wait()
		f.fails = nil
		if alone := f.crowd(t); alone != 600 || f.rounds != 1 {
			t.Errorf("later, %d of 600 by themselves, %d flushes of everything", alone, f.rounds)
		}
	})
}

// TestRealDisk: many write files at once on whatever is here, and none is an error.
func TestRealDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := OpenDisk(dir)
	var rounds atomic.Int32
	if all := d.all; all != nil {
		d.all = func() error { rounds.Add(1); return all() }
		d.crowd = time.Now().Add(time.Hour) // however fast files are flushed here
	}
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for j := range 20 {
				name := string(rune('a'+i)) + string(rune('a'+j))
				f := d.InNew(filepath.Join(dir, name))
				if err := errors.Join(os.Mkdir(f.Path(""), 0o755), f.Write("page", []byte(name), 0o644), f.Commit(nil)); err != nil {
					t.Error(err)
					return
				}
				if got := read(t, f.Path("page")); got != name {
					t.Errorf("%s holds %q", f.Path("page"), got)
				}
			}
		})
	}
	all.Wait()
	if n := rounds.Load(); (n > 0) != (d.all != nil) {
		t.Errorf("%d flushes of everything", n)
	}
	if OpenDisk(filepath.Join(dir, "nowhere")).all != nil {
		t.Error("a folder that is not there can be flushed")
	}
}

// TestIsStill: a folder that is made anew, or elsewhere, under a program that runs.
func TestIsStill(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "site")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, c := range []struct {
		what   string
		change func() error
		want   bool
	}{
		{"as it was", func() error { return nil }, true},
		{"it is gone", func() error { return os.Remove(dir) }, false},
		{"it is made anew", func() error { return os.Mkdir(dir, 0o755) }, true},
		{"it leads elsewhere", func() error { return errors.Join(os.Remove(dir), os.Symlink("/proc", dir)) }, false},
	} {
		if err := c.change(); err != nil {
			t.Fatal(err)
		}
		if got := isStill(f, dir); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}

// TestTells: earlier kernels keep to themselves what a flush of everything has lost.
func TestTells(t *testing.T) {
	t.Parallel()
	for release, want := range map[string]bool{
		"6.18.44-1": true, "6.6.31+rpt-rpi-v8": true, "7.0": true, "10.0": true,
		"6.5.13": false, "6.1.0-18-amd64": false, "5.10.103-v7l+": false, "": false, "x.y": false,
	} {
		if tells(release) != want {
			t.Errorf("%q: %v", release, !want)
		}
	}
}
