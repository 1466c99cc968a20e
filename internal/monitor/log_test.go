package monitor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pinwheel/internal/bus"
)

// TestLogOfAnEndedBuild: its pieces are put together, searched, and saved.
func TestLogOfAnEndedBuild(t *testing.T) {
	t.Parallel()
	s := newStill()
	b := newBoard(t, s, 80, 24)
	var text strings.Builder
	for i := range 400 {
		fmt.Fprintf(&text, "line %03d\n", i)
		if i == 123 || i == 321 {
			text.WriteString("src/x.c:1: fatal Error: ffi.h\n")
		}
	}
	all := text.String()
	part := bus.LogPart{Build: 7, Package: "cffi", Version: "1.0", Target: "cp311-linux_armv7l", Slave: "pi-01", Outcome: "failed", Cause: "missing-header"}
	first, second := part, part
	first.Data, first.More = []byte(all[:1003]), true // in the middle of a line
	second.Data = []byte(all[1003:])
	s.parts[7] = []bus.LogPart{first, second}
	b.press("7", "o")
	b.typed("7")
	b.press("enter")
	b.shows("build 7 line 385/402 following: cffi 1.0, failed missing-header", "line 399")
	b.press("/")
	b.typed("fatal error")
	b.press("enter")
	b.shows("fatal Error: ffi.h", "line 124")
	top := b.log.top
	b.press("n")
	b.shows("line 322")
	b.press("N")
	if b.log.top != top {
		t.Errorf("n and N: line %d, want %d", b.log.top, top)
	}
	b.press("/")
	b.typed("nowhere")
	b.press("enter")
	b.shows(`no line has "nowhere"`)
	b.press("s")
	path := filepath.Join(b.cfg.Folder, "cffi-1.0-cp311-linux_armv7l-build7.log")
	got, err := os.ReadFile(path)
	if err != nil || string(got) != all {
		t.Errorf("saved: %v, %d bytes, want %d", err, len(got), len(all))
	}
	b.press("s")
	b.shows("not saved: ")
	b.press("g", "right")
	b.shows("build 7 line 1/402:")
	b.hides("line 000")
	b.sound()
}

// TestLogOfABuildUnderWay: it is heard as it is written, gaps are told, and the whole
// takes its place when the build has ended.
func TestLogOfABuildUnderWay(t *testing.T) {
	t.Parallel()
	s := newStill()
	b := newBoard(t, s, 80, 24)
	build := b.snap.Builds[0]
	b.press("3", "enter")
	b.shows("under way, live", "waiting for the next words")
	hear := func(offset, missed int64, text string) {
		b.inbox.chunk(bus.LogChunk{Job: build.Job, Offset: offset, Missed: missed, Data: []byte(text)})
		b.run(b.gather())
	}
	hear(100, 0, "gcc -c a.c\ngcc -c ")
	hear(118, 0, "b.c\n\x1b[31mred\x1b[0m\n")
	b.shows("--- 100 bytes came before", "gcc -c a.c", "gcc -c b.c", "red")
	hear(5000, 4000, "gcc -c z.c\n")
	b.shows("--- 4000 bytes were left out", "gcc -c z.c")
	b.inbox.chunk(bus.LogChunk{Job: build.Job + 1, Data: []byte("of another job\n")})
	b.run(b.gather())
	b.hides("of another job")
	b.sound()

	s.parts[build.Build] = []bus.LogPart{{Build: build.Build, Package: build.Package, Outcome: "built", Data: []byte("the whole log\n")}}
	b.inbox.event(bus.Event{Kind: "built", Package: build.Package, Version: build.Version, Target: build.Target})
	b.run(b.gather())
	b.shows("the whole log", "built")
	b.hides("gcc -c a.c", "under way")
	if s.follow != nil {
		t.Error("it still listens")
	}
}
