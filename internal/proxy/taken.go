package proxy

import (
	"fmt"
	"net/url"
	"slices"

	"pinwheel/internal/farm"
)

// Bounds of what is noted of one build.
const (
	maxFiles    = 1000
	maxContacts = 100
)

// File is one that a build took from an index, to its last byte.
type File struct {
	Name   string // the file name
	URL    string // where the index has it, without credentials
	SHA256 string // hex, of the bytes that were delivered
	Size   int64  // bytes
}

// Taken is what a build took, and what it wanted.
type Taken struct {
	Files    []File         // each once, in the order of their ends
	Contacts []farm.Contact // whom it spoke to past the indexes, or would have
	Fault    string         // the last trouble with an index that did not pass, "HOST: why"; empty: none
}

// took notes a file.
func (d *Door) took(f File) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, g := range d.taken.Files {
		if g == f {
			return
		}
	}
	if len(d.taken.Files) < maxFiles {
		d.taken.Files = append(d.taken.Files, f)
	}
}

// note notes that a build asked for host. An error says why it did not come through;
// refused, that it was us who said no. In the log it is said with all that is known.
func (d *Door) note(host string, refused bool, err error) {
	c := farm.Contact{Host: host, Refused: refused, Times: 1}
	if err != nil {
		c.Why = told(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, k := range d.taken.Contacts {
		if k.Host == c.Host && k.Refused == c.Refused && (k.Why == "") == (c.Why == "") {
			d.taken.Contacts[i].Times++
			return
		}
	}
	if len(d.taken.Contacts) < maxContacts {
		d.taken.Contacts = append(d.taken.Contacts, c)
		if err != nil {
			d.p.cfg.Log.Info().Str("host", fmt.Sprintf("%.255s", host)).Bool("refused", refused).Str("why", plain(err)).Msg("a build did not reach a host")
		}
	}
}

// fault is what went wrong with something of an index.
type fault struct{ asked, why string }

// broke notes that something of an index, for which name stands, could not be had. As in
// note, the log says more than the record.
func (d *Door) broke(u *url.URL, name string, err error) {
	if d.fault(u.String(), u.Host+": "+name+told(err)) {
		d.p.cfg.Log.Info().Str("url", fmt.Sprintf("%.1000s", u.Redacted())).Str("why", plain(err)).Msg("an index did not answer a build")
	}
}

// fault notes trouble with what was asked of an index. That is over when the same
// comes after all: pip tries again. It says whether it is one of the first: a build may
// ask without end.
func (d *Door) fault(asked, why string) (early bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken++
	d.forgive(asked)
	d.faults = append(d.faults, fault{asked, why})
	if len(d.faults) > maxContacts {
		d.faults = d.faults[1:]
	}
	return d.broken <= maxContacts
}

// came says that what was asked came.
func (d *Door) came(asked string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forgive(asked)
}

func (d *Door) forgive(asked string) {
	d.faults = slices.DeleteFunc(d.faults, func(f fault) bool { return f.asked == asked })
}
