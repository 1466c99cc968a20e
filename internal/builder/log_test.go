package builder

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

var noteForm = regexp.MustCompile(`\n\[\.\.\. (\d+) bytes left out \.\.\.\]\n`)

// Whatever is written in whatever pieces, the log is head, note and tail of
// it, and never longer than its limit.
func TestCappedLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(0, 12<<10).Draw(t, "limit")
		sizes := rapid.SliceOfN(rapid.IntRange(0, 9<<10), 0, 12).Draw(t, "sizes")
		l, err := newLog(dir, limit)
		if err != nil {
			t.Fatal(err)
		}
		defer l.close()
		var all []byte
		for _, n := range sizes {
			p := make([]byte, n)
			for i := range p {
				p[i] = "abcdefg hijklm\nnop\tqrstuvwxyz"[(len(all)+i)*7%28]
			}
			all = append(all, p...)
			l.add(p)
		}
		var got bytes.Buffer
		if err := l.copyTo(&got); err != nil {
			t.Fatal(err)
		}
		checkCapped(t, all, got.Bytes(), max(limit, smallestLog))
	})
}

func checkCapped(t *rapid.T, all, got []byte, limit int64) {
	if int64(len(got)) > limit {
		t.Fatalf("%d bytes, limit %d", len(got), limit)
	}
	at := noteForm.FindSubmatchIndex(got)
	if at == nil {
		if !bytes.Equal(got, all) {
			t.Fatalf("%d bytes of %d, and no note", len(got), len(all))
		}
		return
	}
	head, tail := got[:at[0]], got[at[1]:]
	if !bytes.HasPrefix(all, head) || !bytes.HasSuffix(all, tail) {
		t.Fatal("neither head nor tail")
	}
	if want := fmt.Sprint(len(all) - len(head) - len(tail)); string(got[at[2]:at[3]]) != want {
		t.Fatalf("%s bytes are said to be left out, not %s", got[at[2]:at[3]], want)
	}
}

func TestLogKeepsItsEndAndItsSum(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := newLog(dir, 8<<10)
	must(t, err)
	defer l.close()
	l.add(bytes.Repeat([]byte{0, 0xff, '\n'}, 10<<10))
	l.add([]byte("the e"))
	l.add([]byte("nd"))
	path := filepath.Join(dir, "log")
	file, err := l.save(path)
	must(t, err)
	text, err := os.ReadFile(path)
	must(t, err)
	if file.Size != int64(len(text)) || len(file.SHA256) != 64 || file.Name != "log" {
		t.Errorf("%+v for %d bytes", file, len(text))
	}
	end, err := l.end(7)
	if err != nil || string(end) != "the end" {
		t.Errorf("end = %q, %v", end, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestLogThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	l, err := newLog(t.TempDir(), 8<<10)
	must(t, err)
	l.close()
	l.add([]byte("lost"))
	l.add([]byte("too"))
	l.harmless.Flush()
	if l.err == nil || l.taken != 7 || l.written != 7 {
		t.Errorf("%v after %d bytes of %d", l.err, l.written, l.taken)
	}
	if _, err := newLog(filepath.Join(t.TempDir(), "absent"), 1); err == nil {
		t.Error("made a log in no folder")
	}
}
