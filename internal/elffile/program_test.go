package elffile

import (
	"bytes"
	"debug/elf"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestProgram: as the standard library reads them, of programs that are here anyway.
func TestProgram(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/bin/sh", "/proc/self/exe"} {
		p, err := OpenProgram(path)
		want, err2 := elf.Open(path)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		defer want.Close()
		loader := ""
		if i := slices.IndexFunc(want.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }); i >= 0 {
			b, err := io.ReadAll(want.Progs[i].Open())
			if err != nil {
				t.Fatal(err)
			}
			loader = strings.TrimRight(string(b), "\x00")
		}
		if p.Loader != loader || p.Machine != machineName(uint16(want.Machine)) {
			t.Errorf("%s: %+v, want loader %q", path, p, loader)
		}
	}
	if _, err := OpenProgram("/etc/passwd"); err == nil {
		t.Error("a text is a program")
	}
	if _, err := OpenProgram("/nowhere"); !os.IsNotExist(err) {
		t.Errorf("%v", err)
	}
}

func FuzzProgram(f *testing.F) {
	if b, err := os.ReadFile("/bin/sh"); err == nil {
		f.Add(b[:min(len(b), 4096)])
	}
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := readProgram(bytes.NewReader(b), int64(len(b)))
		if err == nil && p.Class != 32 && p.Class != 64 || len(p.Loader) > maxLoader {
			t.Errorf("%+v, %v", p, err)
		}
	})
}
