package elffile

import (
	"strings"
)

// Entries of the dynamic section (gABI; GNU's for versions).
const (
	dynNull    = 0
	dynNeeded  = 1
	dynStrTab  = 5
	dynSOName  = 14
	dynRPath   = 15
	dynRunPath = 29
	dynVerNeed = 0x6ffffffe

	weakVersion = 2 // VER_FLG_WEAK: only of symbols that need not be there
)

// dynamic reads what the loader will look for: libraries and versions of symbols.
func (f *file) dynamic() error {
	section, err := f.segments()
	if err != nil || section.kind != dynamical {
		return err // a static program, or an object file
	}
	// The loader looks for it by its address, and goes on until it ends.
	at, left, err := f.place(section.address)
	if err != nil && section.size == 0 {
		return nil // what is left for debuggers of a library
	}
	if err != nil {
		return err
	}
	left = min(left, maxDynamic, uint64(f.size)-min(at, uint64(f.size)))
	var needed []uint64
	values := map[uint64]uint64{} // of the tags that matter, and come once; the last counts, as for the loader
	const piece = 4096            // more than most have
	for ; left > 0; at, left = at+piece, left-min(left, piece) {
		entry := f.pick(8, 16)
		b, err := f.bytes(at, int(min(left, piece))/entry*entry)
		if err != nil {
			return err
		}
		for ; len(b) > 0; b = b[entry:] {
			tag, value := f.word(b, 0, 0), f.word(b, 4, 8)
			switch tag {
			case dynNull:
				return f.link(values, needed)
			case dynNeeded:
				if len(needed) == maxNeeded {
					return malformed("it needs more than %d libraries", maxNeeded)
				}
				needed = append(needed, value)
			case dynStrTab, dynSOName, dynRPath, dynRunPath, dynVerNeed:
				values[tag] = value
			}
		}
	}
	return malformed("its dynamic section does not end")
}

// segments reads the program headers: what is mapped, and where the dynamic section is.
func (f *file) segments() (dynamic segment, err error) {
	if f.nSegments == 0 {
		return dynamic, nil
	}
	if f.nSegments > maxSegments || f.segmentLen != f.pick(32, 56) {
		return dynamic, malformed("%d program headers of %d bytes", f.nSegments, f.segmentLen)
	}
	b, err := f.bytes(f.segmentsAt, f.nSegments*f.segmentLen)
	if err != nil {
		return dynamic, err
	}
	for ; len(b) > 0; b = b[f.segmentLen:] {
		s := segment{f.order.Uint32(b), f.word(b, 4, 8), f.word(b, 8, 16), f.word(b, 16, 32)}
		switch s.kind {
		case loadable:
			f.loads = append(f.loads, s)
		case dynamical:
			dynamic = s
		case loadedBy:
			f.loader = s
		}
	}
	return dynamic, nil
}

// place is where in the file the bytes of an address are, and how many are mapped there.
func (f *file) place(address uint64) (at, left uint64, err error) {
	for _, s := range f.loads {
		if address >= s.address && address-s.address < s.size {
			n := address - s.address
			return s.offset + n, s.size - n, nil // outside of the file is found when it is read
		}
	}
	return 0, 0, malformed("its dynamic section points to %#x, which is not mapped", address)
}

// link reads the names that the dynamic section points to.
func (f *file) link(values map[uint64]uint64, needed []uint64) error {
	table, ok := values[dynStrTab]
	if !ok {
		if len(needed) > 0 || values[dynVerNeed] != 0 {
			return malformed("its dynamic section has no table of names")
		}
		return nil
	}
	names, _, err := f.place(table)
	if err != nil {
		return err
	}
	for _, at := range needed {
		name, err := f.text(names + at)
		if err != nil {
			return err
		}
		f.facts.Needed = append(f.facts.Needed, name)
	}
	for tag, into := range map[uint64]*string{
		dynSOName: &f.facts.SOName, dynRPath: &f.facts.RPath, dynRunPath: &f.facts.RunPath,
	} {
		if at, ok := values[tag]; ok {
			if *into, err = f.text(names + at); err != nil {
				return err
			}
		}
	}
	if values[dynVerNeed] == 0 {
		return nil
	}
	start, _, err := f.place(values[dynVerNeed])
	if err != nil {
		return err
	}
	return f.versions(start, names)
}

// versions reads the versions that are needed of each library (.gnu.version_r). Each
// entry says how far the next one is, and 0 ends them: the loader does not look at how many
// there should be, so that a loop is ended by our own count only.
func (f *file) versions(at, names uint64) error {
	left, seen := maxVersions, map[uint32]bool{}
	for range maxNeeded {
		b, err := f.bytes(at, 16)
		if err != nil {
			return err
		}
		aux := at + uint64(f.order.Uint32(b[8:]))
		for {
			if left--; left < 0 {
				return malformed("it needs more than %d versions of symbols", maxVersions)
			}
			a, err := f.bytes(aux, 16)
			if err != nil {
				return err
			}
			// The highest counts, so that once is enough. Without a weak one the loader warns.
			if at := f.order.Uint32(a[8:]); !seen[at] && f.order.Uint16(a[4:])&weakVersion == 0 {
				seen[at] = true
				name, err := f.raw(names + uint64(at))
				if err != nil {
					return err
				}
				f.needs(name)
			}
			next := uint64(f.order.Uint32(a[12:]))
			if next == 0 {
				break
			}
			aux += next
		}
		next := uint64(f.order.Uint32(b[12:]))
		if next == 0 {
			return nil
		}
		at += next
	}
	return malformed("it needs versions of symbols of more than %d libraries", maxNeeded)
}

// relative relocations packed (DT_RELR) need a loader that knows them, and a library
// says so by this name, which is no version.
const (
	packedRelocations      = "GLIBC_ABI_DT_RELR"
	packedRelocationsSince = "2.36"
)

// needs notes a version such as GLIBC_2.34, if it is the highest of its kind.
func (f *file) needs(name string) {
	if name == packedRelocations {
		name = "GLIBC_" + packedRelocationsSince
	}
	kind, version, _ := strings.Cut(name, "_")
	into := map[string]*string{"GLIBC": &f.facts.GLIBC, "GLIBCXX": &f.facts.GLIBCXX, "CXXABI": &f.facts.CXXABI}[kind]
	if into != nil && dotted(version) && Compare(version, *into) > 0 {
		*into = version
	}
}
