package collect

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
	"pinwheel/internal/storetest"
	"pinwheel/internal/wheel"
)

// wheelsOf are the file names of a project's page, each with what is said of its copy.
func (w *world) wheelsOf(name string) map[string]string {
	w.t.Helper()
	known, err := w.Store.KnownProjects(w.t.Context(), []string{name})
	w.Must(err)
	out := map[string]string{}
	for _, r := range known[name].Releases {
		list, err := w.Store.WheelsOf(w.t.Context(), r.ID)
		w.Must(err)
		for _, x := range list {
			out[x.Filename] = x.CopyOf + x.NoARMv6l
		}
	}
	return out
}

func (w *world) sound() {
	w.t.Helper()
	wrong, err := w.Store.Contradictions(w.t.Context())
	w.Must(err)
	for _, line := range wrong {
		w.t.Error(line)
	}
}

// read is a file of the depot.
func (w *world) read(f farm.File) []byte {
	w.t.Helper()
	r, closer, err := w.cfg.Depot.Reader(f.SHA256)
	w.Must(err)
	defer closer.Close()
	b := make([]byte, f.Size)
	_, err = r.ReadAt(b, 0)
	w.Must(err)
	return b
}

// TestCopies: a proven wheel has its copy beside it, another one the reason why not.
func TestCopies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	storetest.BringARM(t, w.Store, w.local, "a", "six", "v6.so")
	storetest.BringARM(t, w.Store, w.local, "a", "seven", "v6.so", "v7.so")
	storetest.BringARM(t, w.Store, w.local, "a", "silent", "v6-stripped.so")
	storetest.BringARM(t, w.Store, w.local, "a", "none")
	pages, err := w.Store.StalePages(t.Context(), 10)
	w.Must(err)
	w.Must(w.Store.PagesWritten(t.Context(), pages...))

	w.Must(w.makeCopies(t.Context()))
	w.sound()
	const v7, v6 = "-1.0-cp311-cp311-linux_armv7l.whl", "-1.0-cp311-cp311-linux_armv6l.whl"
	if diff := cmp.Diff(map[string]string{"six" + v7: "", "six" + v6: "six" + v7}, w.wheelsOf("six")); diff != "" {
		t.Errorf("six (-want +got):\n%s", diff)
	}
	for name, why := range map[string]string{"seven": "ARMv7", "silent": "it has no attributes", "none": "no ELF file"} {
		got := w.wheelsOf(name)
		if len(got) != 1 || !strings.Contains(got[name+v7], why) {
			t.Errorf("%s: %v, want %s", name, got, why)
		}
	}
	stale, err := w.Store.StalePages(t.Context(), 10)
	w.Must(err)
	if len(stale) != 1 || stale[0].Scope != "six" {
		t.Errorf("stale pages: %v", stale)
	}
	w.checkCopy("six")

	before := w.wheelsOf("six")
	w.Must(w.makeCopies(t.Context())) // there is nothing left to do
	if diff := cmp.Diff(before, w.wheelsOf("six")); diff != "" {
		t.Error(diff)
	}
}

// checkCopy verifies the copy as pip gets it, and holds its row to it.
func (w *world) checkCopy(name string) {
	w.t.Helper()
	page, err := w.Store.Page(w.t.Context(), name)
	w.Must(err)
	i := slices.IndexFunc(page.Wheels, func(x store.WheelRow) bool { return strings.Contains(x.Filename, "armv6l") })
	if i < 0 {
		w.t.Fatalf("%s has no copy", name)
	}
	row := page.Wheels[i]
	b := w.read(farm.File{SHA256: row.SHA256, Size: row.Size})
	want, err := expected(name, "1.0", store.TargetRow{Target: farm.Target{ABI: "cp311", Platform: "linux_armv6l"}})
	w.Must(err)
	r, err := wheel.Verify(w.t.Context(), bytes.NewReader(b), row.Size, row.Filename, want)
	w.Must(err)
	if !r.Accepted || r.SHA256 != row.SHA256 || !bytes.Equal(r.MetadataBytes, row.Metadata) || !slices.Equal(r.Tags, row.Tags) {
		w.t.Errorf("the copy is not what its row says: %+v, %+v", r, row)
	}
}

// TestVouching: a target that vouches for its compiler has the copies of what was not
// proven before, and not of what is proven to be otherwise. What was copied stays.
func TestVouching(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	storetest.BringARM(t, w.Store, w.local, "a", "seven", "v7.so")
	storetest.BringARM(t, w.Store, w.local, "a", "silent", "v6-stripped.so")
	w.Must(w.makeCopies(t.Context()))
	w.Must(w.Store.VouchARMv6(t.Context(), target(), true, "test"))
	w.Must(w.makeCopies(t.Context()))
	if n := len(w.wheelsOf("silent")); n != 2 {
		t.Errorf("of what says nothing there are %d wheels", n)
	}
	if n := len(w.wheelsOf("seven")); n != 1 {
		t.Errorf("of what says that it is for ARMv7 there are %d wheels", n)
	}
	w.Must(w.Store.VouchARMv6(t.Context(), target(), false, "test"))
	storetest.BringARM(t, w.Store, w.local, "a", "later", "v6-stripped.so")
	w.Must(w.makeCopies(t.Context()))
	if a, b := len(w.wheelsOf("silent")), len(w.wheelsOf("later")); a != 2 || b != 1 {
		t.Errorf("%d wheels of before, %d of after", a, b)
	}
	w.sound()
	if err := w.Store.VouchARMv6(t.Context(), farm.Target{ABI: "cp39", Platform: "linux_armv7l"}, true, "test"); !errors.Is(err, farm.ErrNotFound) {
		t.Errorf("of a target that is not there: %v", err)
	}
}

// TestCopiesOfEarlierWheels: what a program of before has brought, and a copy that
// another master, or this one before it was killed, has put into the depot.
func TestCopiesOfEarlierWheels(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file := storetest.BringARM(t, w.Store, w.local, "a", "six", "v6.so")
	made, err := MakeCopy(t.Context(), w.cfg.Depot, file)
	w.Must(err)
	again, err := MakeCopy(t.Context(), w.cfg.Depot, file)
	w.Must(err)
	if made != again {
		t.Errorf("%+v, then %+v", made, again)
	}
	w.Must(w.makeCopies(t.Context()))
	w.checkCopy("six")
	w.Exec(`update wheels set no_armv6l = null`) // as if nobody had looked, with the copy there
	w.Must(w.makeCopies(t.Context()))
	for name, said := range w.wheelsOf("six") {
		if strings.Contains(name, "armv7l") && !strings.Contains(said, "was published before") {
			t.Errorf("%s: %q", name, said)
		}
	}
}

// TestNameOfACopyIsTaken: a name is never used again.
func TestNameOfACopyIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Exec(`insert into published_names (filename, sha256, size) values ('six-1.0-cp311-cp311-linux_armv6l.whl', repeat('a', 64), 7)`)
	storetest.BringARM(t, w.Store, w.local, "a", "six", "v6.so")
	w.Must(w.makeCopies(t.Context()))
	got := w.wheelsOf("six")
	if len(got) != 1 || !strings.Contains(got["six-1.0-cp311-cp311-linux_armv7l.whl"], "was published before") {
		t.Errorf("%v", got)
	}
	w.sound()
}

// TestCopyGoesWithItsWheel: both are withdrawn, in one transaction.
func TestCopyGoesWithItsWheel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	storetest.BringARM(t, w.Store, w.local, "a", "six", "v6.so")
	w.Must(w.makeCopies(t.Context()))
	removed, err := w.Store.Remove(t.Context(), "six", nil, "test")
	w.Must(err)
	gone, err := w.Store.WithdrawnOf(t.Context(), []string{"six"})
	w.Must(err)
	if len(removed.Wheels) != 2 || len(gone) != 2 {
		t.Errorf("removed %v, withdrawn %v", removed.Wheels, gone)
	}
	w.sound()
	added, err := w.Store.AddCopy(t.Context(), 1, farm.File{Name: "x", SHA256: strings.Repeat("b", 64), Size: 1}, nil)
	if added || err != nil {
		t.Errorf("the copy of a wheel that is gone: %v, %v", added, err)
	}
}

// lossy is a depot that cannot take files, or has lost one.
type lossy struct {
	Depot
	full bool
	lost string
}

func (d *lossy) Put(ctx context.Context, r io.Reader, want farm.File) error {
	if d.full {
		return errDepot
	}
	return d.Depot.Put(ctx, r, want)
}

func (d *lossy) Reader(sha string) (io.ReaderAt, io.Closer, error) {
	if sha == d.lost {
		return nil, nil, errDepot
	}
	return d.Depot.Reader(sha)
}

var errDepot = errors.New("depot")

// TestCopiesWait for a disk that is full, and one wheel that is lost keeps no other from
// its copy.
func TestCopiesWait(t *testing.T) {
	t.Parallel()
	d := &lossy{full: true}
	w := newWorld(t, func(c *Config) { d.Depot, c.Depot = c.Depot, d })
	lost := storetest.BringARM(t, w.Store, w.local, "a", "lost", "v6.so")
	storetest.BringARM(t, w.Store, w.local, "a", "six", "v6.so")
	if err := w.makeCopies(t.Context()); !errors.Is(err, errDepot) {
		t.Errorf("on a full disk: %v", err)
	}
	w.sound()
	d.full, d.lost = false, lost.SHA256
	if err := w.makeCopies(t.Context()); !errors.Is(err, errDepot) || !strings.Contains(err.Error(), lost.Name) {
		t.Errorf("with a lost wheel: %v", err)
	}
	w.checkCopy("six")
	d.lost = ""
	w.Must(w.makeCopies(t.Context()))
	w.checkCopy("lost")
	w.sound()
}

// watched is a depot that tells when it is read.
type watched struct {
	Depot
	read func()
}

func (d watched) Reader(sha string) (io.ReaderAt, io.Closer, error) {
	d.read()
	return d.Depot.Reader(sha)
}

// TestOneMakesCopies: of several masters on one database one reads wheels for that, and
// when it ends another goes on where it was.
func TestOneMakesCopies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	storetest.BringARM(t, w.Store, w.local, "a", "six", "v6.so")
	var reading atomic.Int64
	led := make(chan context.CancelFunc)
	var all sync.WaitGroup
	for range 3 {
		ctx, end := context.WithCancel(t.Context())
		cfg := w.cfg
		cfg.Depot = watched{cfg.Depot, func() {
			if reading.Add(1) != 1 {
				t.Error("two make copies at once")
			}
			defer reading.Add(-1)
			led <- end
			<-ctx.Done()
		}}
		c := New(cfg)
		t.Cleanup(c.Close)
		all.Go(func() {
			if err := c.Copies(ctx); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	end := <-led
	select { // the others have begun too, and are done with that long before
	case <-led:
		t.Fatal("two make copies at once")
	case <-time.After(time.Second):
	}
	end()
	for range 2 {
		end := <-led
		end()
	}
	all.Wait()
	w.Must(w.makeCopies(t.Context()))
	w.checkCopy("six")
}

// TestNewerGlibcIsRejected: by what is known of the target, as slaves have told it.
func TestNewerGlibcIsRejected(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Must(w.Store.FillTargetFacts(t.Context(), target(), farm.Facts{Glibc: "2.3"}))
	l := w.lease()
	file, b := storetest.ARMWheel(t, "demo", "v6.so")
	w.wantAccepted(w.bring("a", built(l, file, []byte("log")), []byte("log"), b), "rejected: it needs glibc 2.4, cp311-linux_armv7l has 2.3")
	w.wantState(farm.Failed, farm.Rejected)
}

// TestRecordHasWhatTheMasterRead: of the ELF files what the wheel says, whatever the slave
// says; of the system's libraries what only the slave can know, within bounds.
func TestRecordHasWhatTheMasterRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.lease()
	file, b := storetest.ARMWheel(t, "demo", "v6.so")
	r := built(l, file, []byte("log"))
	r.Record.ELF = []farm.ELF{{Path: "lies"}}
	r.Record.Libraries = []farm.Library{{SOName: "libm.so.6", Package: "libc6"}, {SOName: "libx.so.1\x00", Package: "not a name"}}
	w.wantAccepted(w.bring("a", r, []byte("log"), b), "")
	conn := w.Connect()
	defer conn.Close(context.Background())
	var rec farm.Record
	w.Must(conn.QueryRow(t.Context(), `select record from builds where job_id = $1`, l.Job).Scan(&rec))
	if len(rec.ELF) != 1 || !strings.HasSuffix(rec.ELF[0].Path, "gnueabihf.so") || rec.ELF[0].ARM.CPU != "v6" {
		t.Errorf("of the ELF files is kept %+v", rec.ELF)
	}
	want := []farm.Library{{SOName: "libm.so.6", Package: "libc6"}, {SOName: rec.Libraries[1].SOName}}
	if diff := cmp.Diff(want, rec.Libraries); diff != "" || strings.Contains(rec.Libraries[1].SOName, "\x00") {
		t.Errorf("libraries (-want +got):\n%s", diff)
	}
	select {
	case <-w.copies:
	default:
		t.Error("nobody is woken to make a copy")
	}
}
