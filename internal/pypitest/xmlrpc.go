package pypitest

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"math"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// The faults of XML-RPC that PyPI answers with.
const (
	// FaultRefused is for calls over the limit, and for methods that are gone.
	FaultRefused  = -32500
	faultParams   = -32602
	faultNotXML   = -32700
	changelogPath = "/pypi"
)

// call is what a client sent to the changelog.
type call struct {
	XMLName xml.Name    `xml:"methodCall"`
	Method  string      `xml:"methodName"`
	Params  []callValue `xml:"params>param>value"`
	broken  error
}

type callValue struct {
	Int string `xml:"int"`
	I4  string `xml:"i4"`
	I8  string `xml:"i8"`
}

// isCall says whether a request is for the changelog. PyPI goes by the content type as well.
func isCall(r *http.Request) bool {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return r.Method == http.MethodPost && r.URL.Path == changelogPath && kind == "text/xml"
}

// readCall never fails: what is wrong is told by a fault.
func readCall(r *http.Request) *call {
	var c call
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err == nil {
		err = xml.Unmarshal(body, &c)
	}
	c.broken = err
	return &c
}

// serveCall answers a call, in the way that a fault wants it.
func (s *Server) serveCall(w http.ResponseWriter, c *call, f Fault) {
	if s.lacks.changelog {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "405 Method Not Allowed", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	switch {
	case f.Trouble == Refused:
		writeFault(w, cmp.Or(f.Code, FaultRefused), "HTTPTooManyRequests: too many requests by this client, "+
			"the limit may reset in 1 seconds")
	case c.broken != nil:
		writeFault(w, faultNotXML, "parse error: "+c.broken.Error())
	default:
		s.answerCall(w, c, f)
	}
}

func (s *Server) answerCall(w io.Writer, c *call, f Fault) {
	last := s.journal.serial
	if f.Trouble == Behind {
		last = max(0, last-f.By)
	}
	switch c.Method {
	case "changelog_last_serial":
		writeAnswer(w, xmlInt(last))
	case "changelog_since_serial":
		since, ok := c.onlyInt()
		if !ok {
			writeFault(w, faultParams, "invalid method params: want one int")
			return
		}
		writeAnswer(w, xmlEvents(s.journal.told(since, last, f)))
	case "list_packages_with_serial":
		writeAnswer(w, s.xmlSerials())
	default:
		writeFault(w, FaultRefused, "RuntimeError: the method "+c.Method+" is gone")
	}
}

// told is a page of the changelog, with what is wrong with it.
func (j *journal) told(since, last int64, f Fault) []Event {
	page := slices.Clone(j.since(since))
	switch f.Trouble {
	case Behind:
		page = slices.DeleteFunc(page, func(e Event) bool { return e.Serial > last })
	case Repeated:
		if old := j.before(since); len(old) > 0 {
			page = slices.Clone(old)
		}
	case Shuffled:
		page = slices.Concat(page, page[:(len(page)+1)/2])
		slices.SortStableFunc(page, func(a, b Event) int { return cmp.Compare(shuffled(a.Serial), shuffled(b.Serial)) })
	}
	return page
}

// shuffled is an order that has nothing to do with serials, and is always the same.
func shuffled(serial int64) uint64 { return uint64(serial) * 0x9E3779B97F4A7C15 }

func (c *call) onlyInt() (int64, bool) {
	if len(c.Params) != 1 {
		return 0, false
	}
	v := c.Params[0]
	n, err := strconv.ParseInt(strings.TrimSpace(cmp.Or(v.Int, v.I4, v.I8)), 10, 64)
	return n, err == nil
}

// xmlEvents is an array of arrays: name, version or nil, time, action, serial.
func xmlEvents(events []Event) string {
	var b strings.Builder
	b.WriteString("<array><data>\n")
	for _, e := range events {
		version := "<nil/>"
		if e.Version != "" {
			version = xmlString(e.Version)
		}
		b.WriteString("<value><array><data>\n")
		for _, v := range []string{xmlString(e.Name), version, xmlInt(e.Time.Unix()), xmlString(references(e.Action)), xmlInt(e.Serial)} {
			b.WriteString("<value>" + v + "</value>\n")
		}
		b.WriteString("</data></array></value>\n")
	}
	b.WriteString("</data></array>")
	return b.String()
}

// xmlSerials is a struct of every project, as it is spelled.
func (s *Server) xmlSerials() string {
	var b strings.Builder
	b.WriteString("<struct>\n")
	for _, name := range slices.Sorted(maps.Keys(s.projects)) {
		p := s.projects[name]
		fmt.Fprintf(&b, "<member>\n<name>%s</name>\n<value>%s</value>\n</member>\n", escape(p.display), xmlInt(p.serial))
	}
	b.WriteString("</struct>")
	return b.String()
}

func xmlInt(n int64) string {
	if n > math.MaxInt32 || n < math.MinInt32 {
		return fmt.Sprintf("<i8>%d</i8>", n)
	}
	return fmt.Sprintf("<int>%d</int>", n)
}

func xmlString(s string) string { return "<string>" + escape(s) + "</string>" }

// escape leaves control characters as they are, which no XML may hold: a hostile event is broken XML.
func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// references writes what is not ASCII as references, which are escaped once more inside the XML: PyPI does so with
// actions, and readers decode twice.
func references(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r > 126 {
			fmt.Fprintf(&b, "&#%d;", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func writeAnswer(w io.Writer, value string) {
	fmt.Fprintf(w, "<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n<value>%s</value>\n</param>\n</params>\n</methodResponse>\n", value)
}

func writeFault(w io.Writer, code int, text string) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "<member>\n<name>faultCode</name>\n<value>%s</value>\n</member>\n", xmlInt(int64(code)))
	fmt.Fprintf(&b, "<member>\n<name>faultString</name>\n<value>%s</value>\n</member>\n", xmlString(text))
	fmt.Fprintf(w, "<?xml version='1.0'?>\n<methodResponse>\n<fault>\n<value><struct>\n%s</struct></value>\n</fault>\n</methodResponse>\n", &b)
}
