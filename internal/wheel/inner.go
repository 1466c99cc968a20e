package wheel

import (
	"archive/tar"
	"bytes"
	"compress/bzip2"
	"errors"
	"io"
	"strings"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"

	"pinwheel/internal/farm"
)

// Bounds of what is looked at inside of other files.
const (
	innerDepth   = 4        // archives inside of one another
	innerZip     = 16 << 20 // bytes of a zip that is itself inside of an archive: it is held in memory
	innerEntries = 20_000   // of one zip

	// What opening one costs beside its bytes, as bytes.
	memberCost = 512
	gzipCost   = 64 << 10
	bzip2Cost  = 4 << 20
)

// inner looks for object code inside of other files: whoever unpacks it there may run it,
// and no attribute says on which processor. Archives are opened in bounded depth; all else is
// searched for what ELF files begin with. Code that is found is not judged: where some is, or
// where it could not be looked, nothing is proven (design 7, "armv6l").
type inner struct {
	of   *source // the wheel
	left int64   // bytes that may still be unpacked

	// Of the file of the wheel that is being unpacked.
	scan scanner
	head []byte

	unchecked int64 // bytes since it was asked whether to go on
	flat      []io.ReadCloser
	buf       []byte
}

// seekCode makes ready for looking inside, where the answer matters.
func (v *verifier) seekCode() {
	if v.named && v.want.Target.Platform == "linux_armv7l" && v.report.Name.PlatformTag == "linux_armv7l" {
		v.inner = &inner{of: v.src, left: v.lim.Inner, buf: make([]byte, 32<<10)}
		v.elf.spool.Also = func(head []byte) bool { return formOf(head).opened() }
	}
}

func (n *inner) begin() {
	if n != nil {
		n.scan, n.head = scanner{tail: n.scan.tail[:0]}, n.head[:0]
	}
}

func (n *inner) feed(p []byte) {
	if n != nil {
		n.head = append(n.head, p[:min(len(p), headLen-len(n.head))]...)
		n.scan.see(p)
	}
}

// lookInside looks at a file that is neither an ELF file nor an archive of object files.
func (v *verifier) lookInside(e *entry) error {
	what, s := v.inner.scan.found, &v.elf.spool
	switch f := formOf(v.inner.head); {
	case f.opened():
		src := v.inner.source(s, s.Size())
		sec := &section{src: src, left: src.size}
		var err error
		if what, err = v.inner.look(sec, src, innerDepth); sec.err != nil {
			return sec.err
		} else if err != nil {
			return err
		}
	case f != formPlain:
		what = f.closed()
	}
	if what != "" {
		v.elf.note(farm.ELF{Path: e.name, Problem: "inside of it, " + what})
	}
	return nil
}

var errInner = errors.New("more inside of archives than is looked at")

// look reads r to its end and says what code there may be in it, or "". Whole is all of r
// for what must be read in any order; nil: it is not to be had. An error is of the machine
// or the end of the verification; what is wrong with the file means that it was not seen.
func (n *inner) look(r io.Reader, whole *source, depth int) (string, error) {
	head := make([]byte, headLen)
	got, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return n.unseen(err)
	}
	head = head[:got]
	f := formOf(head)
	if f.opened() && depth == 0 {
		return "archives inside of archives, too many to be opened", nil
	}
	from := io.MultiReader(bytes.NewReader(head), r)
	switch f {
	case formGzip:
		n.left -= gzipCost
		z, err := gzip.NewReader(from)
		if err != nil {
			return n.unseen(err)
		}
		return n.look(metered{n, z}, nil, depth-1)
	case formBzip2:
		n.left -= bzip2Cost
		return n.look(metered{n, bzip2.NewReader(from)}, nil, depth-1)
	case formTar:
		return n.tar(from, depth-1)
	case formZip:
		return n.zip(from, whole, depth-1)
	case formPlain:
		s := scanner{}
		if _, err := io.CopyBuffer(&s, struct{ io.Reader }{from}, n.buf); err != nil {
			return n.unseen(err)
		}
		return s.found, nil
	}
	return f.closed(), nil
}

// source is one that counts for the wheel.
func (n *inner) source(r io.ReaderAt, size int64) *source {
	return &source{ctx: n.of.ctx, time: n.of.time, r: r, size: size}
}

// unseen tells a file that is broken from what ends the looking.
func (n *inner) unseen(err error) (string, error) {
	switch {
	case errors.Is(err, errInner):
		return errInner.Error(), nil
	case errors.As(err, &spent{}), errors.Is(err, n.of.ctx.Err()):
		return "", err
	}
	return "an archive that is broken: " + printable(err.Error(), 80), nil
}

// metered counts what is unpacked.
type metered struct {
	n *inner
	r io.Reader
}

func (m metered) Read(p []byte) (int, error) {
	k, err := m.r.Read(p)
	if m.n.left -= int64(k); m.n.left < 0 {
		return k, errInner
	}
	if m.n.unchecked += int64(k); m.n.unchecked > 4<<20 {
		m.n.unchecked = 0
		if err := m.n.of.alive(); err != nil {
			return k, err
		}
	}
	return k, err
}

func (n *inner) tar(r io.Reader, depth int) (string, error) {
	for z := tar.NewReader(r); ; n.left -= memberCost {
		h, err := z.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return n.unseen(err)
		}
		if what, err := n.look(metered{n, z}, nil, depth); what != "" || err != nil {
			return inMember(h.Name, what), err
		}
	}
	return n.look(r, nil, depth) // what stands behind its end
}

func inMember(name, what string) string {
	if what == "" {
		return ""
	}
	return printable(name, 60) + ": " + what
}

func (n *inner) zip(r io.Reader, whole *source, depth int) (string, error) {
	if whole == nil {
		b, err := io.ReadAll(io.LimitReader(r, innerZip+1))
		if err != nil {
			return n.unseen(err)
		}
		if len(b) > innerZip {
			return "a zip too large to be opened in an archive", nil
		}
		whole = n.source(bytes.NewReader(b), int64(len(b)))
	}
	lim, found := DefaultLimits(), findings{max: 1}
	lim.Entries, lim.Directory = innerEntries, 4<<20
	entries, err := readEntries(whole, lim, &found)
	switch f := (flaw{}); {
	case errors.As(err, &spent{}):
		return "", err
	case errors.As(err, &f):
		return "a zip that is broken: " + f.Message, nil
	case err != nil:
		return "", err
	case found.errors > 0:
		return "a zip that is not sound: " + found.list[0].Message, nil
	}
	for i := range entries {
		if n.left -= memberCost; entries[i].isDir() {
			continue
		}
		if what, err := n.member(whole, &entries[i], depth); what != "" || err != nil {
			return inMember(entries[i].name, what), err
		}
	}
	return "", nil
}

// member looks into a file of a zip.
func (n *inner) member(src *source, e *entry, depth int) (string, error) {
	sec := &section{src: src, off: e.data, left: e.packed}
	var r io.Reader = sec
	if e.method == deflated {
		flat := n.inflater()
		defer func() { n.flat = append(n.flat, flat) }()
		if err := flat.(flate.Resetter).Reset(sec, nil); err != nil {
			return n.unseen(err)
		}
		r = flat
	}
	what, err := n.look(metered{n, r}, nil, depth)
	if sec.err != nil {
		return "", sec.err
	}
	return what, err
}

// inflater gives one of those that are made, since each takes its memory.
func (n *inner) inflater() io.ReadCloser {
	last := len(n.flat) - 1
	if last < 0 {
		return flate.NewReader(strings.NewReader(""))
	}
	r := n.flat[last]
	n.flat = n.flat[:last]
	return r
}
