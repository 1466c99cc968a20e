package elffile

import (
	"errors"

	"pinwheel/internal/farm"
)

// section is what matters of a section header.
type section struct {
	name         uint64 // where its name is among the names
	kind         uint32
	offset, size uint64
	link         uint32
}

// chunk is how many section headers are read at once.
const chunk = 1024

// sections looks for what only section headers lead to: .ARM.attributes, and what Go
// code says of itself. The loader does not read them, so what is wrong with them is a
// trouble of the attributes, not of the file.
func (f *file) sections() error {
	if f.facts.Machine != "arm" {
		return nil
	}
	err := f.eachSection()
	if bad := errMalformed(""); errors.As(err, &bad) {
		if f.facts.ARM == nil {
			f.facts.ARM = &farm.ARM{}
		}
		f.facts.ARM.Problem = bad.Error()
		return nil
	}
	return err
}

func (f *file) eachSection() error {
	first, names, err := f.sectionTable()
	if err != nil || f.nSections == 0 {
		return err
	}
	for i := 0; i < f.nSections; i += chunk {
		n := min(chunk, f.nSections-i)
		b, err := f.bytes(first+uint64(i*f.sectionLen), n*f.sectionLen)
		if err != nil {
			return err
		}
		for ; len(b) > 0; b = b[f.sectionLen:] {
			if err := f.section(f.parseSection(b), names); err != nil {
				return err
			}
		}
	}
	return nil
}

// sectionTable finds the table and the section with the names. Numbers that are too
// great for the file header stand in the first section's.
func (f *file) sectionTable() (first uint64, names section, err error) {
	if f.sectionsAt == 0 {
		f.nSections = 0
		return 0, names, nil
	}
	if f.sectionLen != f.pick(40, 64) {
		return 0, names, malformed("section headers of %d bytes", f.sectionLen)
	}
	b, err := f.bytes(f.sectionsAt, f.sectionLen)
	if err != nil {
		return 0, names, err
	}
	zero := f.parseSection(b)
	if f.nSections == 0 {
		f.nSections = int(min(zero.size, maxSections+1))
	}
	if f.name == 0xffff {
		f.name = int(min(zero.link, maxSections+1))
	}
	if f.nSections > maxSections {
		return 0, names, malformed("more than %d sections", maxSections)
	}
	if f.name >= f.nSections {
		return 0, names, malformed("its section of names is number %d of %d", f.name, f.nSections)
	}
	b, err = f.bytes(f.sectionsAt+uint64(f.name*f.sectionLen), f.sectionLen)
	if err != nil {
		return 0, names, err
	}
	return f.sectionsAt, f.parseSection(b), nil
}

func (f *file) parseSection(b []byte) section {
	return section{
		name: uint64(f.order.Uint32(b)), kind: f.order.Uint32(b[4:]),
		offset: f.word(b, 16, 24), size: f.word(b, 20, 32), link: f.order.Uint32(b[f.pick(24, 40):]),
	}
}

// section reads one that is of interest.
func (f *file) section(s section, names section) error {
	if s.kind == sectionARM {
		if f.facts.ARM != nil {
			return malformed("two sections of attributes")
		}
		b, err := f.content(s)
		if err != nil {
			return err
		}
		f.facts.ARM = parseARM(b, f.order)
		return f.budget.spend(parseCost * int64(len(b)))
	}
	if s.size == 0 || s.name >= names.size {
		return nil
	}
	name, err := f.raw(names.offset + s.name)
	if err != nil {
		return err
	}
	switch name {
	case ".go.buildinfo":
		if s.kind == sectionNoBits {
			return nil
		}
		b, err := f.content(s)
		if err != nil {
			return err
		}
		f.facts.Go = goARM(b)
	case ".gopclntab", ".note.go.buildid", ".gosymtab":
		if f.facts.Go == "" {
			f.facts.Go = unknownGo
		}
	}
	return nil
}

func (f *file) content(s section) ([]byte, error) {
	if s.size > maxSection {
		return nil, malformed("a section of %d bytes that should be small", s.size)
	}
	return f.bytes(s.offset, int(s.size))
}
