package elffile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"pinwheel/internal/farm"
)

// The form of an archive of object files (System V and GNU ar): a magic, then members,
// each with a header of 60 bytes of text, at even places.
const (
	archiveMagic = "!<arch>\n"
	thinMagic    = "!<thin>\n" // of GNU: names of files elsewhere
	memberHead   = 60
	memberEnd    = "`\n"
)

// maxMembers is more than real archives have. Each has a path of its own, that of the
// archive in front, and needs no more than 60 bytes that compress to nothing: so of the
// archive's, which may be as long as the archive, only the beginning is in it.
const (
	maxMembers     = 20_000
	maxArchivePath = 160 // bytes
)

// IsArchive says whether a file that begins so is an archive; 8 bytes are enough.
func IsArchive(head []byte) bool {
	return bytes.HasPrefix(head, []byte(archiveMagic)) || bytes.HasPrefix(head, []byte(thinMagic))
}

// ReadArchive reads an archive of object files and gives each member to add, also those
// that are no ELF file, with that as their Problem: what the linker would make of them is
// not known. What is wrong with the archive itself is the Problem of an entry that
// stands for it. The error is one of reading r, or ErrBudget. A path that is longer than
// names are, is cut.
func ReadArchive(r io.ReaderAt, size int64, path string, budget *Budget, add func(farm.ELF)) error {
	path = trim(path, maxArchivePath)
	a := &archive{file: file{r: r, size: size, budget: budget}, path: path, add: add}
	err := a.members()
	if bad := errMalformed(""); errors.As(err, &bad) {
		if err := budget.file(); err != nil {
			return err
		}
		add(farm.ELF{Path: path, Problem: bad.Error()})
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the archive %s: %w", path, err)
	}
	return nil
}

type archive struct {
	file
	path string
	add  func(farm.ELF)
}

func (a *archive) members() error {
	magic, err := a.bytes(0, len(archiveMagic))
	if err != nil {
		return err
	}
	if string(magic) != archiveMagic {
		return malformed("an archive that only names its members")
	}
	at, n := int64(len(archiveMagic)), 0
	for ; at < a.size; n++ {
		if n == maxMembers {
			return malformed("an archive of more than %d members", maxMembers)
		}
		head, err := a.bytes(uint64(at), memberHead)
		if err != nil {
			return err
		}
		length, err := strconv.ParseInt(strings.TrimSpace(string(head[48:58])), 10, 64)
		at += memberHead
		if err != nil || string(head[58:]) != memberEnd || length < 0 || length > a.size-at {
			return malformed("an archive that is broken at member %d", n+1)
		}
		if name := strings.TrimRight(string(head[:16]), " "); !isIndex(name) {
			if err := a.member(n, name, at, length); err != nil {
				return err
			}
		}
		at += length + length%2
	}
	if n == 0 {
		return malformed("an archive without members")
	}
	return nil
}

// isIndex says whether a member is a table that ar itself made: of symbols or of long
// names, and of LLVM's and BSD's too.
func isIndex(name string) bool {
	return name == "/" || name == "//" || name == "/SYM64/" || strings.HasPrefix(name, "__.SYMDEF")
}

func (a *archive) member(n int, name string, at, length int64) error {
	// A long name stands in a table; its number says enough.
	label := strings.TrimSuffix(name, "/")
	if label == "" || strings.HasPrefix(name, "/") || strings.HasPrefix(name, "#1/") || strings.ContainsFunc(label, odd) {
		label = "member " + strconv.Itoa(n+1)
	}
	if err := a.budget.file(); err != nil {
		return err
	}
	path := a.path + "(" + label + ")"
	body := io.NewSectionReader(a.r, at, length)
	if strings.HasPrefix(name, "#1/") {
		// BSD writes the name in front of the member, so that what follows is not looked at.
		a.add(farm.ELF{Path: path, Problem: "a member of an archive that is no ELF file"})
		return nil
	}
	head, err := a.bytes(uint64(at), int(min(length, 4)))
	if err != nil {
		return err
	}
	if !IsELF(head) {
		a.add(farm.ELF{Path: path, Problem: "a member of an archive that is no ELF file"})
		return nil
	}
	facts, err := readObject(body, length, path, a.budget)
	if err == nil {
		a.add(facts)
	}
	return err
}

func odd(r rune) bool { return r < ' ' || r > '~' }
