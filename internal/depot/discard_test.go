package depot

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pinwheel/internal/farm"
)

// TestDiscardAndReclaim: what was taken out can be had back, also after the depot
// was opened again, and within a day only.
func TestDiscardAndReclaim(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, dir)
	data := []byte("a wheel")
	f := put(t, d, data)
	path, _ := d.Path(f.SHA256)
	old := time.Now().Add(-100 * 24 * time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	for range 2 { // twice is harmless
		if err := d.Discard(f.SHA256); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.StoredAt(f.SHA256); !errors.Is(err, farm.ErrNotFound) {
		t.Errorf("a discarded file: %v", err)
	}
	d = open(t, dir)
	if back, err := d.Reclaim(f.SHA256); !back || err != nil {
		t.Fatalf("reclaimed %v, %v", back, err)
	}
	check(t, d, data)
	if back, err := d.Reclaim(f.SHA256); back || err != nil {
		t.Errorf("reclaimed again: %v, %v", back, err)
	}

	if err := d.Discard(f.SHA256); err != nil {
		t.Fatal(err)
	}
	if err := d.sweep(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if back, err := d.Reclaim(f.SHA256); back || err != nil {
		t.Errorf("reclaimed after it was swept away: %v, %v", back, err)
	}
}

// TestDiscardUnnamed: what a row names stays, also if the row comes at the last
// moment, and what was discarded long ago goes for good.
func TestDiscardUnnamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, dir)
	named, late, gone, old := put(t, d, []byte("named")), put(t, d, []byte("late")), put(t, d, []byte("gone")), put(t, d, []byte("old"))
	if err := d.Discard(old.SHA256); err != nil {
		t.Fatal(err)
	}
	longAgo := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(d.aside(old.SHA256), longAgo, longAgo); err != nil {
		t.Fatal(err)
	}
	rows := []string{named.SHA256}
	err := d.DiscardUnnamed([]string{named.SHA256, late.SHA256, gone.SHA256}, func([]string) ([]string, error) {
		now := rows
		rows = append(rows, late.SHA256)
		return now, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for f, want := range map[farm.File]bool{named: true, late: true, gone: false} {
		if has, err := d.Has(f.SHA256, f.Size); has != want || err != nil {
			t.Errorf("%s: there %v, %v, want %v", f.SHA256, has, err, want)
		}
	}
	for f, want := range map[farm.File]bool{gone: true, old: false} {
		if back, err := d.Reclaim(f.SHA256); back != want || err != nil {
			t.Errorf("%s: reclaimed %v, %v, want %v", f.SHA256, back, err, want)
		}
	}
	away := errors.New("the database is away")
	err = d.DiscardUnnamed([]string{named.SHA256}, func([]string) ([]string, error) { return nil, away })
	if has, _ := d.Has(named.SHA256, named.Size); !has || !errors.Is(err, away) {
		t.Errorf("when nobody can say what is named: there %v, %v", has, err)
	}
}

// TestReclaimKeepsWhatCame: a file that was put here again is not replaced.
func TestReclaimKeepsWhatCame(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir())
	data := []byte("a wheel")
	f := put(t, d, data)
	if err := d.Discard(f.SHA256); err != nil {
		t.Fatal(err)
	}
	put(t, d, data)
	if back, err := d.Reclaim(f.SHA256); !back || err != nil {
		t.Errorf("reclaimed %v, %v", back, err)
	}
	check(t, d, data)
}

func TestLookMakesNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "depot")
	if _, err := Look(dir); err == nil {
		t.Error("a folder that is not there was opened")
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("it was made")
	}
	f := put(t, open(t, dir), []byte("x"))
	d, err := Look(dir)
	if err != nil {
		t.Fatal(err)
	}
	check(t, d, []byte("x"))
	if at, err := d.StoredAt(f.SHA256); err != nil || time.Since(at) > time.Hour {
		t.Errorf("stored at %v, %v", at, err)
	}
}
