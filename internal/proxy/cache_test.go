package proxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func sumOf(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

func newCache(t *testing.T, size int64) *cache {
	t.Helper()
	return openAgain(t, t.TempDir(), size)
}

// openAgain opens a cache as a process does that comes after another.
func openAgain(t *testing.T, dir string, size int64) *cache {
	t.Helper()
	c, err := openCache(Config{CacheDir: dir, CacheSize: size, KeepFree: 1})
	must(t, err)
	t.Cleanup(c.close)
	return c
}

// source is a file to be fetched, and how often it was.
type source struct {
	data  []byte
	times atomic.Int64
}

func (s *source) get(context.Context) (io.ReadCloser, int64, error) {
	s.times.Add(1)
	return io.NopCloser(bytes.NewReader(s.data)), int64(len(s.data)), nil
}

// read takes a whole file out of the cache.
func read(t *testing.T, c *cache, sum string, get fetch) ([]byte, error) {
	t.Helper()
	r, size, err := c.open(t.Context(), sum, get)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err == nil && int64(len(b)) != size {
		t.Errorf("%d bytes, %d were announced", len(b), size)
	}
	return b, err
}

// entries lists the cache's folder.
func entries(t *testing.T, c *cache) []string {
	t.Helper()
	dir, err := os.ReadDir(c.dir)
	must(t, err)
	var names []string
	for _, d := range dir {
		names = append(names, d.Name())
	}
	return names
}

func TestFetchedOnce(t *testing.T) {
	t.Parallel()
	c := newCache(t, 1<<20)
	for _, data := range []string{"", "x", strings.Repeat("much ", 1000)} {
		s := &source{data: []byte(data)}
		sum := sumOf(s.data)
		for range 3 {
			got, err := read(t, c, sum, s.get)
			must(t, err)
			if string(got) != data {
				t.Errorf("got %d bytes, want %d", len(got), len(data))
			}
		}
		c.close()
		c = openAgain(t, c.dir, 1<<20) // as after a restart
		if got, err := read(t, c, sum, s.get); err != nil || string(got) != data {
			t.Errorf("after a restart: %d bytes, %v", len(got), err)
		}
		if n := s.times.Load(); n != 1 {
			t.Errorf("%d bytes were fetched %d times", len(data), n)
		}
	}
}

// slowly gives its data in two halves, the second when it is told to.
func slowly(data []byte, release <-chan struct{}, times *atomic.Int64) fetch {
	return func(ctx context.Context) (io.ReadCloser, int64, error) {
		times.Add(1)
		r, w := io.Pipe()
		go func() {
			w.Write(data[:len(data)/2])
			select {
			case <-release:
				w.Write(data[len(data)/2:])
				w.Close()
			case <-ctx.Done():
				w.CloseWithError(ctx.Err())
			}
		}()
		return r, int64(len(data)), nil
	}
}

// TestReadAlong: who comes while a download is under way has what is there at once,
// and shares the rest.
func TestReadAlong(t *testing.T) {
	t.Parallel()
	c, data, times := newCache(t, 1<<20), bytes.Repeat([]byte("abcdefgh"), 5000), &atomic.Int64{}
	release := make(chan struct{})
	var all sync.WaitGroup
	half := make(chan struct{}, 20)
	for range 20 {
		all.Go(func() {
			r, _, err := c.open(t.Context(), sumOf(data), slowly(data, release, times))
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Close()
			first := make([]byte, len(data)/2)
			if _, err := io.ReadFull(r, first); err != nil {
				t.Error(err)
			}
			half <- struct{}{}
			rest, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(append(first, rest...), data) {
				t.Errorf("%d bytes, %v", len(first)+len(rest), err)
			}
		})
	}
	for range 20 {
		<-half
	}
	if n := times.Load(); n != 1 {
		t.Errorf("fetched %d times by 20 at once", n)
	}
	close(release)
	all.Wait()
}

// TestLeftAlone: a download ends when nobody reads along any more, goes on as long as
// one does, and leaves nothing.
func TestLeftAlone(t *testing.T) {
	t.Parallel()
	c, data, times := newCache(t, 1<<20), []byte("half and half"), &atomic.Int64{}
	never := make(chan struct{})
	get := slowly(data, never, times)
	first, _, err := c.open(t.Context(), sumOf(data), get)
	must(t, err)
	second, _, err := c.open(t.Context(), sumOf(data), get)
	must(t, err)
	must(t, first.Close())
	must(t, first.Close())
	b := make([]byte, 3)
	if _, err := io.ReadFull(second, b); err != nil {
		t.Errorf("the other one went, and took the download along: %v", err)
	}
	f := second.(*along).f
	must(t, second.Close())
	<-f.ctx.Done()
	good := &source{data: data}
	if got, err := read(t, c, sumOf(data), good.get); err != nil || !bytes.Equal(got, data) {
		t.Errorf("afterwards: %q, %v", got, err)
	}
	if got := strings.Join(entries(t, c), " "); !strings.Contains(got, sumOf(data)) {
		t.Errorf("in the folder: %s", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, _, err := c.open(ctx, sumOf([]byte("other")), slowly([]byte("other"), never, times))
	must(t, err)
	cancel()
	if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
		t.Errorf("whose build has ended reads on: %v", err)
	}
	must(t, r.Close())
}

// TestNotWhatItShouldBe: a file with another sum is never given out whole, and one
// that ends early, fails or is larger never becomes an entry.
func TestNotWhatItShouldBe(t *testing.T) {
	t.Parallel()
	broken := errors.New("cable")
	for name, get := range map[string]fetch{
		"another file": func(context.Context) (io.ReadCloser, int64, error) {
			return io.NopCloser(strings.NewReader("b")), 1, nil
		},
		"cut off": func(context.Context) (io.ReadCloser, int64, error) {
			return io.NopCloser(strings.NewReader("abc")), 4, nil
		},
		"broken": func(context.Context) (io.ReadCloser, int64, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader("ab"), errReader{broken})), 4, nil
		},
		"refused": func(context.Context) (io.ReadCloser, int64, error) { return nil, 0, broken },
	} {
		c := newCache(t, 1<<20)
		if got, err := read(t, c, sumOf([]byte("abcd")), get); err == nil {
			t.Errorf("%s: %q", name, got)
		}
		c.settle()
		if left := entries(t, c); len(left) > 0 {
			t.Errorf("%s: left %v", name, left)
		}
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// settle waits until no download is under way.
func (c *cache) settle() {
	for {
		c.mu.Lock()
		n := len(c.flights)
		c.mu.Unlock()
		if n == 0 {
			return
		}
	}
}

func TestPastTheCache(t *testing.T) {
	t.Parallel()
	s := &source{data: bytes.Repeat([]byte("x"), 100)}
	unknown := func(ctx context.Context) (io.ReadCloser, int64, error) {
		r, _, err := s.get(ctx)
		return r, -1, err
	}
	small, full := newCache(t, 100), newCache(t, 1<<20)
	full.free = 1 << 60 // as if the disk were full
	for name, open := range map[string]func() (io.ReadCloser, int64, error){
		"too large": func() (io.ReadCloser, int64, error) { return small.open(t.Context(), sumOf(s.data), s.get) },
		"size unknown": func() (io.ReadCloser, int64, error) {
			return newCache(t, 1<<20).open(t.Context(), sumOf(s.data), unknown)
		},
		"disk full": func() (io.ReadCloser, int64, error) { return full.open(t.Context(), sumOf(s.data), s.get) },
	} {
		if _, _, err := open(); !errors.Is(err, errUncached) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left := append(entries(t, small), entries(t, full)...); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// TestDamaged: what a disk or a hand did to an entry is noticed, before it is given
// out, and the entry is replaced.
func TestDamaged(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(path string) error{
		"other bytes": func(path string) error { return os.WriteFile(path, []byte("abcx"), 0o600) },
		"cut":         func(path string) error { return os.Truncate(path, 2) },
		"empty":       func(path string) error { return os.Truncate(path, 0) },
	} {
		c, s := newCache(t, 1<<20), &source{data: []byte("abcd")}
		sum := sumOf(s.data)
		_, err := read(t, c, sum, s.get)
		must(t, err)
		must(t, damage(filepath.Join(c.dir, sum)))
		must(t, os.Chtimes(filepath.Join(c.dir, sum), time.Now(), time.Now().Add(-time.Hour)))
		if got, err := read(t, c, sum, s.get); err != nil || string(got) != "abcd" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if n := s.times.Load(); n != 2 {
			t.Errorf("%s: fetched %d times", name, n)
		}
	}
}

// TestAfterAKill: what was under way when the process was killed is nothing, and is
// removed.
func TestAfterAKill(t *testing.T) {
	t.Parallel()
	c, s := newCache(t, 1<<20), &source{data: []byte("abcd")}
	_, err := read(t, c, sumOf(s.data), s.get)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(c.dir, unfinished+"123"), []byte("ab"), 0o600))
	c.close()
	again := openAgain(t, c.dir, 1<<20)
	if left := entries(t, again); len(left) != 1 || left[0] != sumOf(s.data) {
		t.Errorf("left %v", left)
	}
}

// TestLeastUsedGoes: also across a restart.
func TestLeastUsedGoes(t *testing.T) {
	t.Parallel()
	c := newCache(t, 250)
	put := func(letter string) string {
		s := &source{data: bytes.Repeat([]byte(letter), 100)}
		_, err := read(t, c, sumOf(s.data), s.get)
		must(t, err)
		c.settle()
		return sumOf(s.data)
	}
	a, b := put("a"), put("b")
	old := time.Now().Add(-time.Hour)
	for i, sum := range []string{a, b} {
		info, err := os.Stat(filepath.Join(c.dir, sum))
		must(t, err)
		must(t, os.Chtimes(filepath.Join(c.dir, sum), old.Add(time.Duration(i)*time.Minute), info.ModTime()))
	}
	c.close()
	c = openAgain(t, c.dir, 250)
	put("a") // used again: now b is the one
	third := put("c")
	left := strings.Join(entries(t, c), " ")
	if strings.Contains(left, b) || !strings.Contains(left, a) || !strings.Contains(left, third) {
		t.Errorf("left %s, without %s", left, b)
	}
}
