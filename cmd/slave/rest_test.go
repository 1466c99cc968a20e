package main

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestFileMappings: nothing that can be written, that was, or that is no file's.
func TestFileMappings(t *testing.T) {
	t.Parallel()
	const smaps = `00400000-00c00000 r-xp 00000000 fe:01 1234   /usr/bin/pinwheel-slave
Size:               8192 kB
Anonymous:             0 kB
Swap:                  0 kB
00c00000-01000000 r--p 00800000 fe:01 1234   /usr/bin/pinwheel slave
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd mr mw me
01000000-01100000 rw-p 00c00000 fe:01 1234   /usr/bin/pinwheel-slave
Anonymous:             0 kB
01100000-01200000 r--p 00d00000 fe:01 1234   /usr/bin/pinwheel-slave
Anonymous:             4 kB
01200000-01300000 r--p 00e00000 fe:01 1234   /usr/bin/pinwheel-slave
Anonymous:             0 kB
Swap:                  8 kB
c000000000-c000400000 rw-p 00000000 00:00 0
Anonymous:          4096 kB
c000400000-c000500000 r--p 00000000 00:00 0
Anonymous:             0 kB
7ffd1000-7ffd2000 r-xp 00000000 00:00 0                   [vdso]
Anonymous:             0 kB
`
	want := []mapping{{0x400000, 0xc00000}, {0xc00000, 0x1000000}}
	if got := fileMappings(strings.NewReader(smaps)); !reflect.DeepEqual(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

// TestRest: this very program gives its own pages back, and goes on.
func TestRest(t *testing.T) {
	t.Parallel()
	for range 3 {
		rest()
	}
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	if len(fileMappings(strings.NewReader(string(text)))) == 0 {
		t.Error("nothing of this program's file could be given back")
	}
}

func FuzzFileMappings(f *testing.F) {
	f.Add("0-1 r-xp 0 0:0 1 /x\nAnonymous: 0 kB\n")
	f.Fuzz(func(t *testing.T, smaps string) {
		for _, m := range fileMappings(strings.NewReader(smaps)) {
			if m.from >= m.to {
				t.Errorf("%x", m)
			}
		}
	})
}
