package elffile

import (
	"strings"
)

// Entries of the dynamic section (gABI; GNU's for versions).
const (
	dynNull       = 0
	dynNeeded     = 1
	dynStrTab     = 5
	dynSOName     = 14
	dynRPath      = 15
	dynRunPath    = 29
	dynVerNeed    = 0x6ffffffe
	dynVerNeedNum = 0x6fffffff

	weakVersion = 2 // VER_FLG_WEAK: only of symbols that need not be there
)

// dynamic reads what the loader will look for: libraries and versions of symbols.
func (f *file) dynamic() error {
	at, err := f.segments()
	if err != nil || at.size == 0 {
		return err // a static program, or an object file
	}
	entry := f.pick(8, 16)
	b, err := f.bytes(at.offset, int(min(at.size, maxDynamic))/entry*entry)
	if err != nil {
		return err
	}
	var needed []uint64
	values := map[uint64]uint64{} // of the tags that matter, and come once; the last counts, as for the loader
	for ; len(b) > 0; b = b[entry:] {
		tag, value := f.word(b, 0, 0), f.word(b, 4, 8)
		if tag == dynNull {
			return f.link(values, needed)
		}
		switch tag {
		case dynNeeded:
			if len(needed) == maxNeeded {
				return malformed("it needs more than %d libraries", maxNeeded)
			}
			needed = append(needed, value)
		case dynStrTab, dynSOName, dynRPath, dynRunPath, dynVerNeed, dynVerNeedNum:
			values[tag] = value
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
		}
	}
	return dynamic, nil
}

// place is where in the file the bytes of an address are.
func (f *file) place(address uint64) (uint64, error) {
	for _, s := range f.loads {
		if address >= s.address && address-s.address < s.size {
			return s.offset + (address - s.address), nil // outside of the file is found when it is read
		}
	}
	return 0, malformed("its dynamic section points to %#x, which is not mapped", address)
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
	names, err := f.place(table)
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
	start, err := f.place(values[dynVerNeed])
	if err != nil {
		return err
	}
	return f.versions(start, values[dynVerNeedNum], names)
}

// versions reads the versions that are needed of each library (.gnu.version_r). Each
// entry says how far the next one is, so that a loop is ended by count only.
func (f *file) versions(at, count, names uint64) error {
	left, seen := maxVersions, map[uint32]bool{}
	for range min(count, maxNeeded) {
		b, err := f.bytes(at, 16)
		if err != nil {
			return err
		}
		aux := at + uint64(f.order.Uint32(b[8:]))
		for range f.order.Uint16(b[2:]) {
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
	return nil
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
