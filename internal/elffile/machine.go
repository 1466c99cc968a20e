package elffile

// Machine is how the ELF files of a platform are made.
type Machine struct {
	Name   string // as farm.ELF has it
	Class  int    // 32 or 64
	Triple string // in names of extension modules and folders of libraries (PEP 3149, Debian's multiarch)
}

// MachineOf is the machine of a platform tag (PEP 425); false: it is not known.
func MachineOf(platform string) (Machine, bool) {
	switch platform {
	case "linux_armv7l", "linux_armv6l":
		return Machine{"arm", 32, "arm-linux-gnueabihf"}, true
	case "linux_aarch64":
		return Machine{"aarch64", 64, "aarch64-linux-gnu"}, true
	case "linux_x86_64":
		return Machine{"x86_64", 64, "x86_64-linux-gnu"}, true
	case "linux_i686":
		return Machine{"i386", 32, "i386-linux-gnu"}, true
	case "linux_riscv64":
		return Machine{"riscv", 64, "riscv64-linux-gnu"}, true
	}
	return Machine{}, false
}
