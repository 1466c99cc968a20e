package wheel

import (
	"bufio"
	"io"

	"github.com/klauspost/compress/flate"
)

// inflater unpacks one entry after the other with the same buffers.
type inflater struct {
	in   *bufio.Reader
	out  []byte
	flat io.ReadCloser
}

// newInflater is for a wheel of so many bytes, whose largest file unpacks to so many:
// most wheels are small, and buffers that are made must be cleared.
func newInflater(size, largest int64) *inflater {
	const most = 64 << 10
	in := bufio.NewReaderSize(nil, int(min(size, most)))
	return &inflater{in: in, out: make([]byte, min(max(largest, 512), most)), flat: flate.NewReader(in)}
}

// each gives the unpacked bytes of e to f, piece by piece, and never more than
// the declared size and one piece: what a bomb declares was checked before, and
// one that lies goes no further. Pieces are valid only until f returns.
func (x *inflater) each(src *source, e *entry, f func([]byte)) error {
	sec := &section{src: src, off: e.data, left: e.packed}
	x.in.Reset(sec)
	var r io.Reader = x.in
	if e.method == deflated {
		if err := x.flat.(flate.Resetter).Reset(x.in, nil); err != nil {
			return err
		}
		r = x.flat
	}
	n, err := drain(r, x.out, e.size, f)
	switch {
	case sec.err != nil:
		return sec.err
	case n > e.size:
		return newFlaw(CodeZipSize, e.name, "unpacks to more than the %d bytes it declares", e.size)
	case err != nil:
		return newFlaw(CodeZipData, e.name, "the compressed data are broken: %v", err)
	case n < e.size:
		return newFlaw(CodeZipSize, e.name, "unpacks to %d bytes, %d are declared", n, e.size)
	case sec.left+int64(x.in.Buffered()) > 0:
		return newFlaw(CodeZipData, e.name, "bytes follow the end of the compressed data")
	}
	return nil
}

// drain reads r to its end, or just beyond size.
func drain(r io.Reader, buf []byte, size int64, f func([]byte)) (n int64, err error) {
	for n <= size {
		m, err := r.Read(buf)
		n += int64(m)
		f(buf[:m])
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// whole unpacks an entry that is held in memory, up to max bytes.
func (x *inflater) whole(src *source, e *entry, max int64, tooLong string) ([]byte, error) {
	if e.size > max {
		return nil, newFlaw(tooLong, e.name, "%d bytes; at most %d are taken", e.size, max)
	}
	var b []byte
	err := x.each(src, e, func(p []byte) { b = append(b, p...) })
	return b, err
}
