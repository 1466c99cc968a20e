package proxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strconv"
)

// metadataSuffix is what a wheel's URL has more where its metadata are (PEP 658).
const metadataSuffix = ".metadata"

// maxLinks bounds the links that one build makes us remember.
const maxLinks = 100_000

// project is the only kind of page below simple/ that pip asks for.
var project = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*/?$`)

// page passes on the page of a project, with its links leading to us.
func (d *Door) page(w http.ResponseWriter, r *http.Request, name string, o *origin, rest string) {
	if !d.pages.take(r.Context()) {
		return // nobody waits for it any more
	}
	defer d.pages.give()
	if !project.MatchString(rest) {
		refuse(w, http.StatusNotFound, "only the pages of projects are passed on")
		return
	}
	asked := o.base.JoinPath(rest)
	resp, err := o.get(r.Context(), r.Method, asked, heading(r, r.Header.Get("Accept"), ""))
	if err != nil {
		d.trouble(w, asked, err)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		d.passOn(w, asked, newStatusError(resp))
		return
	}
	asJSON, err := isJSON(resp.Header)
	if err != nil { // the index's fault, not that of the package which finds nothing there
		d.fault(asked.String(), o.base.Host+": "+err.Error())
		refuse(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	var page bytes.Buffer
	if r.Method == http.MethodGet {
		if err := d.rewritten(&page, resp, name, asJSON); err != nil {
			d.trouble(w, asked, err)
			return
		}
	}
	d.came(asked.String())
	w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
	_, _ = page.WriteTo(w) // an error means that nobody waits for it
}

// rewritten writes the page of an answer. It is not sent as it comes: half a page must
// not look whole.
func (d *Door) rewritten(page *bytes.Buffer, resp *http.Response, name string, asJSON bool) error {
	full := false
	rw := rewrite{page: resp.Request.URL, at: func(l link) string {
		n, ok := d.remember(l)
		full = full || !ok
		return "/" + name + "/files/" + strconv.Itoa(n) + "/" + url.PathEscape(l.name())
	}}
	from := &atMost{r: resp.Body, left: maxPage}
	write := rw.html
	if asJSON {
		write = rw.json
	}
	err := write(page, from)
	if full {
		err = fmt.Errorf("more than %d files in the pages of one build", maxLinks)
	}
	return err
}

// heading is what a request of ours says of itself.
func heading(r *http.Request, accept, encoding string) http.Header {
	h := http.Header{}
	for name, v := range map[string]string{"Accept": accept, "Accept-Encoding": encoding, "User-Agent": r.UserAgent()} {
		if v != "" {
			h.Set(name, v)
		}
	}
	return h
}

// passOn gives an answer that is no success as it came, its text cut.
func (d *Door) passOn(w http.ResponseWriter, asked *url.URL, e *statusError) {
	if e.code >= 500 || e.code == http.StatusTooManyRequests {
		d.fault(asked.String(), asked.Host+": "+e.Error())
	} else { // it answers; what it does not have, it does not have
		d.came(asked.String())
	}
	for _, name := range []string{"Content-Type", "Retry-After"} {
		if v := e.header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	w.WriteHeader(e.code)
	_, _ = w.Write(e.text)
}

// atMost fails when there is more to read than that.
type atMost struct {
	r    io.Reader
	left int64
}

func (a *atMost) Read(p []byte) (int, error) {
	if a.left <= 0 {
		return 0, fmt.Errorf("more than %d bytes", int64(maxPage))
	}
	n, err := a.r.Read(p[:min(int64(len(p)), a.left)])
	a.left -= int64(n)
	return n, err
}

// remember gives a link its number.
func (d *Door) remember(l link) (int, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n, ok := d.known[l]; ok {
		return n, true
	}
	if len(d.links) >= maxLinks {
		return 0, false
	}
	d.links = append(d.links, l)
	d.known[l] = len(d.links) - 1
	return len(d.links) - 1, true
}

func (d *Door) link(n int) (link, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n < 0 || n >= len(d.links) {
		return link{}, false
	}
	return d.links[n], true
}

// statusError is an answer that is no success.
type statusError struct {
	code   int
	header http.Header
	text   []byte // its beginning
}

func (e *statusError) Error() string { return fmt.Sprintf("HTTP %d", e.code) }

func newStatusError(resp *http.Response) *statusError {
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 16<<10)) // the status says it all
	return &statusError{resp.StatusCode, resp.Header, text}
}

// file passes on a file that a page listed, or its metadata.
func (d *Door) file(w http.ResponseWriter, r *http.Request, o *origin, l link, metadata bool) {
	u, err := url.Parse(l.url)
	if err != nil {
		refuse(w, http.StatusNotFound, "the link of that file is none")
		return
	}
	sum := l.sum
	if metadata {
		sum, u.Path, u.RawPath = l.meta, u.Path+metadataSuffix, ""
	}
	get := func(ctx context.Context) (io.ReadCloser, int64, error) {
		resp, err := o.get(ctx, r.Method, u, heading(r, "*/*", "identity"))
		if err != nil {
			return nil, 0, err
		}
		if resp.StatusCode != http.StatusOK {
			return nil, 0, newStatusError(resp)
		}
		return resp.Body, resp.ContentLength, nil
	}
	from, size, err := d.open(r, sum, get)
	if err != nil {
		d.noFile(w, u, err)
		return
	}
	defer from.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	if size >= 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	}
	if r.Method == http.MethodHead {
		return
	}
	got, n, err := deliver(w, from, sum)
	if err == nil && size >= 0 && n != size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		if r.Context().Err() == nil { // it is not the build that went away
			d.broke(u, path.Base(u.Path)+": ", err)
		}
		panic(http.ErrAbortHandler) // half a file must not look whole
	}
	d.came(u.String())
	if !metadata {
		d.took(File{Name: path.Base(u.Path), URL: u.Redacted(), SHA256: got, Size: n})
	}
}

// open gives the file from the cache where that is possible.
func (d *Door) open(r *http.Request, sum string, get fetch) (io.ReadCloser, int64, error) {
	if d.p.cache == nil || sum == "" || r.Method == http.MethodHead {
		return get(r.Context())
	}
	from, size, err := d.p.cache.open(r.Context(), sum, get)
	if errors.Is(err, errUncached) {
		return get(r.Context())
	}
	return from, size, err
}

// noFile says why there is none.
func (d *Door) noFile(w http.ResponseWriter, u *url.URL, err error) {
	var status *statusError
	if !errors.As(err, &status) {
		d.trouble(w, u, err)
		return
	}
	d.passOn(w, u, status)
}

// deliver sends all of from, and says its SHA-256 and size. What comes from the cache
// has its sum already.
func deliver(w io.Writer, from io.Reader, sum string) (string, int64, error) {
	switch from.(type) {
	case *along, interface{ Fd() uintptr }:
		n, err := io.Copy(w, from)
		return sum, n, err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, h), from)
	return hex.EncodeToString(h.Sum(nil)), n, err
}
