package pypi

import (
	"errors"
	"io"
	"net/url"
	"path"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"pinwheel/internal/pep"
)

// htmlList reads the list in PEP 503's form.
type htmlList struct {
	*listing
	page htmlPage // what it says of itself
	at   *url.URL
	href string
	text strings.Builder
}

func (l *listing) html(at *url.URL, body io.Reader) error {
	h := htmlList{listing: l, at: at, page: htmlPage{base: withoutUser(at)}}
	z := html.NewTokenizer(body)
	z.SetMaxBuf(maxEntry)
	for {
		switch z.Next() {
		case html.ErrorToken:
			return h.end(z.Err())
		case html.StartTagToken, html.SelfClosingTagToken:
			h.start(z.Token())
		case html.TextToken:
			if h.page.inAnchor && h.text.Len() <= maxName {
				h.text.Write(z.Text())
			}
		case html.EndTagToken:
			if err := h.close(z.Token().DataAtom); err != nil {
				return err
			}
		case html.CommentToken:
			h.page.comment(string(z.Text()))
		}
	}
}

func (h *htmlList) start(t html.Token) {
	h.page.head(t)
	if t.DataAtom != atom.A {
		return
	}
	h.href, h.page.inAnchor = "", t.Type == html.StartTagToken
	h.text.Reset()
	if href, ok := attribute(t, "href"); ok {
		h.href = href
	}
}

func (h *htmlList) close(tag atom.Atom) error {
	link := tag == atom.A && h.page.inAnchor
	h.page.close(tag)
	if !link {
		return nil
	}
	name := strings.TrimSpace(h.text.String())
	if !h.leadsTo(name) {
		name = ""
	}
	return h.add(name, 0)
}

// leadsTo says whether the link open is that of a project (PEP 503): its text is the name, and its last part is the
// name normalized. On a page that does not call itself an index page it must lead below that page as well, or any
// site with a link to /login would have a project of that name.
func (h *htmlList) leadsTo(name string) bool {
	u, err := h.page.base.Parse(strings.TrimSpace(h.href))
	if err != nil {
		return false
	}
	to := strings.TrimRight(u.Path, "/")
	if pep.NormalizeName(path.Base(to)) != pep.NormalizeName(name) {
		return false
	}
	return h.page.marked || strings.TrimRight(path.Dir(to), "/") == strings.TrimRight(h.at.Path, "/")
}

// end judges the list as a whole, as for project pages.
func (h *htmlList) end(err error) error {
	h.info.Serial = max(h.info.Serial, h.page.serial)
	switch err := htmlError(err); {
	case err != io.EOF:
		return err
	case h.page.version != nil:
		return h.page.version
	case h.page.inside || h.page.inAnchor:
		return &trouble{kind: Truncated, cause: errors.New("the HTML list is cut off"), grade: later}
	case !h.page.marked && h.info.Count == 0:
		return troubled(NotIndex, "not a list of names: HTML without links to projects")
	}
	return nil
}
