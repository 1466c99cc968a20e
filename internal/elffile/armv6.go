package elffile

import (
	"fmt"
	"strings"

	"pinwheel/internal/farm"
)

// ProveARMv6 says whether a wheel with these ELF files, which are all that it has, runs
// on an ARMv6 with VFPv2 (design 7, "armv6l"). It is proven by what every file says of
// itself. A target that vouches for its compiler stands in where a sound file says nothing.
// It never counts against what a file does say: that one the compiler did not make alone.
// Nor does it count for what is broken or was not looked into: nobody knows who made that.
func ProveARMv6(files []farm.ELF, vouched bool) farm.Proof {
	for _, objection := range []func(farm.ELF) string{contradicts, broken} {
		if why := first(files, objection); why != "" {
			return farm.Proof{Reason: why}
		}
	}
	why := first(files, silent)
	if len(files) == 0 {
		why = "there is no ELF file in it, under a tag that says there is"
	}
	switch {
	case why == "":
		return farm.Proof{Proven: true, Reason: "by the attributes of " + counted(len(files))}
	case vouched:
		return farm.Proof{Proven: true, Reason: "the target vouches for its compiler, though " + why}
	}
	return farm.Proof{Reason: why}
}

func counted(n int) string {
	if n == 1 {
		return "its one ELF file"
	}
	return fmt.Sprintf("its %d ELF files", n)
}

// first names the first file that speaks against the proof, and how many others do.
func first(files []farm.ELF, objection func(farm.ELF) string) (why string) {
	more := 0
	for _, f := range files {
		switch said := objection(f); {
		case said == "":
		case why == "":
			why = f.Path + ": " + said
		default:
			more++
		}
	}
	if more > 0 {
		why += fmt.Sprintf(" (and %d more)", more)
	}
	return why
}

// contradicts is what a file says of itself that an ARMv6 with VFPv2 does not have.
func contradicts(f farm.ELF) string {
	if f.ARM != nil && len(f.ARM.Beyond) > 0 {
		return strings.Join(f.ARM.Beyond, ", ")
	}
	if f.Go > "6" && f.Go != unknownGo {
		return "Go code for GOARM=" + f.Go
	}
	return ""
}

// broken is why it is not known what a file has in it: it cannot be read, or what it
// says of itself cannot be relied on.
func broken(f farm.ELF) string {
	if f.Problem == "" && f.ARM != nil {
		return f.ARM.Problem
	}
	return f.Problem
}

// silent is why a file that is sound says too little of itself.
func silent(f farm.ELF) string {
	switch {
	case f.Machine != "arm" || f.Class != 32:
		return fmt.Sprintf("a file for %s, which says nothing of ARM", f.Machine)
	case f.ARM == nil:
		return "it has no attributes: stripped of them, or made by a tool that writes none"
	case f.ARM.CPU == "":
		return "its attributes do not name an architecture"
	case f.Go == unknownGo:
		return "Go code that does not say for which GOARM"
	}
	return ""
}
