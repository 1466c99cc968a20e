package publish

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
)

// gzipLevel is fixed: the site is a function of its rows, to the byte. Pages are
// half hashes, which no level compresses: 9 takes twice as long for one percent.
const gzipLevel = 6

// packer compresses pages; it is for one goroutine.
type packer struct {
	z   *gzip.Writer
	out bytes.Buffer
}

func newPacker() *packer {
	z, err := gzip.NewWriterLevel(nil, gzipLevel)
	if err != nil {
		panic(fmt.Sprintf("gzip level %d: %v", gzipLevel, err)) // a constant: cannot fail
	}
	return &packer{z: z}
}

// to begins a stream that is written to w.
func (p *packer) to(w io.Writer) *gzip.Writer {
	p.z.Reset(w)
	p.z.ModTime = time.Unix(0, 0) // means "none"; the zero Time would be written as a year to come
	return p.z
}

// pack compresses a page. The result is good until the next call.
func (p *packer) pack(page []byte) []byte {
	p.out.Reset()
	z := p.to(&p.out)
	z.Write(page) //nolint:errcheck // a Buffer takes everything
	z.Close()     //nolint:errcheck
	return p.out.Bytes()
}

// packers keeps what compressing needs, about a megabyte each, between pages.
type packers struct{ pool sync.Pool }

func (p *packers) get() *packer {
	if z, ok := p.pool.Get().(*packer); ok {
		return z
	}
	return newPacker()
}

func (p *packers) put(z *packer) { p.pool.Put(z) }

// pack calls use with a page compressed.
func (p *packers) pack(page []byte, use func(packed []byte) error) error {
	z := p.get()
	defer p.put(z)
	return use(z.pack(page))
}
