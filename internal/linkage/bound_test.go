package linkage

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// TestBounded: a directory that is too large is refused before it is read, whatever
// the end record says of it.
func TestBounded(t *testing.T) {
	t.Parallel()
	many := zipOf(t, maxEntries+1)
	few := zipOf(t, 3)
	end := bytes.LastIndex(many, []byte("PK\x05\x06"))
	liar := bytes.Clone(many)
	copy(liar[end+8:], []byte{1, 0, 1, 0}) // one entry, and a directory of 10 MB
	copy(liar[end+12:], []byte{46, 0, 0, 0})
	for name, c := range map[string]struct {
		zip  []byte
		want error
	}{
		"few": {few, nil}, "many": {many, errTooMany}, "said to be one": {liar, errTooMany}, "empty": {nil, nil},
		"two ends": {append(bytes.Clone(many), few[bytes.LastIndex(few, []byte("PK\x05\x06")):]...), errTooMany},
	} {
		if err := bounded(bytes.NewReader(c.zip), int64(len(c.zip))); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// zipOf has so many empty files with names of 500 bytes.
func zipOf(t *testing.T, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := range n {
		if _, err := w.CreateHeader(&zip.FileHeader{Name: fmt.Sprintf("%0500d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
