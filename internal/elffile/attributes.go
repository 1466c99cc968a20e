package elffile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"

	"pinwheel/internal/farm"
)

// Tags of the build attributes (Addenda to the ABI for the Arm Architecture, 2023Q3,
// "Public aeabi attribute tags") that tell which instructions there may be.
const (
	tagFile           = 1
	tagCPURawName     = 4
	tagCPUName        = 5
	tagCPUArch        = 6
	tagProfile        = 7
	tagARMISA         = 8
	tagThumbISA       = 9
	tagFPArch         = 10
	tagWMMX           = 11
	tagSIMD           = 12
	tagVFPArgs        = 28
	tagCompatibility  = 32
	tagHalfPrecision  = 36
	tagMultiprocessor = 42
	tagDivide         = 44
	tagDSP            = 46
	tagMVE            = 48
	tagPAC            = 50
	tagBTI            = 52
	tagNoDefaults     = 64
	tagThumbEE        = 66
	tagVirtual        = 68
	tagMultiOld       = 70
)

// attributes are the numbers that a whole file has.
type attributes struct {
	order  binary.ByteOrder
	values map[uint64]uint64
	name   string
}

// parseARM reads a section .ARM.attributes by hand. It always returns something: what
// cannot be read is its Problem, and then nothing of it is believed.
func parseARM(b []byte, order binary.ByteOrder) *farm.ARM {
	a := attributes{order: order, values: map[uint64]uint64{}}
	if err := a.section(b); err != nil {
		return &farm.ARM{Problem: err.Error()}
	}
	if a.values[tagNoDefaults] != 0 {
		// Then what is not said is not known, instead of being the least.
		return &farm.ARM{Problem: "attributes that leave things undefined (Tag_nodefaults)"}
	}
	return a.facts()
}

// section reads the version and the parts of the vendors. Only "aeabi" has a meaning
// that all tools share.
func (a *attributes) section(b []byte) error {
	if len(b) == 0 || b[0] != 'A' {
		return malformed("attributes of an unknown version")
	}
	for b = b[1:]; len(b) > 0; {
		part, rest, err := a.sized(b, 0)
		if err != nil {
			return err
		}
		b = rest
		vendor, body, ok := bytes.Cut(part, []byte{0})
		if !ok {
			return malformed("attributes of a vendor without a name")
		}
		if string(vendor) != "aeabi" {
			continue
		}
		if err := a.vendor(body); err != nil {
			return err
		}
	}
	return nil
}

// sized cuts off a part whose length, itself included, stands at byte at; the part
// begins behind its length.
func (a *attributes) sized(b []byte, at int) (part, rest []byte, err error) {
	if len(b) < at+4 {
		return nil, nil, malformed("attributes that are cut off")
	}
	n := uint64(a.order.Uint32(b[at:]))
	if n < uint64(at+4) || n > uint64(len(b)) {
		return nil, nil, malformed("attributes of %d bytes where there are %d", n, len(b))
	}
	return b[at+4 : n], b[n:], nil
}

func (a *attributes) vendor(b []byte) error {
	for len(b) > 0 {
		scope := b[0]
		part, rest, err := a.sized(b, 1)
		if err != nil {
			return err
		}
		if scope != tagFile {
			return malformed("attributes of single sections or symbols")
		}
		if err := a.read(part); err != nil {
			return err
		}
		b = rest
	}
	return nil
}

// read takes the pairs of a file's attributes. By the tag it is known whether a
// number or a text follows, also for tags of the future: from 32 on the odd ones have
// a text.
func (a *attributes) read(b []byte) error {
	for len(b) > 0 {
		tag, err := number128(&b)
		if err != nil {
			return err
		}
		text := tag == tagCPURawName || tag == tagCPUName || tag > tagCompatibility && tag%2 == 1
		if !text {
			value, err := number128(&b)
			if err != nil {
				return err
			}
			if said, twice := a.values[tag]; twice && said != value {
				return malformed("attributes that contradict each other")
			}
			a.values[tag] = value
		}
		if text || tag == tagCompatibility {
			said, rest, ok := bytes.Cut(b, []byte{0})
			if !ok {
				return malformed("a text among the attributes that does not end")
			}
			if b = rest; tag == tagCPUName && len(said) <= 64 {
				a.name = legible(string(said))
			}
		}
	}
	return nil
}

// number128 reads a number in ULEB128.
func number128(b *[]byte) (uint64, error) {
	n, used := binary.Uvarint(*b)
	if used <= 0 {
		return 0, malformed("a number among the attributes that is cut off or too great")
	}
	*b = (*b)[used:]
	return n, nil
}

// word gives a value its name in the ABI's tables.
func word(words []string, n uint64) string {
	if n < uint64(len(words)) {
		return words[n]
	}
	return strconv.FormatUint(n, 10)
}

func cpuWords() []string {
	return []string{"pre-v4", "v4", "v4T", "v5T", "v5TE", "v5TEJ", "v6", "v6KZ", "v6T2", "v6K", "v7", "v6-M", "v6S-M", "v7E-M",
		"v8-A", "v8-R", "v8-M.baseline", "v8-M.mainline", "v8.1-A", "v8.2-A", "v8.3-A", "v8.1-M.mainline", "v9-A"}
}

// facts gives the numbers their names, and says what goes beyond an ARMv6 with VFPv2:
// an ARM1176JZF-S, which is v6KZ.
func (a *attributes) facts() *farm.ARM {
	out := &farm.ARM{Name: a.name}
	said := func(tag uint64, into *string, words ...string) uint64 {
		n, ok := a.values[tag]
		if ok {
			*into = word(words, n)
		}
		return n
	}
	beyond := func(when bool, format string, args ...any) {
		if when {
			out.Beyond = append(out.Beyond, fmt.Sprintf(format, args...))
		}
	}
	cpu := said(tagCPUArch, &out.CPU, cpuWords()...)
	beyond(cpu > 7 && cpu != 9, "ARM%s", out.CPU)
	if p, ok := a.values[tagProfile]; ok && p != 0 {
		out.Profile = legible(string(rune(p & 0x7f)))
		beyond(p != 'A' && p != 'S', "profile %s", out.Profile)
	}
	thumb := said(tagThumbISA, &out.Thumb, "no", "Thumb-1", "Thumb-2", "by-arch")
	beyond(thumb > 1, "%s", out.Thumb)
	fp := said(tagFPArch, &out.FP, "no", "VFPv1", "VFPv2", "VFPv3", "VFPv3-D16", "VFPv4", "VFPv4-D16", "ARMv8-FP", "ARMv8-FP-D16")
	beyond(fp > 2, "%s", out.FP)
	simd := said(tagSIMD, &out.SIMD, "no", "NEONv1", "NEONv2", "ARMv8-NEON", "ARMv8.1-NEON")
	beyond(simd > 0, "%s", out.SIMD)
	said(tagVFPArgs, &out.Args, "base", "VFP", "toolchain", "any")
	beyond(a.values[tagWMMX] > 0, "iWMMXt")
	beyond(a.values[tagThumbEE] > 0, "ThumbEE")
	beyond(a.values[tagHalfPrecision] > 0, "half-precision VFP")
	beyond(a.values[tagMultiprocessor] > 0 || a.values[tagMultiOld] > 0, "multiprocessing instructions")
	beyond(a.values[tagDivide] > 1, "divide instructions")
	beyond(a.values[tagDSP] > 0, "DSP instructions")
	beyond(a.values[tagMVE] > 0, "MVE")
	beyond(a.values[tagPAC] > 1 || a.values[tagBTI] > 1, "PAC or BTI instructions")
	beyond(a.values[tagVirtual] > 1, "virtualization instructions")
	return out
}
