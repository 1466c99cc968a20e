package wheel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/elffile"
	"pinwheel/internal/wheeltest"
)

// TestCostlyELF: ELF files that cost a hundred times their bytes, of which a wheel within
// all limits of size has room for thousands, are refused: by counting, so at the same
// place on every machine.
func TestCostlyELF(t *testing.T) {
	t.Parallel()
	names := strings.Repeat(strings.Repeat("n", 1000)+"\x00", 10)
	greedy := string(wheeltest.Library{Machine: wheeltest.ARM, Names: 9_900, Long: names}.Make())
	sections := string(wheeltest.Library{Machine: wheeltest.ARM, Sections: 0xff00, Long: names}.Make())
	empty := fmt.Sprintf("%-16s%-32s%-10d`\n", "x.o/", "", 0)
	members := "!<arch>\n" + strings.Repeat(empty, 19_000)
	for _, c := range []struct {
		what, data string
		n          int
	}{{"versions", greedy, 30}, {"sections", sections, 5}, {"members", members, 2}} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			r := good()
			for i := range c.n {
				r.files = append(r.files, file{name: fmt.Sprintf("demo_pkg/%d", i), data: c.data})
			}
			b := r.build()
			l := DefaultLimits()
			l.ELF.Bytes /= 32 // a part of each, to be done at once
			l.ELF.Files /= 32
			start := time.Now()
			got, err := l.Verify(t.Context(), bytes.NewReader(b), int64(len(b)), goodName, want())
			t.Logf("%d bytes: %v", len(b), time.Since(start))
			if err != nil || got.Accepted || !slices.Contains(codes(got), CodeCostELF) {
				t.Errorf("accepted %v, %v, %v", got.Accepted, err, codes(got))
			}
			if n := len(got.Findings); got.Findings[n-1].Code != CodeCostELF {
				t.Errorf("it went on: %v", codes(got))
			}
		})
	}
}

// TestManySmallELF: that a wheel has very many ELF files is no reason to refuse it.
func TestManySmallELF(t *testing.T) {
	t.Parallel()
	w := wheeltest.Wheel{Name: "demo_pkg", Version: "1.0", Tag: "cp311-cp311-linux_armv7l"}
	small := []byte(elfLibrary(arm, "2.4", "libc.so.6"))
	for i := range 5_000 {
		w.Files = append(w.Files, wheeltest.File{Name: fmt.Sprintf("demo_pkg/_%d.so", i), Body: small})
	}
	_, b := w.Make(t)
	start := time.Now()
	got := check(t, b, goodName)
	t.Logf("%d bytes: %v", len(b), time.Since(start))
	if !got.Accepted || got.ARMv6.Proven || !strings.Contains(got.ARMv6.Reason, "more ELF files") || len(got.ELF) != elffile.MaxFiles {
		t.Errorf("accepted %v, %d files, %+v, %+v", got.Accepted, len(got.ELF), got.ARMv6, got.Findings[:min(3, len(got.Findings))])
	}
}

// steps is a clock that goes on by so much at every look.
type steps struct {
	t    time.Time
	each time.Duration
}

func (s *steps) now() time.Time {
	s.t = s.t.Add(s.each)
	return s.t
}

// TestTime: what takes too long is refused, and the cause says so. A machine that stands
// still for a day at every step costs a wheel no more than steps do.
func TestTime(t *testing.T) {
	t.Parallel()
	var files []file
	for i := range 50 {
		files = append(files, file{name: fmt.Sprintf("demo_pkg/%d", i), data: strings.Repeat("x", 1000), method: 8})
	}
	files = append(files, file{name: module, data: realELF(t, "v6.so"), method: 8})
	b := good(files...).build()
	verify := func(time_, each time.Duration) Report {
		l := DefaultLimits()
		l.Time, l.Now = time_, (&steps{time.Now(), each}).now
		r, err := l.Verify(t.Context(), bytes.NewReader(b), int64(len(b)), goodName, want())
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := verify(time.Minute, 10*time.Millisecond); !r.Accepted {
		t.Errorf("in time: %+v", r.Findings)
	}
	for left := range 50 {
		r := verify(time.Duration(left)*10*time.Millisecond, 10*time.Millisecond)
		last := r.Findings[len(r.Findings)-1]
		if r.Accepted || last.Code != CodeCostTime || len(r.Findings) != 1 {
			t.Fatalf("after %d steps: %+v", left, r.Findings)
		}
	}
	if r := verify(3*time.Minute, 24*time.Hour); !r.Accepted {
		t.Errorf("on a machine that stood still: %+v", r.Findings)
	}
}

// slowDisk takes an hour for each reading, by the clock of the verification.
type slowDisk struct {
	*bytes.Reader
	clock *steps
}

func (s slowDisk) ReadAt(p []byte, off int64) (int, error) {
	s.clock.t = s.clock.t.Add(time.Hour)
	return s.Reader.ReadAt(p, off)
}

// TestTimeOfTheDepot is not the wheel's: what is waited for is not counted.
func TestTimeOfTheDepot(t *testing.T) {
	t.Parallel()
	b := good(file{name: module, data: realELF(t, "v6.so"), method: 8}).build()
	clock := &steps{t: time.Now()}
	l := DefaultLimits()
	l.Time, l.Now = time.Millisecond, clock.now
	r, err := l.Verify(t.Context(), slowDisk{bytes.NewReader(b), clock}, int64(len(b)), goodName, want())
	if err != nil || !r.Accepted {
		t.Errorf("%v, %+v", err, r.Findings)
	}
}

// TestCancelledWhileELFIsRead: a master that ends does not wait for a file that takes long.
func TestCancelledWhileELFIsRead(t *testing.T) {
	t.Parallel()
	// looks verifies a wheel, cancels with that look at the clock, and says how many there were.
	looks := func(names, cancelled int) (n int, err error) {
		long := strings.Repeat(strings.Repeat("n", 1000)+"\x00", 10)
		elf := string(wheeltest.Library{Machine: wheeltest.ARM, Names: names, Long: long}.Make())
		b := good(file{name: module, data: elf}).build()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		l := DefaultLimits()
		l.Now = func() time.Time {
			if n++; n == cancelled {
				cancel()
			}
			return time.Now()
		}
		_, err = l.Verify(ctx, bytes.NewReader(b), int64(len(b)), goodName, want())
		return n, err
	}
	short, err := looks(100, 0)
	if err != nil {
		t.Fatal(err)
	}
	long, err := looks(9_900, 0)
	if err != nil || long < short+3 {
		t.Fatalf("%d looks at the clock while a file is read that takes long, %d else: %v", long, short, err)
	}
	for at := 1; at < long-1; at++ {
		if n, err := looks(9_900, at); !errors.Is(err, context.Canceled) || n > at+2 {
			t.Errorf("cancelled at look %d, it ends after %d with %v", at, n, err)
		}
	}
}

// TestLongNames: a wheel of some kilobytes, whose archive has members without end and a name as
// long as a zip has room for, costs no more memory than any: neither where the name is refused,
// nor where it is as long as it may be. It is not parallel: others would be measured.
func TestLongNames(t *testing.T) {
	empty := fmt.Sprintf("%-16s%-32s%-10d`\n", "x.o/", "", 0)
	members := "!<arch>\n" + strings.Repeat(empty, 20_000)
	folders := strings.Repeat(strings.Repeat("a", 99)+"/", 10)
	for _, c := range []struct {
		what, name, data string
		accepted         bool
	}{
		{"refused", strings.Repeat("a", 30_000), members, false},
		{"as long as it may be", folders + "x.a", members, true},
		{"a module", folders + "x.abi3.so", elfLibrary(i386, "2.4"), false}, // by the end of its name
		{"a module that is refused", strings.Repeat("a", 30_000) + ".abi3.so", elfLibrary(i386, "2.4"), false},
	} {
		b := good(file{name: c.name, data: c.data, method: 8}).build()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := Verify(t.Context(), bytes.NewReader(b), int64(len(b)), goodName, want())
		runtime.ReadMemStats(&after)
		n := after.TotalAlloc - before.TotalAlloc
		t.Logf("%s: a wheel of %d bytes costs %d bytes of memory", c.what, len(b), n)
		if err != nil || n > 24<<20 || len(r.ELF) > elffile.MaxFiles {
			t.Errorf("%s: a wheel of %d bytes costs %d bytes of memory, %d files: %v", c.what, len(b), n, len(r.ELF), err)
		}
		if r.Accepted != c.accepted || r.ARMv6 != nil && r.ARMv6.Proven {
			t.Errorf("%s: accepted %v, %+v: %+v", c.what, r.Accepted, r.ARMv6, r.Findings)
		}
	}
}
