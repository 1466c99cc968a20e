package farm

import "slices"

// Needs is what a job wants of a slave. The zero Needs fits every one.
type Needs struct {
	Memory   int64    `json:"memory,omitempty"`   // bytes that the machine has
	Packages []string `json:"packages,omitempty"` // Debian packages, sorted
}

// Equal says whether n and m are alike.
func (n Needs) Equal(m Needs) bool {
	return n.Memory == m.Memory && slices.Equal(n.Packages, m.Packages)
}

// IsZero says whether every slave will do.
func (n Needs) IsZero() bool { return n.Memory == 0 && len(n.Packages) == 0 }

// Lack is what a machine lacks of the needs; zero: it fits.
func (n Needs) Lack(m Machine) Needs {
	var lack Needs
	if n.Memory > m.Memory {
		lack.Memory = n.Memory
	}
	for _, p := range n.Packages {
		if _, ok := slices.BinarySearch(m.Packages, p); !ok {
			lack.Packages = append(lack.Packages, p)
		}
	}
	return lack
}

// Unmet says what keeps a job from all of these machines: nothing, when one fits;
// else what the one that is nearest lacks. Of no machine at all it says that all is
// lacking.
func (n Needs) Unmet(machines []Machine) Needs {
	if n.IsZero() || len(machines) == 0 {
		return n
	}
	best := n
	for i, m := range machines {
		if lack := n.Lack(m); i == 0 || lack.size() < best.size() {
			best = lack
		}
	}
	return best
}

func (n Needs) size() int {
	size := len(n.Packages)
	if n.Memory > 0 {
		size++
	}
	return size
}
