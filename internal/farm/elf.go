package farm

// ELF is what one ELF file says of itself: a program, a library, an extension
// module, an object file, or a member of an archive of such. Nothing of it was run,
// so nothing of it is more than what the file says.
type ELF struct {
	Path    string   `json:"path"`              // in the wheel; a member of an archive is "libx.a(member.o)"
	Machine string   `json:"machine"`           // "arm", "x86_64", as the ELF specifications call it in lower case; "" if Problem says why
	Class   int      `json:"class"`             // 32 or 64
	ARM     *ARM     `json:"arm,omitempty"`     // its .ARM.attributes; nil: it has none
	Go      string   `json:"go,omitempty"`      // of Go code for ARM: its GOARM, "6"; "?" if it does not say
	GLIBC   string   `json:"glibc,omitempty"`   // the highest version of symbols that it needs, "2.34"
	GLIBCXX string   `json:"glibcxx,omitempty"` // the same of libstdc++, "3.4.29"
	CXXABI  string   `json:"cxxabi,omitempty"`  // the same of its ABI, "1.3.13"
	SOName  string   `json:"soname,omitempty"`  // DT_SONAME
	Needed  []string `json:"needed,omitempty"`  // DT_NEEDED, in the order of the file
	RPath   string   `json:"rpath,omitempty"`   // DT_RPATH
	RunPath string   `json:"runpath,omitempty"` // DT_RUNPATH
	Problem string   `json:"problem,omitempty"` // why it cannot be read, or not all of it
}

// ARM is what .ARM.attributes say (Addenda to, and Errata in, the ABI for the Arm
// Architecture, "build attributes"). Empty means that it is not said.
type ARM struct {
	CPU     string   `json:"cpu"`                 // Tag_CPU_arch: "v6", "v7"
	Name    string   `json:"cpu_name,omitempty"`  // Tag_CPU_name: "6", "ARM1176JZF-S"; words only
	Profile string   `json:"profile,omitempty"`   // Tag_CPU_arch_profile: "A", "R", "M", "S"
	Thumb   string   `json:"thumb,omitempty"`     // Tag_THUMB_ISA_use: "no", "Thumb-1", "Thumb-2"
	FP      string   `json:"fp,omitempty"`        // Tag_FP_arch: "no", "VFPv2", "VFPv3-D16"
	SIMD    string   `json:"simd,omitempty"`      // Tag_Advanced_SIMD_arch: "no", "NEONv1"
	Args    string   `json:"fp_args,omitempty"`   // Tag_ABI_VFP_args: "base", "VFP" (hard float)
	Beyond  []string `json:"beyond_v6,omitempty"` // what of it an ARMv6 with VFPv2 does not have, in words
	Problem string   `json:"problem,omitempty"`   // why they cannot be read, or not be relied on
}

// Library is a library that files of a wheel need and that the wheel does not bring.
type Library struct {
	SOName  string `json:"soname"`            // as it is needed, "libffi.so.8"
	Package string `json:"package,omitempty"` // the Debian package that has it; "": an orphan, of no package
}

// Proof is whether a wheel for ARMv7 is proven to run on an ARMv6 with VFPv2, as in
// the first Raspberry Pi and the Zero, and why or why not.
type Proof struct {
	Proven bool   `json:"proven"`
	Reason string `json:"reason"`
}
