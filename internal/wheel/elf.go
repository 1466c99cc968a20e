package wheel

import (
	"debug/elf"
	"regexp"
	"strings"
)

// elfHead is what inspect wants to see of every file: up to e_machine.
const elfHead = 20

// machine is how ELF files of a platform begin, and how Python calls it in the
// names of extension modules (PEP 3149, Debian's multiarch names).
type machine struct {
	class  elf.Class
	number elf.Machine
	triple string
}

func machineOf(platform string) (machine, bool) {
	switch platform {
	case "linux_armv7l", "linux_armv6l":
		return machine{elf.ELFCLASS32, elf.EM_ARM, "arm-linux-gnueabihf"}, true
	case "linux_aarch64":
		return machine{elf.ELFCLASS64, elf.EM_AARCH64, "aarch64-linux-gnu"}, true
	case "linux_x86_64":
		return machine{elf.ELFCLASS64, elf.EM_X86_64, "x86_64-linux-gnu"}, true
	case "linux_i686":
		return machine{elf.ELFCLASS32, elf.EM_386, "i386-linux-gnu"}, true
	case "linux_riscv64":
		return machine{elf.ELFCLASS64, elf.EM_RISCV, "riscv64-linux-gnu"}, true
	}
	return machine{}, false
}

// inspect looks at the first bytes of a file. An ELF file of another machine is
// odd as data, and an error where its name makes the target's Python load it.
func (v *verifier) inspect(e *entry, head []byte) {
	m, known := machineOf(v.want.Target.Platform)
	if !known || len(head) < elfHead || string(head[:4]) != elf.ELFMAG {
		return
	}
	number := elf.Machine(head[18]) | elf.Machine(head[19])<<8
	if elf.Class(head[4]) == m.class && elf.Data(head[5]) == elf.ELFDATA2LSB && number == m.number {
		return
	}
	if v.isExtension(e.name, m) {
		v.found.reject(CodeELFMachine, e.name, "an extension module for %s, %s", number, elf.Class(head[4]))
		return
	}
	v.found.warn(CodeELFForeign, e.name, "an ELF file for %s, %s", number, elf.Class(head[4]))
}

// moduleFile is a plain extension module, as Python would import it. Names that
// begin with lib are left to the loader: packages carry such libraries for many
// machines, and load the one that fits by its full path.
var moduleFile = regexp.MustCompile(`(^|/)[A-Za-z_][A-Za-z0-9_]*\.so$`)

// isExtension says whether the target's Python would load the file when a module
// of its name is imported: it tries its own suffix, .abi3.so and .so.
func (v *verifier) isExtension(name string, m machine) bool {
	digits := strings.TrimRight(strings.TrimPrefix(v.want.Target.ABI, "cp"), "mudt")
	if strings.HasSuffix(name, ".abi3.so") || strings.HasSuffix(name, ".cpython-"+digits+"-"+m.triple+".so") {
		return true
	}
	base := name[strings.LastIndexByte(name, '/')+1:]
	return moduleFile.MatchString(name) && !strings.HasPrefix(base, "lib")
}
