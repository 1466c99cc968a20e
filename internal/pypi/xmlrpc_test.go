package pypi

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// rpcSeeds are answers as servers write them, good and bad.
func rpcSeeds() []string {
	answer := func(value string) string {
		return "<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n" + value + "</param>\n</params>\n</methodResponse>\n"
	}
	event := func(values ...string) string {
		return "<value><array><data><value><array><data>\n<value>" + strings.Join(values, "</value>\n<value>") + "</value>\n</data></array></value></data></array></value>\n"
	}
	return []string{
		answer("<value><int>25813001</int></value>"),
		answer("<value><i8>3000000000</i8></value>"),
		answer("<value>plain &amp; <![CDATA[<text>]]> <!-- not this --></value>"),
		answer("<value> <string> blanks </string> </value>"),
		answer("<value/>"),
		answer("<value><nil/></value>"),
		answer("<value><array><data></data></array></value>"),
		answer(event("<string>Demo.Pkg</string>", "<nil/>", "<int>1700000000</int>", "<string>add Owner &amp;#1078;&#x436;é</string>", "<int>17</int>")),
		answer(event("<string>demo</string>", "1.0", "<int>-5</int>", "<string></string>", "<i4>+18</i4>")),
		answer(event("<struct><member><name>a</name><value><array><data><value>b</value></data></array></value></member></struct>", "<nil/>")),
		"<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>-32500</int></value></member>\n" +
			"<member><name>faultString</name><value><string>no &lt;more&gt;</string></value></member></struct></value></fault></methodResponse>",
		answer("<value><int>1</int>")[:90],
		answer(event("<string>a</string>", "<int>1</int>"))[:200],
		answer("<value><int>1</value></int>"),
		answer("<value><funny>1</funny></value>"),
		"<html><body>We'll be back soon</body></html>",
		"<methodResponse></methodResponse>",
		"",
		"{}",
	}
}

// wholeAnswer reads an answer that is one value of any kind.
func wholeAnswer(text string) (rpcValue, error) {
	r := newRPCReader(strings.NewReader(text))
	if err := r.answer(); err != nil {
		return rpcValue{}, err
	}
	v, err := r.value(0)
	if err != nil {
		return v, err
	}
	return v, r.end()
}

// show writes a value as the Python program of the test below does.
func show(v rpcValue) any {
	switch v.kind {
	case rpcInt:
		return float64(v.whole) // as JSON has it
	case rpcText:
		return v.text
	case rpcList:
		list := []any{}
		for _, item := range v.list {
			list = append(list, show(item))
		}
		return list
	}
	return nil
}

const pythonReads = `
import json, sys, xmlrpc.client
def show(v):
    if isinstance(v, dict): return [show(x) for item in v.items() for x in item]
    if isinstance(v, list): return [show(x) for x in v]
    return v
out = []
for text in json.load(sys.stdin):
    try:
        (value,), _ = xmlrpc.client.loads(text.encode())
        out.append({"value": show(value)})
    except xmlrpc.client.Fault as f:
        out.append({"fault": [f.faultCode, f.faultString]})
    except Exception as e:
        out.append({"broken": True})
json.dump(out, sys.stdout)
`

// TestXMLAgreesWithPython reads the seeds as PyPI's own clients would.
func TestXMLAgreesWithPython(t *testing.T) {
	t.Parallel()
	seeds := rpcSeeds()
	in, err := json.Marshal(seeds)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "python3", "-c", pythonReads)
	cmd.Stdin = strings.NewReader(string(in))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []map[string]any
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	for i, text := range seeds {
		v, err := wholeAnswer(text)
		got := map[string]any{"value": show(v)}
		var fault *rpcFault
		if errors.As(err, &fault) {
			got = map[string]any{"fault": []any{float64(fault.code), fault.text}}
		} else if err != nil {
			got = map[string]any{"broken": true}
		}
		if diff := cmp.Diff(want[i], got); diff != "" {
			t.Errorf("%s\n-Python +ours (%v):\n%s", text, err, diff)
		}
	}
}

// TestXMLBounds: nothing makes a reader hold what has no end.
func TestXMLBounds(t *testing.T) {
	t.Parallel()
	const head, row = "<methodResponse><params><param>", "<value><array><data>"
	for name, c := range map[string]struct {
		r    io.Reader
		kind Fault
	}{
		"deep":            {strings.NewReader(head + strings.Repeat(row, 100)), TooBig},
		"wide":            {strings.NewReader(head + row + row + strings.Repeat("<value/>", 2*maxValues)), TooBig},
		"endless text":    {io.MultiReader(strings.NewReader(head+row+"<value>"), endless("x")), TooBig},
		"endless blanks":  {io.MultiReader(strings.NewReader(head), endless(" ")), TooBig},
		"endless comment": {io.MultiReader(strings.NewReader("<!--"), endless("x")), TooBig},
		"endless name":    {io.MultiReader(strings.NewReader("<"), endless("x")), TooBig},
		"endless events": {io.MultiReader(strings.NewReader(head+row), endless("<value><array><data><value>a</value><value><nil/></value>"+
			"<value><int>1</int></value><value>b</value><value><int>1</int></value></data></array></value>")), TooBig},
		"a document type": {strings.NewReader(`<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>` + head + "<value>&b;</value>"), NotXML},
		"another charset": {strings.NewReader(`<?xml version="1.0" encoding="utf-16"?>` + head), NotXML},
	} {
		r := newRPCReader(c.r)
		err := r.answer()
		if err == nil {
			err = r.each((&changelog{}).add)
		}
		var got *trouble
		if !errors.As(judge(err), &got) || got.kind != c.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// repeated is a text for ever.
type repeated struct {
	text string
	at   int
}

func endless(text string) *repeated { return &repeated{text: text} }

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

// TestLegible: what XML has no place for becomes a question mark, and nothing else changes.
func TestLegible(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain\t\r\n":                      "plain\t\r\n",
		"a\x00b\x1bc\x7f":                  "a?b?c\x7f",
		"&#1;&#x1F;&#0;&#55296;&#1114112;": "?????",
		"&#1078;&#x436;&#10;&amp;&#;&#xz;": "&#1078;&#x436;&#10;&amp;??",
		"&#12345678901234567;&":            "&#12345678901234567;&",
		"жé€😀":                             "жé€😀",
		"\xff\xc3(\xed\xa0\x80\xe2\x82":    "??(?????",
		"\uFFFE\uFFFD":                     "???\uFFFD",
	} {
		got, err := io.ReadAll(newLegible(strings.NewReader(in)))
		if err != nil || string(got) != want {
			t.Errorf("%q becomes %q, want %q, %v", in, got, want, err)
		}
	}
}

// eventsAsStructs reads events as package encoding/xml would by itself.
type eventsAsStructs struct {
	Rows []struct {
		Values []struct {
			String *string `xml:"string"`
		} `xml:"array>data>value"`
	} `xml:"params>param>value>array>data>value"`
}

func FuzzXML(f *testing.F) {
	for _, seed := range rpcSeeds() {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = wholeAnswer(text)
		r := newRPCReader(strings.NewReader(text))
		if r.answer() != nil {
			return
		}
		l := changelog{since: 3}
		var rows []rpcValue
		err := r.each(func(row rpcValue) error {
			rows = append(rows, row)
			return l.add(row)
		})
		checkChanges(t, l.settle(&counts{faults: map[Fault]int64{}}))
		if err == nil && r.end() == nil {
			checkRows(t, text, rows)
		}
	})
}

func checkChanges(t *testing.T, page Changes) {
	t.Helper()
	at := int64(3)
	for _, e := range page.Events {
		if e.Serial < at || e.Serial <= 3 || !possible(e.Name) || e.Action != clean(e.Action) || e.Version != clean(e.Version) {
			t.Errorf("after %d comes %+v", at, e)
		}
		at = e.Serial
	}
	if page.Last < at {
		t.Errorf("last is %d, after an event %d", page.Last, at)
	}
}

func checkRows(t *testing.T, text string, rows []rpcValue) {
	t.Helper()
	var want eventsAsStructs
	if err := xml.NewDecoder(newLegible(strings.NewReader(text))).Decode(&want); err != nil {
		t.Fatalf("read without an error, but: %v", err)
	}
	if len(rows) != len(want.Rows) {
		t.Fatalf("%d rows, want %d", len(rows), len(want.Rows))
	}
	for i, row := range rows {
		for j, v := range want.Rows[i].Values {
			if s := v.String; s != nil && (row.list[j].kind != rpcText || row.list[j].text != *s) {
				t.Errorf("row %d, value %d: %q, want %q", i, j, row.list[j].text, *s)
			}
		}
	}
}

// manyEvents is a page of the changelog as PyPI writes it.
// TestFullPage: a full page is read by a client that allows a project's page much less, as a farm's does. Else it would
// never catch up after a day's rest.
func TestFullPage(t *testing.T) {
	t.Parallel()
	body := manyEvents(fullPage)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/xml")
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	c := New(Config{Simple: s.URL + "/simple", MaxBytes: 4 << 20})
	page, err := c.Changes(t.Context(), 1)
	if err != nil || len(page.Events) != fullPage || !page.Full {
		t.Errorf("%d events of %d bytes, full %t, %v", len(page.Events), len(body), page.Full, err)
	}
}

func manyEvents(n int) string {
	var b strings.Builder
	b.WriteString("<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n<value><array><data>\n")
	for i := range n {
		fmt.Fprintf(&b, "<value><array><data>\n<value><string>some-project-%d</string></value>\n<value><string>1.%d</string></value>\n"+
			"<value><int>%d</int></value>\n<value><string>add py3 file some_project_%d-1.%d-py3-none-any.whl</string></value>\n"+
			"<value><int>%d</int></value>\n</data></array></value>\n", i/4, i, 1_700_000_000+i, i/4, i, 25_000_000+i)
	}
	b.WriteString("</data></array></value>\n</param>\n</params>\n</methodResponse>\n")
	return b.String()
}
