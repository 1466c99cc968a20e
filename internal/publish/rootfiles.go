package publish

import (
	"errors"
	"io"
	"iter"
	"path/filepath"

	"github.com/klauspost/compress/gzip"

	"pinwheel/internal/atomicfile"
	"pinwheel/internal/crash"
	"pinwheel/internal/store"
)

// writeRootFiles writes both forms of the root index, each with its compressed
// copy, from one walk over the names: what the forms say is of one moment, and
// nothing of it is held in memory.
func (p *Publisher) writeRootFiles(names iter.Seq2[string, error]) error {
	html, err := p.beginRoot(pageHTML, rootHTML())
	if err != nil {
		return err
	}
	defer html.drop()
	json, err := p.beginRoot(pageJSON, rootJSON())
	if err != nil {
		return err
	}
	defer json.drop()
	for name, err := range names {
		if err == nil {
			err = errors.Join(html.add(name), json.add(name))
		}
		if err != nil {
			return err
		}
	}
	if err := errors.Join(html.end(), json.end()); err != nil {
		return err
	}
	return p.placeRoot(html, json)
}

// placeRoot gives the files their names: of each form the page and then its copy,
// for the reason that writePage has.
func (p *Publisher) placeRoot(html, json *rootFile) error {
	newHTML, err := html.place(func() { p.at(crash.PublishRootHTML, store.RootScope) })
	if err != nil {
		return err
	}
	p.at(crash.PublishRootHTMLCopy, store.RootScope)
	newJSON, err := json.place(func() { p.at(crash.PublishRootJSON, store.RootScope) })
	if err != nil {
		return err
	}
	p.marked.Store(false)
	if newHTML || newJSON {
		p.nRoots.Add(1)
	}
	return nil
}

// rootFile is one form of the root index on its way, with its copy.
type rootFile struct {
	path       string
	form       rootForm
	page, copy *atomicfile.Pending
	z          *gzip.Writer
	out        io.Writer // to page and z
	free       func()    // gives z back
	buf        []byte    // not written yet
	some       bool      // a name was added
}

// flushAt is how many bytes are gathered before they go to the page and the
// compressor: a call for each name would cost more than the name.
const flushAt = 32 << 10

func (p *Publisher) beginRoot(name string, form rootForm) (*rootFile, error) {
	path := filepath.Join(p.simple(), name)
	page, err := atomicfile.NewPending(path, 0o644)
	if err != nil {
		return nil, err
	}
	copy, err := atomicfile.NewPending(path+gzipSuffix, 0o644)
	if err != nil {
		page.Close()
		return nil, err
	}
	packer := p.gzips.get()
	z := packer.to(copy)
	return &rootFile{
		path: path, form: form, page: page, copy: copy, z: z, out: io.MultiWriter(page, z),
		free: func() { p.gzips.put(packer) }, buf: append(make([]byte, 0, flushAt+4096), form.open...),
	}, nil
}

// drop ends the work; what was placed stays.
func (f *rootFile) drop() {
	f.page.Close()
	f.copy.Close()
	f.free()
}

func (f *rootFile) add(name string) error {
	f.buf = f.form.name(f.buf, name, !f.some)
	f.some = true
	if len(f.buf) < flushAt {
		return nil
	}
	return f.flush()
}

func (f *rootFile) flush() error {
	_, err := f.out.Write(f.buf)
	f.buf = f.buf[:0]
	return err
}

func (f *rootFile) end() error {
	f.buf = append(f.buf, f.form.close...)
	return errors.Join(f.flush(), f.z.Close())
}

// place puts both files in their places, and says whether the page was changed.
func (f *rootFile) place(between func()) (bool, error) {
	changed, err := f.page.Commit()
	if err != nil {
		return false, err
	}
	between()
	if err := f.copy.Like(f.path); err != nil {
		return false, err
	}
	_, err = f.copy.Commit()
	return changed, err
}
