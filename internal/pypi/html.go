package pypi

import (
	"errors"
	"io"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// htmlPage is a PEP 503 page while it is read.
type htmlPage struct {
	page
	base     *url.URL // against which links are resolved
	based    bool     // <base href> was seen; only the first counts
	marked   bool     // the page says that it is an index page (PEP 629)
	version  error    // it says so of a version that we do not know
	inside   bool     // an <html> is open
	inAnchor bool
}

// parseHTML reads a PEP 503 page with its later attributes (PEP 592 yanked, PEP 629 version). at is where the
// page came from. A page cut off, or one that names no file of the project and does not call itself an index
// page, is an error.
func parseHTML(normal string, at *url.URL, body io.Reader) (page, error) {
	h := htmlPage{base: withoutUser(at), page: page{partial: true}}
	z := html.NewTokenizer(body)
	z.SetMaxBuf(maxEntry)
	for {
		switch z.Next() {
		case html.ErrorToken:
			if err := htmlError(z.Err()); err != io.EOF {
				return page{}, err
			}
			return h.end(normal)
		case html.StartTagToken, html.SelfClosingTagToken:
			h.start(z.Token())
		case html.EndTagToken:
			h.close(z.Token().DataAtom)
		case html.CommentToken:
			h.comment(string(z.Text()))
		}
	}
}

// htmlError is what a tokenizer ended with. Its other errors are those of the body.
func htmlError(err error) error {
	if errors.Is(err, html.ErrBufferExceeded) {
		return troubled(TooBig, "one entry of the answer has more than %d bytes", maxEntry)
	}
	return err
}

func (h *htmlPage) start(t html.Token) {
	h.head(t)
	if t.DataAtom == atom.A {
		h.inAnchor = t.Type == html.StartTagToken
		h.anchor(t)
	}
}

// head reads what stands around the links.
func (h *htmlPage) head(t html.Token) {
	switch t.DataAtom {
	case atom.Html:
		h.inside = true
	case atom.Base:
		h.rebase(t)
	case atom.Meta:
		h.meta(t)
	}
}

// meta reads what a page says of itself (PEP 629, PEP 792).
func (h *htmlPage) meta(t html.Token) {
	name, _ := attribute(t, "name")
	content, _ := attribute(t, "content")
	switch name {
	case "pypi:repository-version":
		h.marked = true
		h.version = checkVersion(content)
	case "pypi:project-status":
		h.status = content
	case "pypi:project-status-reason":
		h.reason = content
	}
}

func (h *htmlPage) close(tag atom.Atom) {
	switch tag {
	case atom.Html:
		h.inside = false
	case atom.A:
		h.inAnchor = false
	}
}

// rebase follows <base href>; one that does not parse is as good as none, as browsers and pip have it.
func (h *htmlPage) rebase(t html.Token) {
	href, ok := attribute(t, "href")
	if !ok || h.based {
		return
	}
	h.based = true
	if u, err := h.base.Parse(strings.TrimSpace(href)); err == nil {
		h.base = withoutUser(u)
	}
}

// anchor reads one link. The tokenizer has undone the entities: data-requires-python="&gt;=3.8".
func (h *htmlPage) anchor(t html.Token) {
	href, ok := attribute(t, "href")
	if !ok {
		return
	}
	f, ok := newFile(h.base, href, "")
	requires, _ := attribute(t, "data-requires-python")
	reason, yanked := attribute(t, "data-yanked")
	uploaded, _ := attribute(t, "data-upload-time") // in no standard, but some mirrors have it
	f.RequiresPython, f.Yanked, f.YankReason, f.Uploaded = clean(requires), yanked, clean(reason), parseTime(uploaded)
	if digest, found := fragmentHash(href); ok && found {
		f.SHA256 = strings.ToLower(digest)
		ok = sha256Hex.MatchString(f.SHA256)
	}
	h.add(f, ok)
}

// comment reads the serial that PyPI hides at the end: <!--SERIAL 123-->.
func (h *htmlPage) comment(text string) {
	if digits, ok := strings.CutPrefix(text, "SERIAL "); ok {
		h.serial = parseSerial(digits)
	}
}

// end judges the page as a whole. A page cut off between two links still tokenizes well; the tags left open give
// it away.
func (h *htmlPage) end(normal string) (page, error) {
	if h.version != nil {
		return page{}, h.version
	}
	if h.inside || h.inAnchor {
		return page{}, troubled(Truncated, "the HTML page is cut off")
	}
	if h.marked {
		return h.page, nil
	}
	for i := range h.files {
		if _, ok := classify(normal, &h.files[i]); ok {
			return h.page, nil
		}
	}
	return page{}, troubled(NotIndex, "not an index page: HTML that names no file of the project")
}

func attribute(t html.Token, key string) (string, bool) {
	for _, a := range t.Attr {
		if a.Key == key {
			return a.Val, true
		}
	}
	return "", false
}

// fragmentHash finds sha256 in a link's fragment, where PEP 503 puts it and older indexes put more besides.
func fragmentHash(href string) (string, bool) {
	_, fragment, _ := strings.Cut(href, "#")
	for part := range strings.SplitSeq(strings.TrimSpace(fragment), "&") {
		if digest, ok := strings.CutPrefix(part, "sha256="); ok {
			return digest, true
		}
	}
	return "", false
}

// checkVersion holds a page's repository version to the rule of PEP 629: another major version is not ours to read.
func checkVersion(v string) error {
	if major, _, _ := strings.Cut(v, "."); major != "1" {
		return troubled(NotIndex, "index pages of version %q cannot be read, only 1.x", v)
	}
	return nil
}

// parseSerial returns 0, unknown, for what is no serial.
func parseSerial(s string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
