package pypi

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDates: releases of which pip takes nothing have the time of what there is of them, in every form.
func TestDates(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"demo-pkg-2004d.tar.gz":      "2004", // legacy
		"demo_pkg-1.1-py2.7.egg":     "2006",
		"demo-pkg-1.1.win32.exe":     "2005",
		"demo-pkg-1.1.2.win32.exe":   "2007",
		"demo-pkg-1.1.2.tar.gz":      "2008", // what pip takes has the word
		"demo-pkg-more-1.2.egg":      "2001", // another project's
		"demo-pkg-1.3.amd64.msi":     "never",
		"demo-pkg-1.4-py3.win32.exe": "2009",
	}
	want := map[string]string{"2004d": "2004", "1.1": "2005", "1.1.2": "2008", "1.2": "0001", "1.3": "0001", "1.4": "2009"}
	var simple, details, links []string
	for name, year := range files {
		const sum = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		at := year + "-01-01T00:00:00Z"
		file := `{"filename":"` + name + `","url":"/f/` + name + `",`
		simple = append(simple, file+`"hashes":{},"upload-time":"`+at+`"}`)
		details = append(details, file+`"digests":{"sha256":"`+sum+`"},"upload_time_iso_8601":"`+at+`"}`)
		links = append(links, `<a href="/f/`+name+`#sha256=`+sum+`">x</a>`)
	}
	d, err := parseDetails("demo-pkg", strings.NewReader(`{"info":{"name":"demo-pkg"},"releases":{"2004d":[],"1.1":[],"1.2":[],"1.3":[],"1.4":[],"1.1.2":[`+
		strings.Join(details, ",")+`]}}`))
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]func() (page, error){
		"json": func() (page, error) {
			return parseJSON("demo-pkg", address(t), strings.NewReader(`{"meta":{"api-version":"1.4"},"name":"demo-pkg",
				"versions":["2004d","1.1","1.1.2","1.2","1.3","1.4"],"files":[`+strings.Join(simple, ",")+`]}`))
		},
		"details": func() (page, error) { return d.page(address(t)) },
		"html": func() (page, error) {
			p, err := parseHTML("demo-pkg", address(t), strings.NewReader(strings.Join(links, "\n")))
			d.addTo(&p)
			return p, err
		},
	}
	for form, read := range pages {
		p, err := read()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, r := range assemble("demo-pkg", p).Releases {
			got[r.Raw] = r.Uploaded.Format("2006")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", form, diff)
		}
	}
}
