package proxy

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"

	"golang.org/x/net/html"
)

// maxPage bounds an index page in bytes; the largest that are known have 20 MB.
const maxPage = 32 << 20

// maxPages is how many pages of one build are in memory at a time, until the build has
// read them: a slave has less memory than a build has connections. pip asks for one.
const maxPages = 2

// pageTurns are the turns of a build's requests for pages.
type pageTurns chan struct{}

func newPageTurns() pageTurns { return make(pageTurns, maxPages) }

// take waits for a turn, and says whether there was one while anybody waited for it.
func (t pageTurns) take(ctx context.Context) bool {
	select {
	case t <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (t pageTurns) give() { <-t }

// link is a file that a page lists.
type link struct {
	url  string // absolute, without fragment
	sum  string // SHA-256, hex, by the page; "" if it does not say
	meta string // that of its metadata file (PEP 658), or ""
}

// name is the file's name.
func (l link) name() string {
	u, err := url.Parse(l.url)
	if err != nil {
		return ""
	}
	return path.Base(u.Path)
}

// rewrite copies a page and lets its links of files lead to us: to what at gives for
// each. All else stays, byte for byte in HTML (PEP 503), value for value in JSON
// (PEP 691).
type rewrite struct {
	page *url.URL // where the page is, to complete its links
	at   func(link) string
}

// isJSON says which of pip's two forms a page has; an error, if neither.
func isJSON(header http.Header) (bool, error) {
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	switch {
	case err == nil && strings.HasSuffix(kind, "+json"):
		return true, nil
	case err == nil && (kind == "text/html" || strings.HasSuffix(kind, "+html")):
		return false, nil
	}
	return false, fmt.Errorf("the index answers with %.80q, not with a page", header.Get("Content-Type"))
}

// html copies a page of HTML. Of a base element only the effect is kept.
func (rw rewrite) html(w io.Writer, r io.Reader) error {
	base, z := rw.page, html.NewTokenizer(r)
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			if z.Err() == io.EOF {
				return nil
			}
			return z.Err()
		}
		raw := bytes.Clone(z.Raw()) // Token lowers names where they stand
		if kind == html.StartTagToken || kind == html.SelfClosingTagToken {
			switch t := z.Token(); t.Data {
			case "base":
				if u, err := base.Parse(attribute(t, "href")); err == nil {
					base, raw = u, nil
				}
			case "a":
				if rw.anchor(&t, base) {
					raw = []byte(t.String())
				}
			}
		}
		if _, err := w.Write(raw); err != nil {
			return err
		}
	}
}

func attribute(t html.Token, name string) string {
	for _, a := range t.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// anchor changes where an a element leads, and says whether it did.
func (rw rewrite) anchor(t *html.Token, base *url.URL) bool {
	l, fragment, ok := complete(base, attribute(*t, "href"))
	if !ok {
		return false
	}
	l.sum = sumIn(fragment)
	l.meta = sumIn(attribute(*t, "data-core-metadata"))
	if l.meta == "" {
		l.meta = sumIn(attribute(*t, "data-dist-info-metadata"))
	}
	for i, a := range t.Attr {
		if a.Key == "href" {
			t.Attr[i].Val = rw.at(l)
			if fragment != "" {
				t.Attr[i].Val += "#" + fragment
			}
		}
	}
	return true
}

// complete makes a page's reference absolute. What is no file's is left alone.
func complete(base *url.URL, ref string) (l link, fragment string, ok bool) {
	u, err := base.Parse(strings.TrimSpace(ref))
	if ref == "" || err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || path.Base(u.Path) == "/" {
		return link{}, "", false
	}
	fragment = u.EscapedFragment()
	u.Fragment, u.RawFragment = "", ""
	return link{url: u.String()}, fragment, true
}

// sumIn finds sha256=HEX in a fragment, or in an attribute of metadata.
func sumIn(s string) string {
	for part := range strings.SplitSeq(s, "&") {
		if sum, ok := strings.CutPrefix(part, "sha256="); ok && validSum(sum) {
			return strings.ToLower(sum)
		}
	}
	return ""
}

func validSum(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32
}

// json copies a page of JSON, file by file: a page takes several times its size when it
// is held in pieces.
func (rw rewrite) json(w io.Writer, r io.Reader) error {
	in := json.NewDecoder(r)
	if err := rw.object(w, in); err != nil {
		return fmt.Errorf("read the index page: %w", err)
	}
	if _, err := in.Token(); err != io.EOF {
		return errors.New("read the index page: more behind its end")
	}
	return nil
}

// object copies the page's object. Of a key that comes twice both are copied: which
// one counts is a matter of the reader, and all links lead to us.
func (rw rewrite) object(w io.Writer, in *json.Decoder) error {
	return list(w, in, '{', '}', func() error {
		key, err := in.Token()
		if err != nil {
			return err
		}
		name, err := json.Marshal(key)
		if err == nil {
			_, err = fmt.Fprintf(w, "%s:", name)
		}
		switch {
		case err != nil:
			return err
		case key == "files":
			return list(w, in, '[', ']', func() error { return rw.copyFile(w, in) })
		}
		return copyValue(w, in)
	})
}

// list copies what stands between two brackets, one after the other.
func list(w io.Writer, in *json.Decoder, open, end json.Delim, one func() error) error {
	if err := expect(in, open); err != nil {
		return err
	}
	before := open.String()
	for in.More() {
		if _, err := io.WriteString(w, before); err != nil {
			return err
		}
		if err := one(); err != nil {
			return err
		}
		before = ","
	}
	if err := expect(in, end); err != nil {
		return err
	}
	if before == "," {
		before = ""
	}
	_, err := io.WriteString(w, before+end.String())
	return err
}

// copyFile copies one of the files, with its link leading to us.
func (rw rewrite) copyFile(w io.Writer, in *json.Decoder) error {
	var f map[string]json.RawMessage
	if err := in.Decode(&f); err != nil {
		return err
	}
	if err := rw.file(f); err != nil {
		return err
	}
	b, err := json.Marshal(f)
	if err == nil {
		_, err = w.Write(b)
	}
	return err
}

func copyValue(w io.Writer, in *json.Decoder) error {
	var value json.RawMessage
	if err := in.Decode(&value); err != nil {
		return err
	}
	_, err := w.Write(value)
	return err
}

func expect(in *json.Decoder, delim json.Delim) error {
	t, err := in.Token()
	if err == nil && t != delim {
		err = fmt.Errorf("%v where there should be %v", t, delim)
	}
	return err
}

// hashes is what JSON pages have of a file or its metadata: by algorithm; or, of
// metadata, a boolean only.
type hashes map[string]string

func (h *hashes) UnmarshalJSON(b []byte) error {
	var m map[string]string
	if json.Unmarshal(b, &m) == nil {
		*h = m
	}
	return nil
}

func (h hashes) sum() string { return sumIn("sha256=" + h["sha256"]) }

func (rw rewrite) file(f map[string]json.RawMessage) error {
	var ref string
	if err := json.Unmarshal(f["url"], &ref); err != nil {
		return fmt.Errorf("the url of a file: %w", err)
	}
	l, fragment, ok := complete(rw.page, ref)
	if !ok {
		return nil
	}
	var of, core, info hashes
	for name, to := range map[string]*hashes{"hashes": &of, "core-metadata": &core, "dist-info-metadata": &info} {
		if f[name] != nil {
			if err := json.Unmarshal(f[name], to); err != nil {
				return err
			}
		}
	}
	if l.sum, l.meta = of.sum(), core.sum(); l.meta == "" {
		l.meta = info.sum()
	}
	to := rw.at(l)
	if fragment != "" {
		to += "#" + fragment
	}
	text, err := json.Marshal(to)
	f["url"] = text
	return err
}
