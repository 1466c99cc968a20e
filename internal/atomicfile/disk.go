package atomicfile

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Flusher is what can be made durable: a file, or the [Names] in a folder.
type Flusher interface{ Sync() error }

// Names is a folder, as far as the names in it are concerned.
type Names string

// Sync is [SyncDir].
func (n Names) Sync() error { return SyncDir(string(n)) }

// How a Disk behaves.
const (
	// several are so many at once that they are served together.
	several = 4
	// crowdLasts is how long a Disk takes it that there are several, after there were.
	crowdLasts = 100 * time.Millisecond
	// slowFlush is what a flush of everything may take, and a wait for one: of more, most
	// belongs to others.
	slowFlush = 100 * time.Millisecond
	// shunFor is how many times as long as it took such a flush is not done again.
	shunFor = 50
)

// Disk flushes what several write at the same time. Each of them alone pays for every
// file and every folder; together, one flush of the whole file system (syncfs(2)) serves
// all who have written by then, and whoever comes meanwhile waits for the next. Where
// there are few, each flushes his own, and so do all while others, of whom a Disk knows
// nothing, keep the file system busy. The zero Disk, and none, flush each file by itself.
type Disk struct {
	all  func() error // flushes everything; nil: it must not be used
	now  func() time.Time
	turn chan struct{} // of whoever flushes everything

	mu       sync.Mutex
	flushing int       // who waits for a flush of any kind
	crowd    time.Time // until then there are several
	shun     time.Time // until then everything is too much
	began    time.Time // a flush of everything that is not over; zero: there is none
	failed   bool      // of everything, once: from then on each file speaks for itself
	next     *round    // those whom the next flush of everything serves
}

// round is those who wait for one flush of everything.
type round struct {
	done chan struct{}
	err  error // readable once done is closed
}

// errEach says that each file is to be flushed by itself, as it always may be.
var errEach = errors.New("flush each file")

// OpenDisk makes a Disk of the file system that a folder is on.
func OpenDisk(dir string) *Disk {
	d := &Disk{now: time.Now, turn: make(chan struct{}, 1)}
	f, err := os.Open(dir)
	if err != nil {
		return d
	}
	if !flushesAll(f) {
		f.Close()
		return d
	}
	d.all = func() error {
		if !isStill(f, dir) {
			return fmt.Errorf("%s is on another file system than it was", dir)
		}
		// Open for good: of what was lost a kernel tells whoever had the folder open then.
		if err := unix.Syncfs(int(f.Fd())); err != nil {
			return err
		}
		// It does not tell of a journal that has failed, nor of a file system that was shut
		// down; and without a journal the last blocks come after the disk's cache was emptied.
		return f.Sync()
	}
	return d
}

// isStill says whether a folder's path leads to the file system that it was opened on.
func isStill(f *os.File, dir string) bool {
	var then, now unix.Stat_t
	return unix.Fstat(int(f.Fd()), &then) == nil && unix.Stat(dir, &now) == nil && then.Dev == now.Dev
}

// Flush returns when what was written to the files and folders before is on the disk.
// An error says that some of it may be lost.
func (d *Disk) Flush(files ...Flusher) error { return cmp.Or(d.flush(files)...) }

// flush is Flush with what is known of each file.
func (d *Disk) flush(files []Flusher) []error {
	if len(files) == 0 {
		return nil
	}
	together, leave := d.enter()
	defer leave()
	if together && d.together() == nil {
		return make([]error, len(files))
	}
	return each(files)
}

// enter says whether there are others, and everything may be flushed.
func (d *Disk) enter() (together bool, leave func()) {
	if d == nil || d.all == nil {
		return false, func() {}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	if d.flushing++; d.flushing >= several {
		d.crowd = now.Add(crowdLasts)
	}
	return now.Before(d.crowd) && d.may(now), d.leave
}

func (d *Disk) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flushing--
}

// may says whether everything may be flushed now; whoever asks holds mu.
func (d *Disk) may(now time.Time) bool {
	stuck := !d.began.IsZero() && now.Sub(d.began) > slowFlush
	return !d.failed && !stuck && !now.Before(d.shun)
}

// together waits for a flush of everything that begins after the call. The first of a
// round does it for all.
func (d *Disk) together() error {
	d.mu.Lock()
	r := d.next
	lead := r == nil
	if lead {
		r = &round{done: make(chan struct{}), err: errEach}
		d.next = r
	}
	d.mu.Unlock()
	late := time.NewTimer(slowFlush)
	defer late.Stop()
	if !lead {
		select {
		case <-r.done:
			return r.err
		case <-late.C:
			return errEach
		}
	}
	defer close(r.done)
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
		r.err = d.everything()
	case <-late.C:
		d.begin() // whoever joined has waited, too
	}
	return r.err
}

// begin ends a round's time to join: whoever comes from here on may write too late for it.
// It says whether everything may be flushed.
func (d *Disk) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next = nil
	return d.may(d.now())
}

// everything flushes the file system. Where that fails each flushes his own after it, and
// hears whether those were lost.
func (d *Disk) everything() error {
	if !d.begin() {
		return errEach
	}
	began := d.now()
	d.note(func() { d.began = began })
	err := d.all()
	d.note(func() {
		d.began, d.failed = time.Time{}, err != nil
		if took := d.now().Sub(began); took > slowFlush {
			d.shun = d.now().Add(shunFor * took)
		}
	})
	if err != nil {
		return errEach
	}
	return nil
}

func (d *Disk) note(what func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	what()
}

// each flushes the files at the same time, which costs about as much as one.
func each(files []Flusher) []error {
	errs := make([]error, len(files))
	var all sync.WaitGroup
	for i, f := range files[1:] {
		all.Go(func() { errs[i+1] = f.Sync() })
	}
	errs[0] = files[0].Sync()
	all.Wait()
	return errs
}

// flushesAll says whether one flush can take the place of many. Of these file systems it
// is known what it does, and since Linux 6.6 it is an error when it could not: before 5.8
// nothing was told, and before 6.5 the folder's own flush did not empty the disk's cache.
func flushesAll(dir *os.File) bool {
	var fs unix.Statfs_t
	var name unix.Utsname
	if unix.Fstatfs(int(dir.Fd()), &fs) != nil || unix.Uname(&name) != nil {
		return false
	}
	switch fs.Type {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC:
		return tells(unix.ByteSliceToString(name.Release[:]))
	}
	return false
}

// tells says whether a kernel of that release is of 6.6 or later.
func tells(release string) bool {
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > 6 || major == 6 && minor >= 6
}
