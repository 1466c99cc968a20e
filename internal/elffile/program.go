package elffile

import (
	"bytes"
	"io"
	"os"
)

// Program is what the kernel must know to start a program.
type Program struct {
	Machine string // as farm.ELF has it
	Class   int    // 32 or 64
	Loader  string // the path of the program that loads it; "" for one that is linked statically
}

// maxLoader bounds the path of a loader, in bytes.
const maxLoader = 4096

// OpenProgram reads the program in a file. An error says that it cannot be read, or is
// no program.
func OpenProgram(path string) (Program, error) {
	r, err := os.Open(path)
	if err != nil {
		return Program{}, err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return Program{}, err
	}
	return readProgram(r, info.Size())
}

func readProgram(r io.ReaderAt, size int64) (Program, error) {
	budget := DefaultBudget()
	f := &file{r: r, size: size, budget: &budget}
	if err := f.header(); err != nil {
		return Program{}, err
	}
	p := Program{Machine: f.facts.Machine, Class: f.facts.Class}
	if _, err := f.segments(); err != nil {
		return p, err
	}
	if f.loader.size == 0 || f.loader.size > maxLoader {
		return p, nil
	}
	name, err := f.bytes(f.loader.offset, int(f.loader.size))
	p.Loader = string(bytes.TrimRight(name, "\x00"))
	return p, err
}
