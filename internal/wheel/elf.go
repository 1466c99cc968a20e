package wheel

import (
	"errors"
	"regexp"
	"strings"

	"pinwheel/internal/elffile"
	"pinwheel/internal/farm"
)

// elves are the ELF files of a wheel. Those that are not kept are checked alike, but nothing
// is proven then.
type elves struct {
	spool  elffile.Spool
	budget elffile.Budget
	kept   elffile.Files
	// What the rules say of files depends on what other files need, so they wait until
	// all were read: those that are not just as they should be.
	odd    []farm.ELF
	needed map[string]bool // base names of libraries that files of our machine need
	fits   map[string]bool // base names of files that are for our machine
}

// maxOdd bounds what waits; what is beyond is judged as if nothing needed it.
const maxOdd = 1000

// inspect reads a file that has been unpacked into the spool. Of one that is refused for its
// name, which has no bounds then, it is only known that nothing is proven.
func (v *verifier) inspect(e *entry) error {
	s := &v.elf.spool
	if err := s.Err(); err != nil {
		return err
	}
	switch {
	case e.astray:
		if s.IsELF() || s.IsArchive() {
			v.elf.note(farm.ELF{Path: e.name, Problem: "not looked into, since no file may have that name"})
		}
	case s.IsELF():
		facts, err := elffile.Read(s, s.Size(), e.name, &v.elf.budget)
		if err != nil {
			return costly(e, err)
		}
		v.elf.note(facts)
		v.elf.sort(facts, v.want)
		if len(v.elf.odd) > maxOdd {
			v.judge(v.elf.odd[maxOdd])
			v.elf.odd = v.elf.odd[:maxOdd]
		}
	case s.IsArchive():
		return costly(e, elffile.ReadArchive(s, s.Size(), e.name, &v.elf.budget, v.elf.note))
	case objectName.MatchString(e.name):
		v.elf.note(farm.ELF{Path: e.name, Problem: "by its name object code, and in a form that is not known"})
	case v.inner != nil:
		return v.lookInside(e)
	}
	return nil
}

// costly makes of a budget that is used up the end of the verification.
func costly(e *entry, err error) error {
	if errors.Is(err, elffile.ErrBudget) {
		return newSpent(CodeCostELF, "its ELF files cost more to read than any wheel may, up to %s", printable(e.name, 200))
	}
	return err
}

// objectName is what linkers take for object files and archives of them.
var objectName = regexp.MustCompile(`\.(o|a|rlib)$`)

func (x *elves) note(f farm.ELF) {
	f.Path = printable(f.Path, 200)
	x.kept.Add(f)
}

// sort keeps what the rules must know of a file.
func (x *elves) sort(f farm.ELF, want Expect) {
	m, known := elffile.MachineOf(want.Target.Platform)
	if !known {
		return
	}
	base := f.Path[strings.LastIndexByte(f.Path, '/')+1:]
	needed := f.Needed
	f.Needed = nil
	if f.Machine != m.Name || f.Class != m.Class {
		x.odd = append(x.odd, f)
		return
	}
	if x.fits == nil {
		x.fits, x.needed = map[string]bool{}, map[string]bool{}
	}
	if len(x.fits) < elffile.MaxFiles && len(x.needed) < elffile.MaxFiles {
		x.fits[base] = true
		for _, name := range needed {
			x.needed[name[strings.LastIndexByte(name, '/')+1:]] = true
		}
	}
	if f.Problem != "" || want.Glibc != "" && elffile.Compare(f.GLIBC, want.Glibc) > 0 {
		x.odd = append(x.odd, f)
	}
}

// checkELF judges the files that are not as they should be, and says what is proven.
func (v *verifier) checkELF() error {
	for _, f := range v.elf.odd {
		v.judge(f)
	}
	v.report.ELF = v.elf.kept.All
	if v.want.Target.Platform == "linux_armv7l" && v.named {
		v.report.ARMv6 = v.proveARMv6()
	}
	return nil
}

func (v *verifier) proveARMv6() *farm.Proof {
	switch tag := v.report.Name.PlatformTag; {
	case tag != "linux_armv7l":
		return &farm.Proof{Reason: "a wheel for " + printable(tag, 60) + " needs no copy"}
	case v.signed():
		return &farm.Proof{Reason: "its RECORD is signed, which a copy could not be"}
	case v.elf.kept.More > 0:
		return &farm.Proof{Reason: "it has more ELF files than are looked at"}
	}
	p := elffile.ProveARMv6(v.elf.kept.All, v.want.VouchesARMv6)
	return &p
}

func (v *verifier) signed() bool {
	for i := range v.entries {
		if v.signature(v.entries[i].name) {
			return true
		}
	}
	return false
}

// judge makes a finding of a file that is for another machine, needs a newer glibc than
// the target has, or cannot be read. It is an error where Python or the loader would
// load the file, and odd where it is data.
func (v *verifier) judge(f farm.ELF) {
	m, _ := elffile.MachineOf(v.want.Target.Platform)
	loads := v.loads(f, m)
	switch {
	case f.Machine != m.Name || f.Class != m.Class:
		what := f.Problem
		if f.Machine != "" {
			what = "it is for " + f.Machine
		}
		if loads != "" {
			v.found.reject(CodeELFMachine, f.Path, "%s, and %s", loads, what)
			return
		}
		v.found.warn(CodeELFForeign, f.Path, "an ELF file for another machine: %s", what)
	case f.Problem != "" && loads != "":
		v.found.reject(CodeELFMalformed, f.Path, "%s, and cannot be read: %s", loads, f.Problem)
	case f.Problem != "":
		v.found.warn(CodeELFMalformed, f.Path, "an ELF file that cannot be read: %s", f.Problem)
	case loads != "" || library.MatchString(f.Path):
		v.found.reject(CodeELFGlibc, f.Path, "it needs glibc %s, %s has %s", f.GLIBC, v.want.Target, v.want.Glibc)
	default:
		v.found.warn(CodeELFGlibcData, f.Path, "as data, an ELF file that needs glibc %s; %s has %s", f.GLIBC, v.want.Target, v.want.Glibc)
	}
}

// loads says, in words, why Python or the loader would load a file, or "".
func (v *verifier) loads(f farm.ELF, m elffile.Machine) string {
	top, rest, _ := strings.Cut(f.Path, "/")
	base := f.Path[strings.LastIndexByte(f.Path, '/')+1:]
	switch {
	case v.isExtension(f.Path, m):
		return "an extension module"
	case strings.HasSuffix(top, ".data") && program.MatchString(rest):
		return "a program that is installed"
	case v.elf.needed[base] && (f.Machine == m.Name && f.Class == m.Class || !v.elf.fits[base]):
		// Packages carry libraries for many machines under one name: one that fits is enough.
		return "a library that other files need"
	}
	return ""
}

// moduleFile is a plain extension module, as Python would import it. Names that
// begin with lib are left to the loader: packages carry such libraries for many
// machines, and load the one that fits by its full path.
var moduleFile = regexp.MustCompile(`(^|/)[A-Za-z_][A-Za-z0-9_]*\.so$`)

// program is what stands on the PATH of an environment, once installed.
var program = regexp.MustCompile(`^(scripts|data/s?bin)/`)

// library is what is loaded by name, by the loader or with ctypes.
var library = regexp.MustCompile(`\.so(\.[0-9]+)*$`)

// isExtension says whether the target's Python would load the file when a module
// of its name is imported: it tries its own suffix, .abi3.so and .so (PEP 3149), Debian's
// Python 2 also that of its machine.
func (v *verifier) isExtension(name string, m elffile.Machine) bool {
	abi := strings.TrimPrefix(v.want.Target.ABI, "cp") // "311", and "37m" up to 3.7
	for _, suffix := range []string{".abi3.so", ".cpython-" + abi + "-" + m.Triple + ".so", "." + m.Triple + ".so"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	base := name[strings.LastIndexByte(name, '/')+1:]
	return moduleFile.MatchString(name) && !strings.HasPrefix(base, "lib")
}
