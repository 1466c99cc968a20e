package web

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// sendFile answers with a file that never changes (design 7): a cache need not
// ask again for as long as caches remember. Its name is never used for other
// bytes, so time and size, which cost no reading, tell enough for an ETag.
func (s *site) sendFile(w http.ResponseWriter, r *http.Request, name, content string) error {
	f, info, err := s.open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	h := w.Header()
	h.Set("Content-Type", content)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("ETag", etag(info, "b"))
	http.ServeContent(w, r, "", info.ModTime(), f)
	return nil
}

// sendPage answers with a page, compressed if the visitor wants that and the copy
// is there. Ranges and conditions are of the form that is sent: each has an ETag
// of its own, so what is put together from ranges is one of them. While it
// returns an error, nothing is sent.
func (s *site) sendPage(w http.ResponseWriter, r *http.Request, name string, v variant) error {
	f, info, err := s.open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	h := w.Header()
	h.Set("Content-Type", v.content)
	// A page changes at any moment: caches may keep it, but must ask.
	h.Set("Cache-Control", "no-cache")
	changed, form := s.lastModified(info), v.form
	if wantsGzip(codings(r)) {
		if z, size := s.openCopy(name, info); z != nil {
			defer z.Close()
			f, form = z, form+"z"
			compressed(w, r, size)
		}
	}
	h.Set("ETag", etag(info, form))
	http.ServeContent(w, r, "", changed, f)
	return nil
}

// open opens a file of the site.
func (s *site) open(name string) (*os.File, fs.FileInfo, error) {
	// Through the folder, which no ".." and no symlink leaves; opened anew each
	// time, since the site may be deleted and written again while we run.
	f, err := os.OpenInRoot(s.SiteDir, name)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("serve %s: %w", name, err)
	}
	return f, info, nil
}

// openCopy opens the compressed copy of a page if it is of this page: publish
// gives both one time. Whatever is wrong with it, the page itself is there.
func (s *site) openCopy(name string, page fs.FileInfo) (*os.File, int64) {
	f, info, err := s.open(name + ".gz")
	if err != nil {
		return nil, 0
	}
	if !info.ModTime().Equal(page.ModTime()) {
		f.Close()
		return nil, 0
	}
	return f, info.Size()
}

// lastModified is the time of a page for those who cannot do better than
// If-Modified-Since, in whole seconds. While the second of the page lasts, another
// page could get the same time, so there is none.
func (s *site) lastModified(info fs.FileInfo) time.Time {
	if t := info.ModTime(); t.Unix() < s.Now().Unix() {
		return t
	}
	return time.Time{}
}

// etag tells apart what stood under one name at different times, and the forms of
// it. Publish gives a page that changes a time later than that of the one before.
func etag(info fs.FileInfo, form string) string {
	return fmt.Sprintf(`"%x-%x-%s"`, info.ModTime().UnixNano(), info.Size(), form)
}

func codings(r *http.Request) string { return strings.Join(r.Header.Values("Accept-Encoding"), ",") }

// compressed announces a file that is compressed already.
func compressed(w http.ResponseWriter, r *http.Request, size int64) {
	h := w.Header()
	h.Set("Content-Encoding", "gzip")
	// ServeContent leaves the length out of encoded answers, lest somebody encodes
	// on the way. It takes it away again where it does not hold, but for one case:
	// a precondition that failed.
	if r.Header.Get("If-Match") == "" && r.Header.Get("If-Unmodified-Since") == "" {
		h.Set("Content-Length", strconv.FormatInt(size, 10))
	}
}
